package completion

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is what a shell does with a [Reply], in the word that the scripts know.
type Kind string

// What there is to complete.
const (
	Words   Kind = "words"   // the values, with a space after the one that is taken
	Open    Kind = "open"    // the values, without the space: more is to follow
	Files   Kind = "files"   // what the shell itself knows of files
	Folders Kind = "folders" // the same of folders
)

// Value is one candidate: the whole word that may stand there, and what it is.
type Value struct{ Text, About string }

// Reply is what may stand at the cursor. Of the kinds Files and Folders there are no
// Values.
type Reply struct {
	Kind   Kind
	Values []Value
}

// String is the reply as the scripts of zsh and fish read it: a line with the kind, then
// one a value, with a tab before what it is. A value that could not be shown on a
// terminal as it is, and so no such line either, is left out.
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

// ForBash is the reply as the script of bash reads it: a line with the kind, then for
// each value that begins as the word does one with the text that takes the place of what
// was typed, in the quotes that it needs there.
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

// shown reports whether a text is one line of characters that a terminal shows. Names of
// guests, and of runs, may come from anybody.
func shown(text string) bool {
	return utf8.ValidString(text) && text != "" && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
