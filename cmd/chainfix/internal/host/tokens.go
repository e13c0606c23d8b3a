package host

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/chainfix/chainfix/xmlfix"
)

// maxTag is the length of the longest start tag that is read, in bytes.
const maxTag = 1 << 20

// tokens are those of a document. [xml.Decoder] alone keeps an account of every
// element that is open, and of every attribute of a tag, however many there are:
// a document of three bytes each takes thirty times as much.
type tokens struct {
	text  []byte
	next  int // of text
	limit int // how far the current token may go
	raw   *xml.Decoder
	depth int
}

// decode returns a decoder for a document, and where its tokens come from.
func decode(text []byte) (*xml.Decoder, *tokens) {
	t := &tokens{text: text}
	t.raw = xml.NewDecoder(t)
	return xml.NewTokenDecoder(t), t
}

// Token implements [xml.TokenReader].
func (t *tokens) Token() (xml.Token, error) {
	t.limit = len(t.text)
	rest := t.text[t.offset():]
	if len(rest) > 1 && rest[0] == '<' && strings.IndexByte("/!?", rest[1]) < 0 {
		t.limit = min(t.limit, t.offset()+maxTag)
	}
	token, err := t.raw.RawToken()
	switch token.(type) {
	case xml.StartElement:
		if t.depth++; t.depth > xmlfix.MaxDepth {
			return nil, errors.New("elements are nested too deeply")
		}
	case xml.EndElement:
		t.depth--
	}
	return token, err
}

// offset is where the next token begins.
func (t *tokens) offset() int { return int(t.raw.InputOffset()) }

// ReadByte implements [io.ByteReader], which is what xml.Decoder reads by.
func (t *tokens) ReadByte() (byte, error) {
	switch {
	case t.next == len(t.text):
		return 0, io.EOF
	case t.next >= t.limit:
		return 0, errors.New("a start tag is too long")
	}
	b := t.text[t.next]
	t.next++
	return b, nil
}

// Read implements [io.Reader].
func (t *tokens) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := t.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}
