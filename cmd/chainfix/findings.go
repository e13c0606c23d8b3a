package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
	"github.com/chainfix/chainfix/xmlfix"
)

// examined is the examination of one document, with the need of each disk if that is
// reported.
type examined struct {
	input
	data []byte // the document as it was read; nil if it is not rewritten
	*xmlfix.Examination
	needs []predict.Need
}

// unread reports that the document could not be read, as opposed to being invalid.
func (e *examined) unread() bool {
	var x *xmlfix.Error
	return e.Err != nil && !errors.As(e.Err, &x)
}

// domain returns the name of the document's guest, or "" if unknown.
func (e *examined) domain() string {
	if e.Document == nil {
		return ""
	}
	return e.Document.DomainName()
}

// status returns the exit status for the document. It distinguishes a refused
// chain from unusable input.
func (e *examined) status() int {
	switch verdict := e.Verdict(); {
	case e.Unreadable():
		return exitInput
	case verdict == chain.Refused:
		return exitRefused
	case verdict == chain.Fixable:
		return exitChange
	}
	return exitDone
}

// unreadable returns the examination of a document that could not be read.
func unreadable(in input, err error) *examined {
	return &examined{input: in, Examination: &xmlfix.Examination{Err: err}}
}

// printFindings prints all findings about a document like a compiler: one line
// per finding, then a hint.
func printFindings(w io.Writer, e *examined) {
	if e.Err != nil {
		printProblem(w, e.name, e.Err)
	}
	for _, d := range e.Disks {
		if d.Err != nil {
			printProblem(w, e.name, d.Err)
		}
		if d.Chain == nil {
			continue
		}
		pos := d.Disk.Pos()
		for _, f := range d.Chain.Findings {
			place := fmt.Sprintf("%s:%d:%d", shownName(e.name), pos.Line, pos.Column)
			printFinding(w, place, f)
		}
	}
	for _, f := range e.Findings {
		printFinding(w, fmt.Sprintf("%s:%d:%d", shownName(e.name), f.Pos.Line, f.Pos.Column), f.Finding)
	}
}

func printFinding(w io.Writer, place string, f finding.Finding) {
	fmt.Fprintf(w, "%s: %s: [%s] %s\n", place, shownLevel(w, f), f.Code, f.Text)
	printHint(w, f.Remedy)
}

// shownLevel returns the level of a finding, coloured on a terminal.
func shownLevel(w io.Writer, f finding.Finding) string {
	return text.Level(f.Severity.Level(), colorAuto.on(w))
}

func printHint(w io.Writer, hint finding.Remedy) {
	if !hint.IsZero() {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

// printProblem says why a document or a disk of it could not be read.
func printProblem(w io.Writer, name string, err error) {
	f, pos := report.FindingOf(err)
	place := shownName(name)
	if pos.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", place, pos.Line, pos.Column)
	}
	if f.Code == finding.DocumentUnreadable || f.Code == "" {
		fmt.Fprintf(w, "%s: %s: %s\n", place, shownLevel(w, f), f.Text)
		printHint(w, f.Remedy)
		return
	}
	printFinding(w, place, f)
}

// shownName quotes a file name that could control a terminal or be mistaken for
// other text.
func shownName(name string) string { return text.Name(name) }
