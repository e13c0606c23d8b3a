package main

import (
	"regexp"
	"strings"
)

// What is generated for a manual page is made of plain text here.

// manualColumns is how long a line of a source is at most, by mandoc's taste.
const manualColumns = 78

// roffSigns are those that mean something else to roff, or become other signs on a screen,
// so that what is copied from there does not work.
var roffSigns = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// quoted is a value in quotes that belong to it, as those of XML.
var quoted = regexp.MustCompile(`='([^']*)'`)

var sentenceEnd = regexp.MustCompile(`[.?!]\)?$`)

// roffWord escapes a word, or the words that are the arguments of a macro.
func roffWord(word string) string { return roffSigns.Replace(word) }

// roffText is a text in lines, each sentence beginning one.
func roffText(text string) string {
	var b strings.Builder
	column := 0
	const mark = "\x00" // for what is put in after the backslashes are
	for _, word := range strings.Fields(quoted.ReplaceAllString(text, "="+mark+"$1"+mark)) {
		ends := sentenceEnd.MatchString(word)
		word = strings.ReplaceAll(roffWord(word), mark, `\(aq`)
		switch {
		case column == 0:
		case column+1+len(word) > manualColumns:
			b.WriteString("\n")
			column = 0
		default:
			b.WriteString(" ")
			column++
		}
		// A sign that makes a request of a line.
		if column == 0 && (strings.HasPrefix(word, ".") || strings.HasPrefix(word, "'")) {
			word = `\&` + word
		}
		b.WriteString(word)
		column += len(word)
		if ends {
			b.WriteString("\n")
			column = 0
		}
	}
	if column > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

// literalInManual is literal text.
func literalInManual(text string) string {
	var b strings.Builder
	b.WriteString(".Bd -literal -offset indent\n")
	for line := range strings.Lines(text) {
		line = strings.ReplaceAll(roffWord(line), "'", `\(aq`)
		if strings.HasPrefix(line, ".") {
			line = `\&` + line
		}
		b.WriteString(line)
	}
	b.WriteString(".Ed\n")
	return b.String()
}
