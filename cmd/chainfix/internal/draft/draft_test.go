package draft_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/chain/policyfile"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/draft"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// hostile are parts of names that somebody may hope to be read as YAML, or to end a line.
var hostile = []string{
	"\n", "\r", "\r\n", "\u0085", "\u2028", "\u2029", "\u202e", "\u2066", "\ufeff", "\x00", "\x1b[2J", "\t", "\xff", "\ufffd",
	"#", " #", "# ", "##", "#-", "\n#- ", "\n  - ", "- ", "-", "---", "...", "%YAML", "?", ": ", ":", ",", "{", "}", "[", "]", "&a", "*a", "!!str ", "|", ">", "'", `"`, `\`, `\"`, "`", "@",
	"{path: /etc/shadow, format: raw}", "\nrule: leaf", "\nformats:\n", "format: raw", "version: 2", "chain: kept", "null", "~", "<<",
	"/", "//", "/../", "/./", "..", "a", "base.img", " ", "  ", "\u00e9", "\U0001F4BE", "?...", "nbd://host:10809/", "file:///",
}

// anyText draws a text that is hostile, or anything at all.
var anyText = rapid.OneOf(
	rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(hostile), 1, 6).Draw(t, "parts"), "")
	}),
	rapid.String())

var anyName = rapid.Custom(func(t *rapid.T) string {
	return rapid.SampledFrom([]string{"/", "/images/", "", "nbd://host:10809/", "rbd:///pool/"}).Draw(t, "start") + anyText.Draw(t, "name")
})

// anyDecision draws a decision, in which any field may be hostile.
var anyDecision = rapid.Custom(func(t *rapid.T) report.Decision {
	texts := rapid.SliceOfN(anyText, 0, 3)
	d := report.Decision{Code: "probed-backing", Name: anyName.Draw(t, "image"), Question: anyText.Draw(t, "question"), Claims: anyText.Draw(t, "claims"),
		For: texts.Draw(t, "for"), Against: texts.Draw(t, "against"), Hint: anyText.Draw(t, "hint"), Guests: texts.Draw(t, "guests")}
	for _, format := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"raw", "qcow2", "vmdk", "vhdx", "", "luks"}), 0, 3, rapid.ID[string]).Draw(t, "formats") {
		d.Answers = append(d.Answers, report.Answer{Format: format, Flag: anyText.Draw(t, "flag"), Command: anyText.Draw(t, "command")})
	}
	if keep := rapid.SliceOfN(anyName, 0, 2).Draw(t, "keep"); len(keep) > 0 {
		d.Answers = append(d.Answers, report.Answer{Flag: "--keep-xml", Keep: keep})
	}
	return d
})

// resolve has a symlink in front of each "..".
func resolve(_ context.Context, name string) (string, error) {
	if strings.Contains(name, "/../") {
		return path.Clean(strings.ReplaceAll(name, "/../", "/real/")), nil
	}
	return path.Clean(name), nil
}

// uncommented are the ways in which somebody may take away what makes a line a comment: one sign of it, as
// the draft says, or all that there is, with and without the space before it.
var uncommented = []*regexp.Regexp{regexp.MustCompile(`^( *)#`), regexp.MustCompile(`^( *)[# ]+`), regexp.MustCompile(`^()[# ]+`)}

// TestNoNameBecomesAStatement: whatever images and guests are called, the draft states nothing, and with
// one line uncommented just what that line says of one image that the decisions are about.
func TestNoNameBecomesAStatement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		decisions := rapid.SliceOfN(anyDecision, 0, 2).Draw(t, "decisions")
		checkDraft(t, decisions, draft.Options{Apply: "chainfix host apply --policy", Scan: "chainfix host scan --policy",
			File: anyText.Draw(t, "file"), Policy: anyText.Draw(t, "policy"), Resolve: resolve})
	})
	t.Run("long", func(t *testing.T) {
		var decisions []report.Decision
		for _, part := range []string{"x", "- ", ": ", "# ", "\n#", "\u202e", "/a/../"} {
			long := "/" + strings.Repeat(part, 4000/len(part)) + "x"
			decisions = append(decisions, report.Decision{Name: long, Question: long, Claims: long, Hint: long, Guests: []string{long},
				Answers: []report.Answer{{Format: "qcow2"}, {Keep: []string{long}}}})
		}
		for _, d := range decisions {
			checkDraft(t, []report.Decision{d}, draft.Options{File: d.Name, Resolve: resolve})
		}
	})
}

func checkDraft(t rapid.TB, decisions []report.Decision, o draft.Options) {
	text, _, err := draft.Text(context.Background(), decisions, o)
	if err != nil {
		t.Fatal(err)
	}
	if !draft.IsDraft(text) {
		t.Fatalf("no draft:\n%s", text)
	}
	may := allowed(decisions)
	lines := strings.SplitAfter(string(text), "\n")
	for i, line := range lines {
		answer := strings.HasPrefix(line, "  #- ")
		for way, comment := range uncommented {
			plain := comment.ReplaceAllString(line, "$1")
			if plain == line {
				continue
			}
			got, err := policyfile.Parse("", []byte(strings.Join(lines[:i], "")+plain+strings.Join(lines[i+1:], "")))
			said := ""
			if err == nil {
				said = stated(t, got)
			}
			switch {
			case said != "" && (!answer || !may[said] || !strings.HasSuffix(said, " is "+answerOf(line))):
				t.Fatalf("the line %q states %s", plain, said)
			case said == "" && answer && way == 0:
				t.Fatalf("the answer %q states nothing: %v", line, err)
			}
		}
	}
}

var answerFormat = regexp.MustCompile(`(format|chain): ([a-z0-9]+)}\n$`)

// answerOf is the word at the end of an answer.
func answerOf(line string) string { return answerFormat.FindStringSubmatch(line)[2] }

// allowed are what the answers of the decisions may state.
func allowed(decisions []report.Decision) map[string]bool {
	all := make(map[string]bool)
	names := func(name string) []string {
		resolved, _ := resolve(context.Background(), name)
		return []string{name, resolved}
	}
	for _, d := range decisions {
		for _, a := range d.Answers {
			for _, name := range names(d.Name) {
				all[name+" is "+a.Format] = true
			}
			for _, own := range a.Keep {
				for _, name := range names(own) {
					all[name+" is kept"] = true
				}
			}
		}
	}
	return all
}

// stated says what a policy file states, which may be one thing.
func stated(t rapid.TB, file *policyfile.File) string {
	var all []string
	for _, s := range file.Policy.Trust {
		if s.Pattern {
			t.Fatalf("a pattern: %q", s.Path)
		}
		all = append(all, s.Path+" is "+string(s.Format))
	}
	for _, name := range file.Policy.KeptChains {
		all = append(all, name+" is kept")
	}
	file.Policy.Trust, file.Policy.KeptChains = nil, nil
	if diff := cmp.Diff(&policyfile.File{}, file); diff != "" || len(all) > 1 {
		t.Fatalf("%q, and\n%s", all, diff)
	}
	return strings.Join(all, "")
}

// TestDraftHasRoom: however many decisions there are, the draft is a policy file, with those that most
// guests wait for.
func TestDraftHasRoom(t *testing.T) {
	decisions := make([]report.Decision, 20_000)
	for i := range decisions {
		decisions[i] = report.Decision{Name: fmt.Sprintf("/images/%d.img", i), Question: "what is it?", Guests: []string{"a"}, Answers: []report.Answer{{Format: "raw"}, {Format: "qcow2"}}}
	}
	text, sum, err := draft.Text(t.Context(), decisions, draft.Options{})
	if err != nil || !draft.IsDraft(text) {
		t.Fatalf("%v, %d bytes", err, len(text))
	}
	if sum.Formats+sum.NotThere != len(decisions) || sum.NotThere == 0 || !strings.Contains(string(text), fmt.Sprintf("There are %d decisions more", sum.NotThere)) {
		t.Errorf("%+v", sum)
	}
	if !strings.Contains(string(text), `"/images/0.img"`) || strings.Contains(string(text), `"/images/19999.img"`) {
		t.Error("the first are not there, or the last are")
	}
}

// TestDraftEndsWithItsContext: what asks for images may wait.
func TestDraftEndsWithItsContext(t *testing.T) {
	why := errors.New("over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if text, _, err := draft.Text(ctx, []report.Decision{{}}, draft.Options{}); !errors.Is(err, why) || text != nil {
		t.Errorf("%v, %q", err, text)
	}
}

// TestNamesInAnswers: an answer names the image as a policy file has to, or the entry says why there
// is none, and stands with what no statement answers.
func TestNamesInAnswers(t *testing.T) {
	resolve := func(_ context.Context, name string) (string, error) {
		to, there := map[string]string{
			"/a/../b": "/b", "/b": "/b", // plain folders
			"/link/../c": "/target/c", "/c": "/c", // /link leads into /target
			"/d/../e": "/real/e", "/e": "/real/e", // the whole is a symlink
		}[name]
		if !there {
			return "", errors.New("not there")
		}
		return to, nil
	}
	for name, want := range map[string]string{
		"/images/base.img":         `#- {path: "/images/base.img", format: raw}`,
		"/images/a \u202e#'\".img": `#- {path: "/images/a \u202e#'\".img", format: raw}`,
		"/images/\u00e9.img":       `#- {path: "/images/` + "\u00e9" + `.img", format: raw}`,
		"/a/../b":                  `#- {path: "/b", format: raw}`,
		"/link/../c":               `#- {path: "/target/c", format: raw}`,
		"/d/../e":                  `#- {path: "/e", format: raw}`,
		"/gone/../x":               "rename the image",
		"/a\nb":                    "rename the image",
		"/a\xffb":                  "rename the image",
		"nbd://h:10809/base":       `#- {source: "nbd://h:10809/base", format: raw}`,
		"https://h:443/x?...":      "a query that is not shown here",
		"/x?...":                   `#- {path: "/x?...", format: raw}`,
	} {
		decisions := []report.Decision{{Name: name, Question: "what is it?", Answers: []report.Answer{{Format: "raw"}}, Hint: "a hint", Guests: []string{"a"}}}
		text, sum, err := draft.Text(t.Context(), decisions, draft.Options{Resolve: resolve})
		if err != nil {
			t.Fatal(err)
		}
		answered := strings.HasPrefix(want, "#-")
		wantSum := draft.Summary{LeftOut: 1}
		if answered {
			wantSum = draft.Summary{Formats: 1}
		}
		if sum != wantSum || !strings.Contains(string(text), want) || strings.Contains(string(text), "a hint") == answered || strings.Count(string(text), "#-") != sum.Formats {
			t.Errorf("%q: %+v, want %q\n%s", name, sum, want, text)
		}
	}
}
