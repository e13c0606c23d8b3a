package xmlfix

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// tagAttr is where an attribute stands in a start tag, in bytes from the tag's
// first.
type tagAttr struct {
	name  []byte
	end   int // behind the closing quote
	quote byte
}

// tag is the layout of a start tag.
type tag struct {
	nameEnd int
	attrs   []tagAttr
}

// scanTag finds the attributes of the start tag that text begins with. It
// checks what encoding/xml does not: that there is white space between them,
// and that each is there once. What is malformed in another way ends the scan
// early, for encoding/xml to report.
func (t *tag) scan(text []byte) (offset int, detail string, err error) {
	t.attrs = t.attrs[:0]
	i := 1
	for i < len(text) && !isSpace(text[i]) && text[i] != '/' && text[i] != '>' {
		i++
	}
	t.nameEnd = i
	for {
		start := i
		for i < len(text) && isSpace(text[i]) {
			i++
		}
		if i == len(text) || text[i] == '/' || text[i] == '>' {
			return 0, "", nil
		}
		if i == start {
			return i, "no white space in front of an attribute", ErrSyntax
		}
		name := i
		for i < len(text) && !isSpace(text[i]) && text[i] != '=' && text[i] != '>' {
			i++
		}
		a := tagAttr{name: text[name:i]}
		for i < len(text) && (isSpace(text[i]) || text[i] == '=') {
			i++
		}
		if i == len(text) || text[i] != '\'' && text[i] != '"' {
			return 0, "", nil
		}
		a.quote = text[i]
		length := bytes.IndexByte(text[i+1:], a.quote)
		if length < 0 {
			return 0, "", nil
		}
		if badReference(text[i+1 : i+1+length]) {
			return i, badReferenceDetail, ErrSyntax
		}
		i += length + 2
		a.end = i
		for _, other := range t.attrs {
			if bytes.Equal(other.name, a.name) {
				return name, "attribute " + quote(string(a.name)) + " is there twice", ErrSyntax
			}
		}
		if len(t.attrs) == MaxAttrs {
			return name, "an element has more than " + strconv.Itoa(MaxAttrs) + " attributes", ErrLimit
		}
		t.attrs = append(t.attrs, a)
	}
}

const badReferenceDetail = "character reference to a surrogate"

// badReference reports whether text refers to a surrogate (&#xD800;), which
// encoding/xml turns into U+FFFD and libxml2 rejects. encoding/xml itself
// rejects all other references to what is no character.
func badReference(text []byte) bool {
	for {
		i := bytes.Index(text, []byte("&#"))
		if i < 0 {
			return false
		}
		text = text[i+2:]
		base := uint32(10)
		if len(text) > 0 && text[0] == 'x' {
			base, text = 16, text[1:]
		}
		n := uint32(0)
		for len(text) > 0 && text[0] != ';' {
			digit, ok := hexDigit(text[0])
			if !ok || digit >= base {
				break
			}
			n = min(n*base+digit, utf8.MaxRune+1)
			text = text[1:]
		}
		if n >= 0xD800 && n <= 0xDFFF {
			return true
		}
	}
}

func hexDigit(b byte) (value uint32, ok bool) {
	switch {
	case b >= '0' && b <= '9':
		return uint32(b - '0'), true
	case b >= 'a' && b <= 'f':
		return uint32(b-'a') + 10, true
	case b >= 'A' && b <= 'F':
		return uint32(b-'A') + 10, true
	}
	return 0, false
}

// normalizeTag returns a start tag with the white space that libxml2 reads in
// it: every raw tab and line end in an attribute value is a space (XML 1.0,
// 3.3.3), which encoding/xml leaves as it is. Character references stay.
func normalizeTag(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte(" "))
	for i, b := range text {
		if isSpace(b) {
			text[i] = ' '
		}
	}
	return text
}
