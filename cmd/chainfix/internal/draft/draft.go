// Package draft writes the questions of a report on a host as a policy file to
// fill in.
//
// The file is YAML for [github.com/chainfix/chainfix/chain/policyfile], and
// states nothing at first: each answer is a commented line, which states the
// format of one image, or keeps the chain of one disk, as soon as its "#" is
// removed. All other text comes after "##". Whatever a name contains, no line
// of the file can state anything else; [Text] parses each answer before it
// writes it.
package draft

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/chainfix/chainfix/chain/policyfile"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// Options are the texts of a draft besides the questions.
type Options struct {
	// Apply and Scan are the commands that fix the guests, and that show the
	// remaining decisions. The file's name follows, after a space.
	Apply, Scan string
	File        string // its name, as a word for a shell
	// Policy is the policy file of the scan, quoted for a shell; "" if none. A
	// command accepts only one file.
	Policy string
	// Resolve returns a path without symlinks, "." and "..", which a policy file
	// requires; an overlay may name its backing image "../base.img".
	Resolve func(ctx context.Context, path string) (string, error)
}

// Summary counts what is in a draft.
type Summary struct {
	Formats  int // questions about formats
	Chains   int // questions about chains in the XML
	LeftOut  int // decisions that no statement answers
	NotThere int // decisions that did not fit
}

// firstLine identifies a draft.
const firstLine = "## A policy file to fill in, by chainfix host scan --draft-policy.\n"

// Free space in a draft, within the limits of a policy file, for additional
// lines.
const (
	maxSize  = policyfile.MaxSize * 7 / 8
	maxMarks = policyfile.MaxMarks * 7 / 8
)

// Text returns the draft for these decisions, in their order in each part of
// it. It leaves out what does not fit into a policy file. The error is that of
// ctx, or says that the text would state something.
func Text(ctx context.Context, decisions []report.Decision, o Options) ([]byte, Summary, error) {
	d := &draft{ctx: ctx, Options: o}
	for i, decision := range decisions {
		if d.add(decision); ctx.Err() != nil {
			return nil, Summary{}, context.Cause(ctx)
		}
		if d.full {
			d.sum.NotThere = len(decisions) - i
			break
		}
	}
	text := d.text()
	if !StatesNothing(text) {
		return nil, Summary{}, fmt.Errorf("the draft would be no policy file that states nothing")
	}
	return text, d.sum, nil
}

// draft is a draft under construction.
type draft struct {
	Options
	ctx context.Context
	sum Summary

	formats, chains, leftOut bytes.Buffer
	size, marks              int // of the three together
	full                     bool
}

// entry is the text of one decision in one part of the draft.
type entry struct{ bytes.Buffer }

// say writes a line of text, without any line end in it.
func (e *entry) say(text string) {
	e.WriteString(strings.TrimRight("  ## "+strings.Map(printable, text), " ") + "\n")
}

// answer writes the commented line of an answer.
func (e *entry) answer(item string) { e.WriteString("  #- " + item + "\n") }

// add writes one decision, if it fits.
func (d *draft) add(decision report.Decision) {
	var formats []string
	var keep *report.Answer
	for i, a := range decision.Answers {
		if a.Format != "" {
			formats = append(formats, a.Format)
		}
		if len(a.Keep) > 0 {
			keep = &decision.Answers[i]
		}
	}
	e := &entry{}
	e.WriteString("\n")
	e.say(decision.Question)
	e.evidence(decision)
	part, count := &d.leftOut, &d.sum.LeftOut
	switch {
	case len(formats) > 0:
		if d.stateFormats(e, decision.Name, formats) {
			part, count = &d.formats, &d.sum.Formats
		}
	case keep != nil:
		if d.keepChains(e, keep.Keep) {
			part, count = &d.chains, &d.sum.Chains
		}
	}
	if part == &d.leftOut && decision.Hint != "" {
		e.say("  hint: " + decision.Hint)
	}
	size, marks := d.size+e.Len(), d.marks+countMarks(e.Bytes())
	if d.full = size > maxSize || marks > maxMarks; d.full {
		return
	}
	d.size, d.marks = size, marks
	part.Write(e.Bytes())
	*count++
}

// evidence writes the facts that help to answer.
func (e *entry) evidence(decision report.Decision) {
	label := "known: "
	if decision.Claims != "" {
		e.say("  its header claims: " + decision.Claims)
		label = "evidence for: "
	}
	for _, text := range decision.For {
		e.say("  " + label + text)
	}
	for _, text := range decision.Against {
		e.say("  evidence against: " + text)
	}
	e.guests(decision.Guests)
}

const (
	maxGuests = 50  // that an entry names
	columns   = 100 // of the lines that name them
)

// guests lists the waiting guests.
func (e *entry) guests(names []string) {
	label := "  " + strconv.Itoa(len(names)) + " guests wait:"
	if len(names) == 1 {
		label = "  1 guest waits:"
	}
	line := label
	for i, name := range names {
		word := shownWord(name)
		if i == maxGuests {
			word = "and " + strconv.Itoa(len(names)-maxGuests) + " more"
		}
		if line != label && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			e.say(line)
			line, label = "   ", "   "
		}
		line += " " + word
		if i == maxGuests {
			break
		}
	}
	e.say(line)
}

// shownWord quotes a name that is not a plain word.
func shownWord(name string) string {
	plain := func(r rune) bool {
		return r == '_' || r == '.' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r)
	}
	if name == "" || name[0] == '-' || strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return strconv.Quote(name)
	}
	return name
}

// printable replaces control characters, line ends and the like by a question
// mark.
func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return '?'
	}
	return r
}

// withoutBreak returns a part of a draft without the empty line before its
// first entry.
func withoutBreak(part *bytes.Buffer) string { return strings.TrimPrefix(part.String(), "\n") }

// countMarks counts what [policyfile.MaxMarks] bounds.
func countMarks(text []byte) int {
	n := 0
	for _, c := range text {
		if strings.IndexByte(":,-?\n", c) >= 0 {
			n++
		}
	}
	return n
}

// text joins the parts of the draft.
func (d *draft) text() []byte {
	var b bytes.Buffer
	line := func(text string) {
		b.WriteString(strings.TrimRight("## "+strings.Map(printable, text), " ") + "\n")
	}
	b.WriteString(firstLine)
	line("It states nothing yet. To answer a question, remove the # of one of the lines below it that have")
	line("only one. Leave open what you do not know: with a wrong answer a guest reads wrong data. docs/policy.md")
	line("says what an answer proves. Then check what is left to decide, and fix the guests:")
	line("  " + d.Scan + " " + d.File)
	line("  " + d.Apply + " " + d.File)
	if d.Policy != "" {
		line("The scan used the policy file " + d.Policy + ", and a command accepts only one: move the lines into that.")
	}
	if d.sum.NotThere > 0 {
		line("There are " + strconv.Itoa(d.sum.NotThere) + " decisions more than fit into a policy file: answer these and scan again.")
	}
	b.WriteString("version: 1\n")
	if d.formats.Len() > 0 {
		b.WriteString("\n")
		line("Formats of images. An image that any guest uses or used as a raw disk is raw, whatever its header claims.")
		b.WriteString("formats:\n" + withoutBreak(&d.formats))
	}
	if d.chains.Len() > 0 {
		b.WriteString("\n")
		line("Disks with another chain in the XML than in the headers. An answer keeps the XML's. If the headers")
		line("are right, leave it open, and run for the guest: " + d.Apply + " " + d.File + " --refresh GUEST")
		b.WriteString("disks:\n" + withoutBreak(&d.chains))
	}
	if d.leftOut.Len() > 0 {
		b.WriteString("\n")
		line("Not to be answered by a statement in a policy file:")
		b.WriteString(withoutBreak(&d.leftOut))
	}
	return b.Bytes()
}
