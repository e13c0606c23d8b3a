package strictxml

import (
	"bytes"
	"encoding/xml"
	"strconv"
	"unicode/utf8"
)

// TagAttr is the position of an attribute in a start tag.
type TagAttr struct {
	End   int  // after the closing quote, in bytes from the tag's first
	Quote byte // ' or "

	name []byte
}

// Tag is the layout of a start tag.
type Tag struct {
	NameEnd int // after the element's name, in bytes from the tag's first
	Attrs   []TagAttr
}

// Tag returns the layout of the start tag that was the last token. The next
// start tag overwrites it. A bounded reader has none.
func (r *Reader) Tag() *Tag { return &r.tag }

// Normal returns the start tag that was the last token with white space
// normalised as in libxml2: every unescaped tab and line end in an attribute
// value becomes a space (XML 1.0, 3.3.3), which encoding/xml does not do.
// Character references stay.
func (r *Reader) Normal(t xml.StartElement) (xml.StartElement, error) {
	text := r.data[r.start:r.End()]
	if !bytes.ContainsAny(text, "\t\r\n") {
		return t, nil
	}
	token, err := xml.NewDecoder(bytes.NewReader(spaced(text))).RawToken()
	normal, ok := token.(xml.StartElement)
	if err != nil || !ok {
		return t, r.fail(r.start, ErrSyntax, "start tag changes with its white space")
	}
	return normal, nil
}

// spaced returns a copy of a start tag with spaces for all its white space.
func spaced(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte(" "))
	for i, b := range text {
		if isSpace(b) {
			text[i] = ' '
		}
	}
	return text
}

// maxValue is the size of the longest attribute value that libxml2 reads, in
// bytes (XML_MAX_TEXT_LENGTH). encoding/xml needs three times that memory for
// one.
const maxValue = 10_000_000

// scan finds the attributes of the start tag at the start of text. It checks
// what encoding/xml does not: the white space between them, that each is there
// once, and their length. Anything else that is malformed ends the scan;
// encoding/xml then reports it.
func (t *Tag) scan(text []byte, maxAttrs int) (offset int, detail string, err error) {
	t.Attrs = t.Attrs[:0]
	i := 1
	for i < len(text) && !isSpace(text[i]) && text[i] != '/' && text[i] != '>' {
		i++
	}
	t.NameEnd = i
	for {
		start := i
		for i < len(text) && isSpace(text[i]) {
			i++
		}
		if i == len(text) || text[i] == '/' || text[i] == '>' {
			return 0, "", nil
		}
		if i == start {
			return i, "no white space before an attribute", ErrSyntax
		}
		name := i
		for i < len(text) && !isSpace(text[i]) && text[i] != '=' && text[i] != '>' {
			i++
		}
		a := TagAttr{name: text[name:i]}
		for i < len(text) && (isSpace(text[i]) || text[i] == '=') {
			i++
		}
		if i == len(text) || text[i] != '\'' && text[i] != '"' {
			return 0, "", nil
		}
		a.Quote = text[i]
		length := bytes.IndexByte(text[i+1:], a.Quote)
		if length < 0 {
			return 0, "", nil
		}
		if length > maxValue {
			return i, "an attribute value has more than " + strconv.Itoa(maxValue) + " bytes", ErrLimit
		}
		if badReference(text[i+1 : i+1+length]) {
			return i, badReferenceDetail, ErrSyntax
		}
		i += length + 2
		a.End = i
		for _, other := range t.Attrs {
			if bytes.Equal(other.name, a.name) {
				return name, "attribute " + `"` + Shown(string(a.name)) + `"` + " is repeated", ErrSyntax
			}
		}
		if len(t.Attrs) == maxAttrs {
			return name, "an element has more than " + strconv.Itoa(maxAttrs) + " attributes", ErrLimit
		}
		t.Attrs = append(t.Attrs, a)
	}
}

const badReferenceDetail = "character reference to a surrogate"

// badReference reports whether text has a reference to a surrogate (&#xD800;),
// which encoding/xml turns into U+FFFD and libxml2 rejects. encoding/xml
// rejects all other invalid references itself.
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
