// Package docs has the documentation, and the tests that hold it together.
package docs

import (
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// page is a Markdown file of the repository.
type page struct {
	file string // from the root of the repository, with slashes
	text string
}

// prose is the text without what is between fences, which keeps its line numbers.
func (p page) prose() []string {
	lines := strings.Split(p.text, "\n")
	fenced := false
	for i, line := range lines {
		fence := strings.HasPrefix(line, "```")
		if fence || fenced || strings.HasPrefix(line, "    ") {
			lines[i] = ""
		}
		fenced = fenced != fence
	}
	return lines
}

// withoutGenerated is the prose that people write. What is generated is checked at
// its source.
func (p page) withoutGenerated() []string {
	lines := p.prose()
	generated := false
	for i, line := range lines {
		generated = generated || strings.HasPrefix(line, "<!-- Generated")
		if strings.HasPrefix(line, "<!-- End") {
			generated = false
		}
		if generated {
			lines[i] = ""
		}
	}
	return lines
}

// pages are all Markdown files of the repository.
func pages(t *testing.T) map[string]page {
	t.Helper()
	all := make(map[string]page)
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "dist"):
			return fs.SkipDir
		case filepath.Ext(name) != ".md":
			return nil
		}
		text, err := os.ReadFile(name)
		file := strings.TrimPrefix(filepath.ToSlash(name), "../")
		all[file] = page{file, string(text)}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d pages", len(all))
	}
	return all
}

var (
	code    = regexp.MustCompile("`[^`]*`")
	heading = regexp.MustCompile(`^#+ (.*)$`)
	target  = regexp.MustCompile(`\]\(([^()\s]+)\)|(?:src|href)="([^"]+)"`)
	address = regexp.MustCompile(`\]\(http[^)]*\)`)
	unfit   = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// links are the targets of the links and pictures of a page.
func (p page) links() []string {
	var all []string
	for _, found := range target.FindAllStringSubmatch(code.ReplaceAllString(strings.Join(p.prose(), "\n"), "code"), -1) {
		all = append(all, found[1]+found[2])
	}
	return all
}

// anchors are the names that GitHub gives the headings of a page.
func (p page) anchors() map[string]bool {
	all := make(map[string]bool)
	for _, line := range p.prose() {
		if found := heading.FindStringSubmatch(line); found != nil {
			all[strings.ReplaceAll(unfit.ReplaceAllString(strings.ToLower(found[1]), ""), " ", "-")] = true
		}
	}
	return all
}

// TestLinksLeadSomewhere: every relative link names a file, and a heading that the
// page has.
func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	seen := 0
	for _, p := range all {
		for _, link := range p.links() {
			u, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: %v", p.file, err)
				continue
			}
			if u.IsAbs() {
				continue
			}
			seen++
			to := p.file
			if u.Path != "" {
				to = path.Join(path.Dir(p.file), u.Path)
			}
			if _, err := os.Stat(filepath.Join("..", to)); err != nil {
				t.Errorf("%s: nothing is at %s", p.file, link)
			} else if u.Fragment != "" && !all[to].anchors()[u.Fragment] {
				t.Errorf("%s: %s has no heading #%s", p.file, to, u.Fragment)
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d links", seen)
	}
}

// TestEveryPageIsInTheIndex: docs/README.md leads to every page but the front page.
func TestEveryPageIsInTheIndex(t *testing.T) {
	all := pages(t)
	indexed := map[string]bool{"README.md": true, "docs/README.md": true}
	for _, link := range all["docs/README.md"].links() {
		indexed[path.Join("docs", link)] = true
	}
	for file := range all {
		if !indexed[file] {
			t.Errorf("docs/README.md does not lead to %s", file)
		}
	}
}

// TestLinesAreShort: an editor shows a line whole. Tables, code and addresses cannot be
// wrapped.
func TestLinesAreShort(t *testing.T) {
	for _, p := range pages(t) {
		for i, line := range p.withoutGenerated() {
			if n := utf8.RuneCountInString(address.ReplaceAllString(line, "")); n > 120 && !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "<") {
				t.Errorf("%s:%d: %d columns", p.file, i+1, n)
			}
		}
	}
}

// oddWords are words and phrases that once made the texts read as if they were
// translated, or that belong to one machine, with what to write instead.
var oddWords = []struct{ pattern, better string }{
	{`mend(s|ed|ing)?`, "fix, correct"},
	{`(take|takes|taken|taking|took) (it|this|that|these|all of it|the run|what is done|a run) back`, "undo, roll back"},
	{`takes? back`, "undo, roll back"},
	{`speaks? (against|for)`, "contradict, support"},
	{`witness(es)?`, "check"},
	{`bears?`, "has"},
	{`hears?|heard`, "read, count"},
	{`stands? behind|behind which|behind it there`, "after, follows"},
	{`what stands (here|there|in)|stands in`, "what is in"},
	{`(on|taken at) (somebody's|an image's own|a header's|the header's) word`, "because a header says so"},
	{`is held against|held against`, "is compared with"},
	{`there is none`, "is absent, without"},
	{`there is (nothing|something) to say`, "reports"},
	{`has nothing to say`, "reports nothing"},
	{`it cannot be told|cannot be told from`, "unknown"},
	{`makes nothing of|makes of it nothing`, "cannot interpret"},
	{`befalls?`, "happens to"},
	{`goes on|carr(y|ies) on`, "continues"},
	{`becomes? of`, "happens to"},
	{`go(es)? stale`, "becomes stale"},
	{`has no word|no word (from|of|on)`, "does not record, does not state"},
	{`settles?`, "decides"},
	{`whose? word`, "whose statement"},
	{`the house`, "the architecture"},
	{`is at hand`, "is cached"},
	{`somebody else is at work`, "somebody changed it meanwhile"},
	{`is to be seen|are to be seen`, "is visible"},
	{`by which`, "with which"},
	{`sight`, "view"},
	{`deals? with`, "the verb itself"},
	{`(/work|/tmp|/root/go)/`, "a path that is not of one machine"},
	{`issues? #?\d+`, "the reason itself"},
}

// TestWordsArePlain keeps the odd words out of what people read.
func TestWordsArePlain(t *testing.T) {
	for _, odd := range oddWords {
		pattern := regexp.MustCompile(`(?i)(^|[^\w-])(` + strings.ReplaceAll(odd.pattern, " ", `\s+`) + `)($|[^\w-])`)
		for _, p := range pages(t) {
			text := code.ReplaceAllStringFunc(strings.Join(p.withoutGenerated(), "\n"), func(s string) string {
				return strings.Repeat("\n", strings.Count(s, "\n")) + "code"
			})
			for _, at := range pattern.FindAllStringSubmatchIndex(text, -1) {
				t.Errorf("%s:%d: %q: better: %s", p.file, 1+strings.Count(text[:at[4]], "\n"), text[at[4]:at[5]], odd.better)
			}
		}
	}
}

// TestACloneNeedsTwoCommands: the first two commands of the README's part on a clone
// are the demo, which .ci/run runs too, and .ci/run.
func TestACloneNeedsTwoCommands(t *testing.T) {
	_, part, _ := strings.Cut(pages(t)["README.md"].text, "\n## Work on chainfix\n")
	var commands []string
	for line := range strings.Lines(part) {
		if command, indented := strings.CutPrefix(line, "    "); indented {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	if len(commands) < 2 || commands[1] != ".ci/run" {
		t.Fatalf("the commands are %q", commands)
	}
	run, err := os.ReadFile("../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(run), commands[0]) {
		t.Errorf(".ci/run does not run %q", commands[0])
	}
	if info, err := os.Stat("../.ci/run"); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf(".ci/run cannot be started: %v, %v", info, err)
	}
}
