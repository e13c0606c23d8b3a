package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/chainfix/chainfix/xmlfix"
)

// diffContext is the number of unchanged lines around a change that diff -u shows.
const diffContext = 3

// diff is the changes that the edits make to a document, for [diff.write]. It is
// computed from the edits and their surroundings. Comparing two texts would give
// up where many bytes differ, and would show more than what changed, which may be
// a secret. So it takes no more memory than the edits, however long the document
// or its lines are. Libraries that take edits (gopls's) keep all lines and the
// whole diff.
type diff struct {
	name    string
	before  []byte
	context int // lines around each change
	changes []change
}

// change is one place of a document where whole lines are replaced.
type change struct {
	start, end int      // of these lines
	line       int      // how many lines are before them
	text       [][]byte // the new ones, in pieces
}

func diffOf(doc *xmlfix.Document, name string, before []byte, context int) (*diff, error) {
	edits, err := doc.Edits()
	if err != nil {
		return nil, err
	}
	return newDiff(name, before, edits, context), nil
}

// newDiff changes the edits: they begin with lines then, where they can.
func newDiff(name string, before []byte, edits []xmlfix.Edit, context int) *diff {
	d := &diff{name: name, before: before, context: context}
	for i := range edits {
		room := len(before)
		if i+1 < len(edits) {
			room = edits[i+1].Start
		}
		edits[i] = ofWholeLines(before, edits[i], room)
	}
	at, line := 0, 0
	for len(edits) > 0 {
		n := 1
		for n < len(edits) && bytes.IndexByte(before[edits[n-1].End:edits[n].Start], '\n') < 0 {
			n++
		}
		c := changeOf(before, edits[:n])
		line += bytes.Count(before[at:c.start], []byte{'\n'})
		at, c.line = c.start, line
		d.changes = append(d.changes, c)
		edits = edits[n:]
	}
	return d
}

// ofWholeLines returns an equivalent edit that begins at the start of a line, if
// the edit begins with the end of the line before and can be moved within room,
// where the next edit begins.
func ofWholeLines(before []byte, e xmlfix.Edit, room int) xmlfix.Edit {
	for _, eol := range []string{"\r\n", "\n"} {
		if !bytes.HasPrefix(before[e.End:room], []byte(eol)) {
			continue
		}
		switch {
		case e.Start == e.End && len(e.Text) >= len(eol) && e.Text[:len(eol)] == eol:
			return xmlfix.Edit{Start: e.Start + len(eol), End: e.End + len(eol), Text: e.Text[len(eol):] + eol}
		case e.Text == "" && bytes.HasPrefix(before[e.Start:e.End], []byte(eol)):
			return xmlfix.Edit{Start: e.Start + len(eol), End: e.End + len(eol)}
		}
	}
	return e
}

// changeOf widens edits, each of which begins on the line where the one before
// ends, to the whole lines that they change.
func changeOf(before []byte, edits []xmlfix.Edit) change {
	start, end := edits[0].Start, edits[len(edits)-1].End
	c := change{start: bytes.LastIndexByte(before[:start], '\n') + 1, end: end}
	last := byte('\n') // of the new text, if there is any
	add := func(piece []byte) {
		if len(piece) > 0 {
			c.text = append(c.text, piece)
			last = piece[len(piece)-1]
		}
	}
	at := c.start
	for _, e := range edits {
		add(before[at:e.Start])
		add([]byte(e.Text))
		at = e.End
	}
	if last != '\n' || end > 0 && before[end-1] != '\n' {
		c.end = nextLine(before, end)
		add(before[end:c.end])
	}
	return c
}

// nextLine returns the end of the line that contains at.
func nextLine(text []byte, at int) int {
	if n := bytes.IndexByte(text[at:], '\n'); n >= 0 {
		return at + n + 1
	}
	return len(text)
}

// linesOf counts lines that the pieces have together. Only the last line of a
// document may lack its end.
func linesOf(pieces ...[]byte) int {
	n := 0
	last := byte('\n')
	for _, piece := range pieces {
		n += bytes.Count(piece, []byte{'\n'})
		if len(piece) > 0 {
			last = piece[len(piece)-1]
		}
	}
	if last != '\n' {
		n++
	}
	return n
}

// write writes the diff as diff -u does, nothing where nothing changes, and makes a
// failure the program's.
func (d *diff) write(w io.Writer) error {
	if len(d.changes) == 0 {
		return nil
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "--- %s.orig\n+++ %s\n", shownName(d.name), shownName(d.name))
	grown := 0 // lines added minus lines removed so far
	for changes := d.changes; len(changes) > 0; {
		n := 1
		for n < len(changes) && changes[n].line <= changes[n-1].line+d.gone(changes[n-1])+2*d.context {
			n++
		}
		grown += d.writeHunk(out, changes[:n], grown)
		changes = changes[n:]
	}
	return writeError(out.Flush())
}

// gone counts the lines that a change removes.
func (d *diff) gone(c change) int { return linesOf(d.before[c.start:c.end]) }

// writeHunk writes changes that are near each other, with the lines between and
// around them. It returns the number of lines added minus those removed.
func (d *diff) writeHunk(out *bufio.Writer, changes []change, grown int) int {
	first, last := changes[0], changes[len(changes)-1]
	start, end := first.start, last.end
	for range d.context {
		start = bytes.LastIndexByte(d.before[:max(start-1, 0)], '\n') + 1
		end = nextLine(d.before, end)
	}
	line := first.line - linesOf(d.before[start:first.start])
	lines, more := linesOf(d.before[start:end]), 0
	for _, c := range changes {
		more += linesOf(c.text...) - d.gone(c)
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", linesAt(line, lines), linesAt(line+grown, lines+more))
	for _, c := range changes {
		writeLines(out, ' ', d.before[start:c.start])
		writeLines(out, '-', d.before[c.start:c.end])
		writeLines(out, '+', c.text...)
		start = c.end
	}
	writeLines(out, ' ', d.before[start:end])
	return more
}

// linesAt formats lines for a hunk's header: the number of the first, from 1, and
// their count if it is not one. For no lines it gives the line before.
func linesAt(before, lines int) string {
	switch lines {
	case 0:
		return fmt.Sprintf("%d,0", before)
	case 1:
		return fmt.Sprint(before + 1)
	}
	return fmt.Sprintf("%d,%d", before+1, lines)
}

// writeLines writes the lines of the joined pieces, each after a mark.
func writeLines(out *bufio.Writer, mark byte, pieces ...[]byte) {
	begun := false
	for _, piece := range pieces {
		for line := range bytes.Lines(piece) {
			if !begun {
				out.WriteByte(mark)
			}
			out.Write(line)
			begun = line[len(line)-1] != '\n'
		}
	}
	if begun {
		out.WriteString("\n\\ No newline at end of file\n")
	}
}
