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

// examined is the examination of one document, and what each disk needs where that is
// reported.
type examined struct {
	input
	data []byte // the document as it was read; nil where it is not to be rewritten
	*xmlfix.Examination
	needs []predict.Need
}

// unread reports that there is no document, rather than one that is of no use.
func (e *examined) unread() bool {
	var x *xmlfix.Error
	return e.Err != nil && !errors.As(e.Err, &x)
}

// domain is the name of the document's guest; "" if it is not known.
func (e *examined) domain() string {
	if e.Document == nil {
		return ""
	}
	return e.Document.DomainName()
}

// status is the exit status that the document asks for: whether a refusal is
// of a chain, or of the input as such.
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

// unreadable is a document that could not be read at all.
func unreadable(in input, err error) *examined {
	return &examined{input: in, Examination: &xmlfix.Examination{Err: err}}
}

// printFindings says everything about a document, compiler style: a line a
// finding, then a line with what would help.
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
	fmt.Fprintf(w, "%s: %s: [%s] %s\n", place, f.Severity.Level(), f.Code, f.Text)
	printHint(w, f.Remedy)
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
		fmt.Fprintf(w, "%s: error: %s\n", place, f.Text)
		printHint(w, f.Remedy)
		return
	}
	printFinding(w, place, f)
}

// shownName quotes a file name that could drive a terminal or be taken for
// more than a name.
func shownName(name string) string { return text.Name(name) }
