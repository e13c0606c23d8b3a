package completion

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is what a shell does with a [Reply], in the scripts' words.
type Kind string

// The kinds of completions.
const (
	Words   Kind = "words"   // the values, with a space after the completed one
	Open    Kind = "open"    // the values, without the space: more follows
	Files   Kind = "files"   // the shell's own completion of files
	Folders Kind = "folders" // the shell's own completion of folders
)

// Value is one candidate: the whole word, and a description.
type Value struct{ Text, About string }

// Reply is the completions at the cursor. The kinds Files and Folders have no
// Values.
type Reply struct {
	Kind   Kind
	Values []Value
}

// String returns the reply as the scripts of zsh and fish read it: a line with the kind,
// then one line per value, with a tab before its description. Values that are unsafe to
// show on a terminal are omitted.
func (r Reply) String() string {
	var b strings.Builder
	b.WriteString(string(r.Kind) + "\n")
	for _, v := range r.Values {
		if !shown(v.Text) {
			continue
		}
		b.WriteString(v.Text)
		if v.About != "" && shown(v.About) {
			b.WriteString("\t" + v.About)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// ForBash returns the reply as the script of bash reads it: a line with the kind, then
// one line for each value that begins with the word at the cursor: the text that
// replaces what was typed, quoted as needed.
func (r Reply) ForBash(line Line) string {
	var b strings.Builder
	b.WriteString(string(r.Kind) + "\n")
	for _, v := range r.Values {
		if text, ok := line.insertion(v.Text); ok && shown(v.Text) {
			b.WriteString(text + "\n")
		}
	}
	return b.String()
}

// shown reports whether a text is one line of printable characters. Names of guests and
// runs are untrusted.
func shown(text string) bool {
	return utf8.ValidString(text) && text != "" && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
