package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/testdata/golden"
)

// TestLifeIsDocumented: docs/after-the-fix.md has the rows of TestAfterTheFix, and in each
// of them in which the guest would read wrong bytes the guard keeps it from starting.
func TestLifeIsDocumented(t *testing.T) {
	const path, begin, end = "../../docs/after-the-fix.md",
		"<!-- Generated: CHAINFIX_UPDATE=1 go test ./cmd/chainfix -run TestLifeIsDocumented -->\n",
		"<!-- End of what is generated. -->\n"
	var tables strings.Builder
	operation := ""
	for _, row := range lifeRows() {
		if row.inWords {
			continue
		}
		if row.sees != "" && row.sees != doesNotStart && !row.kept {
			t.Errorf("%s: nothing keeps the guest from seeing wrong bytes", row.does)
		}
		if row.operation != operation {
			operation = row.operation
			fmt.Fprintf(&tables, "\n### %s\n\n| operation | the explicit chain | the guest then sees | chainfix says | the guard | what to do |\n| --- | --- | --- | --- | --- | --- |\n",
				strings.ToUpper(operation[:1])+operation[1:])
		}
		fmt.Fprintf(&tables, "| %s | %s | %s | %s | %s | %s |\n", row.documented(), row.becomes, row.seenInWords(), row.saidInWords(),
			map[bool]string{true: "keeps it from starting"}[row.kept], row.toDo())
	}
	for _, operation := range []string{"clone", "edit", "move", "copy", "snapshot", "revert", "commit", "pull", "rebase", "convert", "resize", "backup", "migrate", "delete", "pool move"} {
		if !slices.ContainsFunc(lifeRows(), func(r lifeRow) bool { return r.operation == operation }) {
			t.Errorf("nothing is said of %s", operation)
		}
	}
	golden.Part(t, path, begin, tables.String()+"\n", end)
}

// inDocuments has the names that the documents have for what a row has another name of its
// own for.
var inDocuments = strings.NewReplacer("$web", "web", "$copy", "copy", "$images", "/images", "$new", "/new", "$backup", "/backup",
	"$pool", "images", "$there", "qemu+ssh://there/system", "|", `\|`)

// documented is the operation. What follows a # is a comment.
func (r lifeRow) documented() string {
	commands, more, commented := strings.Cut(r.does, " # ")
	text := "`" + inDocuments.Replace(commands) + "`"
	if commented {
		text += ", " + more
	}
	return text
}

func (r lifeRow) seenInWords() string {
	text := "the right bytes"
	switch {
	case r.sees == doesNotStart:
		text = "nothing: it does not start"
	case r.seen() != r.seenInTheEnd():
		text = "**wrong bytes**"
	}
	if r.once != "" {
		text += ", " + r.once
	}
	return text
}

func (r lifeRow) saidInWords() string {
	switch {
	case r.code != "":
		return fmt.Sprintf("[`%s`](findings.md#%s)", r.code, r.code)
	case r.open:
		return "fixable"
	}
	return "explicit"
}

func (r lifeRow) toDo() string {
	guest := inDocuments.Replace("$" + r.guest)
	switch {
	case r.keeps():
		return ""
	case r.mend != "":
		return "`" + inDocuments.Replace(r.mend) + "`"
	}
	apply := "chainfix host apply "
	if r.refresh() {
		apply += "--refresh "
	}
	if r.word {
		apply += "--trust IMAGE=FORMAT "
	}
	return "`" + apply + guest + "`"
}
