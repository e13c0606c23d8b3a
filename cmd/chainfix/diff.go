package main

import (
	"bytes"
	"fmt"

	"github.com/aymanbagabas/go-udiff"

	"github.com/chainfix/chainfix/xmlfix"
)

// maxDiffLines is the number of lines of the longest document of which there is
// a diff: each line takes a multiple of an empty one's byte meanwhile.
const maxDiffLines = 1 << 18

// diffOf shows the edits of a document, with lines of context around them. They
// are not searched for: what compares two texts gives up where many bytes differ,
// and shows more than what has changed, which may be a secret.
func diffOf(doc *xmlfix.Document, name string, before []byte, context int) (string, error) {
	if bytes.Count(before, []byte{'\n'}) > maxDiffLines {
		return "", fmt.Errorf("%q has more than %d lines, too many for a diff", name, maxDiffLines)
	}
	edits, err := doc.Edits()
	if err != nil {
		return "", err
	}
	return udiff.ToUnified(shownName(name)+".orig", shownName(name), string(before), oneEachLine(before, edits), context)
}

// oneEachLine joins edits of one line, so that no two change the same.
func oneEachLine(before []byte, edits []xmlfix.Edit) []udiff.Edit {
	for i, e := range edits {
		room := len(before)
		if i+1 < len(edits) {
			room = edits[i+1].Start
		}
		edits[i] = ofWholeLines(before, e, room)
	}
	var all []udiff.Edit
	for len(edits) > 0 {
		start, end, text := edits[0].Start, edits[0].End, []byte(edits[0].Text)
		for edits = edits[1:]; len(edits) > 0; edits = edits[1:] {
			next := edits[0]
			between := before[end:next.Start]
			if bytes.IndexByte(between, '\n') >= 0 {
				break
			}
			text = append(append(text, between...), next.Text...)
			end = next.End
		}
		all = append(all, udiff.Edit{Start: start, End: end, New: string(text)})
	}
	return all
}

// ofWholeLines returns the edit that makes the same of a document, but begins at
// the beginning of a line, if it is one that begins with the end of the line
// before, and stops short of another one within room, where the next edit begins.
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
