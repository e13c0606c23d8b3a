package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/docs/schema"
	"github.com/chainfix/chainfix/testdata/golden"
	"github.com/chainfix/chainfix/testdata/peers"
)

// manuals is where the pages are, as they are installed.
const manuals = "../../docs/man"

// TestManualsAreGenerated: flags, exit statuses, findings, keys of the policy file and
// the hook's script are generated from their sources. The rest is written by hand.
func TestManualsAreGenerated(t *testing.T) {
	app := newApp(streams{})
	of := func(words ...string) []*cli.Command {
		var all []*cli.Command
		for _, word := range words {
			all = append(all, app.Command(word))
		}
		return all
	}
	part := func(page, name, text string) {
		t.Helper()
		golden.Part(t, filepath.Join(manuals, page), ".\\\" Generated: "+name+"\n", text, ".\\\" End: "+name+"\n")
	}
	leaves := slices.DeleteFunc(slices.Clone(app.Commands), func(c *cli.Command) bool { return c.Name == hookName || len(c.Subcommands) > 0 })
	part("chainfix.1", "flags of chainfix", flagsInManual(leaves))
	part("chainfix.1", "exit status of chainfix", statusesInManual(appDescription))
	host := app.Command("host").Subcommands
	part("chainfix-host.1", "flags of chainfix host", flagsInManual(host))
	var statuses strings.Builder
	for _, c := range host {
		fmt.Fprintf(&statuses, ".Ss Exit status of %s\n%s", c.Name, statusesInManual(c.Description))
	}
	part("chainfix-host.1", "exit status of chainfix host", statuses.String())
	part("chainfix-hook.1", "flags of chainfix hook", flagsInManual(of(hookName)))
	part("chainfix-hook.1", "exit status of chainfix hook", statusesInManual(hookDescription))
	part("chainfix-hook.1", "script", literalInManual(documentedScript(t)))

	keys := policyKeys(t)
	part("chainfix-policy.5", "keys", keys.inManual(""))
	for _, list := range []string{"formats", "folders", "disks"} {
		part("chainfix-policy.5", "keys of "+list, keys.inManual(list))
	}
	part("chainfix-policy.5", "example", literalInManual(readText(t, "../../docs/policy-example.yaml")))

	var findings strings.Builder
	findings.WriteString(".Bl -tag -width Ds\n")
	for _, e := range finding.Explanations() {
		fmt.Fprintf(&findings, ".It Li %s\n.Em %s\n.Pp\n%s.Pp\n%s", roffWord(string(e.Code)), roffWord(e.Summary), roffText(e.Meaning), roffText(e.Remedy))
	}
	findings.WriteString(".El\n")
	part("chainfix-findings.7", "findings", findings.String())
}

// flagsInManual lists the flags of commands under their headings. One that several
// commands have in the same words is there once.
func flagsInManual(commands []*cli.Command) string {
	type row struct {
		describedFlag
		commands []string
	}
	var rows []*row
	having := 0
	for _, c := range commands {
		if len(c.Flags) > 0 {
			having++
		}
		for _, f := range c.Flags {
			d := describeFlag(f)
			i := slices.IndexFunc(rows, func(r *row) bool { return r.describedFlag == d })
			if i < 0 {
				i, rows = len(rows), append(rows, &row{describedFlag: d})
			}
			rows[i].commands = append(rows[i].commands, c.Name)
		}
	}
	var b strings.Builder
	for _, section := range flagSections {
		begun := false
		for _, name := range section.flags {
			for _, r := range rows {
				if r.long != name {
					continue
				}
				if !begun {
					fmt.Fprintf(&b, ".Ss %s\n.Bl -tag -width Ds\n", section.title)
					begun = true
				}
				b.WriteString(".It ")
				if r.short != "" {
					fmt.Fprintf(&b, "Fl %s , ", r.short)
				}
				fmt.Fprintf(&b, "Fl -%s", roffWord(r.long))
				for i, word := range strings.Split(r.value, "|") {
					switch {
					case r.value == "":
					case !strings.Contains(r.value, "|"):
						fmt.Fprintf(&b, " Ar %s", roffWord(word))
					case i > 0:
						fmt.Fprintf(&b, " | %s", word)
					default:
						fmt.Fprintf(&b, " Cm %s", word)
					}
				}
				if len(r.commands) < having {
					fmt.Fprintf(&b, " Pq %s", strings.Join(r.commands, " , "))
				}
				text, repeats := strings.CutSuffix(r.text, " (repeatable)")
				if strings.Contains(r.value, "|") {
					text = strings.ReplaceAll(text, r.value, either(r.value, "|"))
				}
				b.WriteString("\n" + roffText(sentence(text)))
				if repeats {
					b.WriteString("It may be given several times.\n")
				}
				if r.usual != "" {
					b.WriteString(roffText("Default: " + r.usual + "."))
				}
			}
		}
		if begun {
			b.WriteString(".El\n")
		}
	}
	return b.String()
}

// sentence makes one of what a flag does, or a status means. A name at its beginning
// keeps its case.
func sentence(text string, names ...string) string {
	if first, _, _ := strings.Cut(text, " "); !slices.Contains(names, first) {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return text + "."
}

// either lists alternatives.
func either(words, between string) string {
	all := strings.Split(words, between)
	if last := len(all) - 1; last > 0 {
		return strings.Join(all[:last], ", ") + " or " + all[last]
	}
	return words
}

// statusesInManual lists the exit statuses that the help of a command has.
func statusesInManual(description string) string {
	_, listed, _ := strings.Cut(description, "Exit status:\n")
	var b strings.Builder
	b.WriteString(".Bl -tag -width Ds -offset indent\n")
	var texts []string
	for line := range strings.Lines(listed) {
		status, text, _ := strings.Cut(strings.TrimSuffix(line[2:], "\n"), "  ")
		if status == "" { // it goes on
			texts[len(texts)-1] += " " + strings.TrimSpace(line)
			continue
		}
		texts = append(texts, status+"\n"+text)
	}
	for _, text := range texts {
		status, meaning, _ := strings.Cut(text, "\n")
		fmt.Fprintf(&b, ".It %s\n%s", status, roffText(sentence(meaning, "libvirt", "apply", "fix")))
	}
	b.WriteString(".El\n")
	return b.String()
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// manualKey is a key of the policy file.
type manualKey struct {
	in, name string // in the entries of which list; "" for the file itself
	text     string
	values   string // those that it may have, with " | " between; "" for any
	required bool
}

type manualKeys []manualKey

// policyKeys are the keys that the schema of the policy file has.
func policyKeys(t *testing.T) manualKeys {
	t.Helper()
	type object struct {
		Description string
		Ref         string `json:"$ref"`
		Enum        []string
		Const       any
		Required    []string
		Properties  inOrder
		Items       *struct {
			Ref string `json:"$ref"`
		}
	}
	var whole struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	text, _ := schema.Read("policy")
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	var all manualKeys
	var collect func(in string, s object)
	collect = func(in string, s object) {
		for _, p := range s.Properties {
			var property object
			if err := json.Unmarshal(p.value, &property); err != nil {
				t.Fatal(err)
			}
			values := property.Enum
			if def := whole.Defs[strings.TrimPrefix(property.Ref, "#/$defs/")]; values == nil {
				values = def.Enum
			}
			if property.Const != nil {
				values = []string{fmt.Sprint(property.Const)}
			}
			all = append(all, manualKey{in, p.name, property.Description, strings.Join(values, " | "), slices.Contains(s.Required, p.name)})
			if property.Items != nil {
				collect(p.name, whole.Defs[strings.TrimPrefix(property.Items.Ref, "#/$defs/")])
			}
		}
	}
	collect("", whole.object)
	return all
}

// inOrder is an object whose members stay in their order.
type inOrder []struct {
	name  string
	value json.RawMessage
}

// UnmarshalJSON implements [json.Unmarshaler].
func (o *inOrder) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	if _, err := decoder.Token(); err != nil {
		return err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		*o = append(*o, struct {
			name  string
			value json.RawMessage
		}{name.(string), value})
	}
	return nil
}

// inManual lists the keys of the file itself, or of the entries of a list.
func (k manualKeys) inManual(in string) string {
	var b strings.Builder
	b.WriteString(".Bl -tag -width Ds\n")
	for _, key := range k {
		if key.in != in {
			continue
		}
		fmt.Fprintf(&b, ".It Li %s\n%s", roffWord(key.name), roffText(key.text))
		// Unless each of them is explained.
		if key.values != "" && !strings.Contains(key.text, key.values[:strings.IndexAny(key.values+" ", " ")]+": ") {
			b.WriteString(roffText("It is " + either(key.values, " | ") + "."))
		}
	}
	b.WriteString(".El\n")
	return b.String()
}

// pages are the manual pages, by their names and sections.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(manuals, "*.[1-9]"))
	if err != nil || len(files) < 5 {
		t.Fatal(err, files)
	}
	all := make(map[string]string)
	for _, file := range files {
		all[filepath.Base(file)] = readText(t, file)
	}
	return all
}

// TestManualsHaveEverything: each command, flag, finding and key is in the page for it,
// and each page has the parts that people look for.
func TestManualsHaveEverything(t *testing.T) {
	all := pages(t)
	demand := func(page string, wanted ...string) {
		t.Helper()
		for _, text := range wanted {
			if !strings.Contains(all[page], text) {
				t.Errorf("%s has no %q", page, text)
			}
		}
	}
	var visit func(page string, commands []*cli.Command)
	visit = func(page string, commands []*cli.Command) {
		for _, c := range commands {
			own := page
			if special := "chainfix-" + c.Name + ".1"; all[special] != "" {
				own = special
				demand(own, ".Nm chainfix "+c.Name)
			}
			if !strings.Contains(all[page], ".It Cm "+c.Name+"\n") && !strings.Contains(all[page], ".Ss "+c.Name+"\n") {
				t.Errorf("%s does not explain %s", page, c.Name)
			}
			for _, f := range c.Flags {
				demand(own, "Fl -"+roffWord(f.Names()[0]))
			}
			visit(own, c.Subcommands)
		}
	}
	visit("chainfix.1", newApp(streams{}).Commands)
	for _, e := range finding.Explanations() {
		demand("chainfix-findings.7", ".It Li "+roffWord(string(e.Code))+"\n")
	}
	for _, state := range report.States() {
		demand("chainfix-host.1", ".It Li "+roffWord(string(state))+"\n")
	}
	for _, key := range policyKeys(t) {
		demand("chainfix-policy.5", ".It Li "+roffWord(key.name)+"\n")
	}
	for page := range all {
		demand(page, ".Sh NAME\n", ".Sh DESCRIPTION\n", ".Sh EXIT STATUS\n", ".Sh EXAMPLES\n", ".Sh SEE ALSO\n")
		for other := range all {
			if name, section, _ := strings.Cut(other, "."); other != page {
				demand(page, ".Xr "+name+" "+section)
			}
		}
	}
}

// TestExamplesOfManuals: each command line of a page is one that chainfix takes.
func TestExamplesOfManuals(t *testing.T) {
	unescape := strings.NewReplacer(`\-`, "-", `\(aq`, "'", `\e`, `\`, `\(ti`, "~")
	found := 0
	for page, text := range pages(t) {
		for display := range strings.SplitSeq(text, ".Bd -literal -offset indent\n") {
			display, _, ok := strings.Cut(display, ".Ed\n")
			if !ok {
				continue
			}
			display = regexp.MustCompile(`(\|\||[|;]|<\(|\) *$)`).ReplaceAllString(unescape.Replace(display), "\n")
			for line := range strings.Lines(display) {
				words := strings.Fields(line)
				at := slices.IndexFunc(words, func(word string) bool { return word == "chainfix" || word == "/usr/bin/chainfix" })
				if at < 0 {
					continue
				}
				found++
				read, err := readWords(newApp(streams{}), words[at+1:])
				if err != nil {
					t.Errorf("%s: %s: %v", page, line, err)
				} else if read.command.Name == "explain" {
					if _, known := finding.Explain(finding.Code(read.names[0])); !known {
						t.Errorf("%s: there is no finding %q", page, read.names)
					}
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d examples were found", found)
	}
}

// TestManualsHaveNoFaults: mandoc has no complaints, except that it does not find the
// pages of other programs.
func TestManualsHaveNoFaults(t *testing.T) {
	peers.Require(t, "mandoc")
	for page := range pages(t) {
		out, _ := exec.Command("mandoc", "-T", "lint", filepath.Join(manuals, page)).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "referenced manual not found") && !strings.Contains(line, "outdated mandoc.db") {
				t.Error(strings.TrimSpace(line))
			}
		}
	}
}
