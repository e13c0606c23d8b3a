// Package draft writes the questions of a report on a host as a policy file to fill in.
//
// The file is YAML that [github.com/chainfix/chainfix/chain/policyfile] reads, and states nothing:
// each answer is a commented line that states the format of one image, or keeps the chain of one
// disk, once its "#" is removed. All other text follows two of them. Whatever a name contains, no
// line of the file states anything else: [Text] parses each answer before it writes it.
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

// Options are what a draft contains besides the questions.
type Options struct {
	// Apply and Scan are the commands that use the file: to fix the guests, and to see what is
	// left to decide. The file's name is appended after a space.
	Apply, Scan string
	File        string // its name, quoted for a shell
	// Policy is the policy file that the scan used, quoted for a shell; "" for none. A command
	// takes only one file.
	Policy string
	// Resolve returns a path without symlinks, "." and "..". A policy file takes only such paths,
	// but an overlay may name its backing image "../base.img".
	Resolve func(ctx context.Context, path string) (string, error)
}

// Summary counts what is in a draft.
type Summary struct {
	Formats  int // questions about formats
	Chains   int // questions about the XML's chains
	LeftOut  int // decisions that a policy file cannot answer
	NotThere int // decisions that did not fit
}

// firstLine identifies a draft.
const firstLine = "## A policy file to fill in, by chainfix host scan --draft-policy.\n"

// Less than the limits of a policy file, so that lines can be added.
const (
	maxSize  = policyfile.MaxSize * 7 / 8
	maxMarks = policyfile.MaxMarks * 7 / 8
)

// Text returns the draft for these decisions, which keep their order in each part. Decisions that
// a policy file has no room for are omitted. It returns an error if ctx ends, or if the text
// would state something.
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
	size, marks              int // of all three parts
	full                     bool
}

// entry is the text of one decision in one part of the draft.
type entry struct{ bytes.Buffer }

// say writes a line of text. Nothing in the text can end the line.
func (e *entry) say(text string) {
	e.WriteString(strings.TrimRight("  ## "+strings.Map(printable, text), " ") + "\n")
}

// answer writes the line that is an answer once it is uncommented.
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

// evidence writes the evidence for the answer.
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
		e.say("evidence against: " + text)
	}
	e.guests(decision.Guests)
}

const (
	maxGuests = 50  // guests guests that an entry names
	columns   = 100 // width width of the lines that name them
)

// guests names the guests that wait.
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

// printable replaces what could control a terminal or end a line by a question mark.
func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return '?'
	}
	return r
}

// withoutBreak returns a part of a draft without the empty line before its first entry.
func withoutBreak(part *bytes.Buffer) string { return strings.TrimPrefix(part.String(), "\n") }

// countMarks counts what [policyfile.MaxMarks] limits.
func countMarks(text []byte) int {
	n := 0
	for _, c := range text {
		if strings.IndexByte(":,-?\n", c) >= 0 {
			n++
		}
	}
	return n
}

// text puts the parts of the draft together.
func (d *draft) text() []byte {
	var b bytes.Buffer
	line := func(text string) {
		b.WriteString(strings.TrimRight("## "+strings.Map(printable, text), " ") + "\n")
	}
	b.WriteString(firstLine)
	line("It states nothing yet. To answer a question, remove the # from one of the lines below it that begin")
	line("with one #. Leave open what you do not know: with a wrong answer a guest reads wrong data.")
	line("docs/policy.md says how to find the answer. Then see what is left to decide, and fix the guests:")
	line("  " + d.Scan + " " + d.File)
	line("  " + d.Apply + " " + d.File)
	if d.Policy != "" {
		line("The scan used the policy file " + d.Policy + ", and a command takes only one: move the lines into it.")
	}
	if d.sum.NotThere > 0 {
		line("A policy file has no room for " + strconv.Itoa(d.sum.NotThere) + " more decisions: answer these and scan again.")
	}
	b.WriteString("version: 1\n")
	if d.formats.Len() > 0 {
		b.WriteString("\n")
		line("Formats of images. One that any guest has or had as a raw disk is raw, whatever its header claims.")
		b.WriteString("formats:\n" + withoutBreak(&d.formats))
	}
	if d.chains.Len() > 0 {
		b.WriteString("\n")
		line("Disks whose chain in the XML contradicts the headers. An answer keeps the XML's chain. If the headers")
		line("are right, leave it open, and name the guest: " + d.Apply + " " + d.File + " --refresh GUEST")
		b.WriteString("disks:\n" + withoutBreak(&d.chains))
	}
	if d.leftOut.Len() > 0 {
		b.WriteString("\n")
		line("What a policy file cannot answer:")
		b.WriteString(withoutBreak(&d.leftOut))
	}
	return b.Bytes()
}
