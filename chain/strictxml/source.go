package strictxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
)

// read returns the first token of text. encoding/xml copies the content of a
// text, a comment or a CDATA section byte by byte, and keeps a buffer for the
// longest. Such a token may span the whole document; so if its content needs
// no replacement and no refusal, the token shares the document's bytes, which
// are hidden from the decoder.
func (r *Reader) read(text []byte) (xml.Token, error) {
	switch {
	case r.bounded || len(text) == 0:
	case text[0] != '<':
		content, _, _ := bytes.Cut(text, []byte{'<'})
		if bytes.ContainsAny(content, "&\r") || bytes.Contains(content, []byte("]]>")) {
			break
		}
		// Markup came before it, and the decoder has read nothing after that.
		r.source.next += len(content)
		r.source.skipped += len(content)
		return xml.CharData(content), nil
	case bytes.HasPrefix(text, []byte(commentStart)):
		content, after, _ := bytes.Cut(text[len(commentStart):], []byte("--"))
		if !bytes.HasPrefix(after, []byte(">")) {
			break
		}
		r.source.hide(r.start-r.bom+len(commentStart), len(content))
		_, err := r.dec.RawToken()
		return xml.Comment(content), err
	case bytes.HasPrefix(text, []byte(cdataStart)):
		content, _, ended := bytes.Cut(text[len(cdataStart):], []byte("]]>"))
		if !ended || bytes.IndexByte(content, '\r') >= 0 {
			break
		}
		r.source.hide(r.start-r.bom+len(cdataStart), len(content))
		_, err := r.dec.RawToken()
		return xml.CharData(content), err
	}
	return r.dec.RawToken()
}

const (
	commentStart = "<!--"
	cdataStart   = "<![CDATA["
)

// source is the decoder's input: the text up to a limit, without the hidden
// part.
type source struct {
	text  []byte
	next  int // of text
	limit int // how far the current token may go

	hidden, shown int // bounds of the hidden part, which begins at next or later
	skipped       int // number of hidden bytes so far
}

// hide hides n bytes from at on, which the decoder has not read yet.
func (s *source) hide(at, n int) {
	s.hidden, s.shown = at, at+n
	s.skipped += n
}

// ReadByte implements [io.ByteReader], which xml.Decoder uses.
func (s *source) ReadByte() (byte, error) {
	if s.next == s.hidden {
		s.next = max(s.next, s.shown)
	}
	switch {
	case s.next == len(s.text):
		return 0, io.EOF
	case s.next >= s.limit:
		return 0, errors.New("a start tag is too long")
	}
	b := s.text[s.next]
	s.next++
	return b, nil
}

// Read implements [io.Reader].
func (s *source) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := s.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}
