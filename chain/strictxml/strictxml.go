// Package strictxml parses XML for libvirt, within limits, and refuses what
// libxml2 would refuse. Package encoding/xml accepts much of that, and its
// memory for open elements is unbounded.
//
// [NewReader] is for a document that will be used:
//
//	r := strictxml.NewReader(text, strictxml.Limits{Depth: 256, Attrs: 256})
//	for {
//		token, err := r.Token()
//		if err == io.EOF {
//			break // the document was well-formed to its end
//		}
//		if err != nil {
//			return err // an *Error, with its place
//		}
//		...
//	}
//
// Tokens are those of [xml.Decoder.RawToken]: prefixes are not resolved. A
// program that wants them resolved, or elements decoded, gives the Reader to
// [xml.NewTokenDecoder].
//
// [NewBoundedReader] only applies the limits. It is for finding a name in a
// document that another reader checks later.
//
// The comparison was made with libxml2 2.9.14 and Go 1.26; the tests of
// package xmlfix repeat it if xmllint is installed.
package strictxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
)

// What can be wrong with a document. Every error of [Reader.Token] is an [*Error]
// of one of these kinds, or [io.EOF].
var (
	// ErrSyntax is returned if libxml2 would call the document malformed.
	ErrSyntax = errors.New("not well-formed XML")
	// ErrEncoding is returned for a document that is not in UTF-8, or not
	// XML 1.0.
	ErrEncoding = errors.New("not UTF-8 XML 1.0")
	// ErrAmbiguous is returned for a DOCTYPE: libxml2 applies its entities and
	// default attributes, encoding/xml does not.
	ErrAmbiguous = errors.New("ambiguous XML")
	// ErrLimit is returned for a document that exceeds one of the [Limits], or
	// has an attribute value that is too long for libxml2 (10,000,000 bytes).
	ErrLimit = errors.New("input exceeds a limit")
)

// Error says what is wrong with a document, and where.
type Error struct {
	Kind   error  // one of the Err... variables
	Offset int    // in bytes, from 0
	Detail string // may quote names of the document; safe to print on a terminal
	// Decoder says that Detail comes from encoding/xml and may quote any text of
	// the document.
	Decoder bool
}

// Error returns the kind and the detail.
func (e *Error) Error() string { return e.Kind.Error() + ": " + e.Detail }

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// Limits are the limits of one document. The caller must limit its length when
// it reads it into memory.
type Limits struct {
	Depth int // maximum number of open elements, including the root
	Attrs int // maximum number of attributes of one element
}

// maxTag is the longest start tag that a bounded reader accepts, in bytes. A
// strict one counts attributes instead.
const maxTag = 1 << 20

// Reader reads the tokens of one document. It implements [xml.TokenReader].
type Reader struct {
	data    []byte
	limits  Limits
	bounded bool // only the limits are checked
	bom     int  // length of the byte order mark
	dec     *xml.Decoder
	source  source // of dec

	begun   bool
	rooted  bool       // the root has begun
	open    []xml.Name // open elements, the root first
	start   int        // of the last token
	tag     Tag
	unended bool // the last token was <a/>; its end tag comes next
}

// NewReader returns a reader that is as strict as libxml2. The text must not
// change while the reader is in use.
func NewReader(text []byte, limits Limits) *Reader {
	r := &Reader{data: text, limits: limits}
	if bytes.HasPrefix(text, byteOrderMark) {
		r.bom = len(byteOrderMark)
	}
	r.source = source{text: text[r.bom:], limit: len(text)}
	r.dec = xml.NewDecoder(&r.source)
	return r
}

// NewBoundedReader returns a reader that accepts what encoding/xml does,
// except elements nested deeper than depth and start tags longer than a MiB,
// for which encoding/xml needs thirty times the memory of the text.
func NewBoundedReader(text []byte, depth int) *Reader {
	r := &Reader{data: text, limits: Limits{Depth: depth}, bounded: true}
	r.source = source{text: text, limit: len(text)}
	r.dec = xml.NewDecoder(&r.source)
	return r
}

// Start returns where the last token begins, in bytes from the start of the
// text.
func (r *Reader) Start() int { return r.start }

// End returns where the last token ends and the next begins. The start tag of
// <a/> covers all of it, and its end tag is empty.
func (r *Reader) End() int { return r.bom + int(r.dec.InputOffset()) + r.source.skipped }

// Line returns the line on which the last token ends, from 1.
func (r *Reader) Line() int { return 1 + bytes.Count(r.data[:r.End()], []byte{'\n'}) }

func (r *Reader) fail(offset int, kind error, detail string) error {
	return &Error{Kind: kind, Offset: offset, Detail: detail}
}

// Token returns the next token, and [io.EOF] at the end of the document. After
// any other error it returns no more tokens.
func (r *Reader) Token() (xml.Token, error) {
	if !r.begun {
		r.begun = true
		if err := r.begin(); err != nil {
			return nil, err
		}
	}
	r.start = r.End()
	text := r.data[r.start:]
	if r.unended {
		// encoding/xml synthesises the end tag and reads nothing.
		r.unended, text = false, nil
	}
	if err := r.lookAhead(text); err != nil {
		return nil, err
	}
	token, err := r.read(text)
	if err == io.EOF {
		return nil, r.finish()
	}
	if err != nil {
		return nil, &Error{Kind: ErrSyntax, Offset: r.End(), Detail: syntaxDetail(err), Decoder: true}
	}
	if err := r.check(token); err != nil {
		return nil, err
	}
	return token, nil
}

func syntaxDetail(err error) string {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return Shown(syntax.Msg)
	}
	return Shown(err.Error())
}

// begin checks the document as a whole.
func (r *Reader) begin() error {
	if r.bounded {
		return nil
	}
	if offset, detail, err := checkCharacters(r.data); err != nil {
		return r.fail(offset, err, detail)
	}
	if detail, err := checkDeclaration(r.data[r.bom:]); err != nil {
		return r.fail(r.bom, err, detail)
	}
	return nil
}

func (r *Reader) finish() error {
	switch {
	case r.bounded:
	case !r.rooted:
		return r.fail(r.start, ErrSyntax, "no element")
	case len(r.open) > 0:
		return r.fail(r.start, ErrSyntax, "<"+ShownName(r.open[len(r.open)-1])+"> has no end tag")
	}
	return io.EOF
}

// lookAhead checks a token that encoding/xml would read too leniently or at an
// unbounded cost, before encoding/xml reads it.
func (r *Reader) lookAhead(text []byte) error {
	r.source.limit = len(r.data)
	if len(text) < 2 || text[0] != '<' {
		return nil
	}
	startTag := text[1] != '/' && text[1] != '?' && text[1] != '!'
	switch {
	case r.bounded && startTag:
		r.source.limit = min(len(r.data), r.start+maxTag)
	case r.bounded:
	case startTag:
		if offset, detail, err := r.tag.scan(text, r.limits.Attrs); err != nil {
			return r.fail(r.start+offset, err, detail)
		}
	case text[1] != '!':
	case bytes.HasPrefix(text, []byte("<!DOCTYPE")):
		return r.fail(r.start, ErrAmbiguous, "a DOCTYPE can define entities and default attributes, which libvirt applies")
	case bytes.HasPrefix(text, []byte(cdataStart)) && len(r.open) == 0:
		return r.fail(r.start, ErrSyntax, "CDATA outside the root element")
	case !bytes.HasPrefix(text, []byte(cdataStart)) && !bytes.HasPrefix(text, []byte(commentStart)):
		return r.fail(r.start, ErrSyntax, "markup declaration outside a DOCTYPE")
	}
	return nil
}

// check checks what RawToken does not.
func (r *Reader) check(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return r.startElement(t)
	case xml.EndElement:
		return r.endElement(t)
	}
	if r.bounded {
		return nil
	}
	switch t := token.(type) {
	case xml.CharData:
		return r.text()
	case xml.ProcInst:
		return r.procInst(t)
	}
	return nil
}

func (r *Reader) startElement(t xml.StartElement) error {
	r.unended = r.data[r.End()-2] == '/'
	if len(r.open) == r.limits.Depth {
		return r.fail(r.start, ErrLimit, "more than "+strconv.Itoa(r.limits.Depth)+" elements are open")
	}
	if len(r.open) == 0 && r.rooted && !r.bounded {
		return r.fail(r.start, ErrSyntax, "second root element <"+ShownName(t.Name)+">")
	}
	r.rooted = true
	r.open = append(r.open, t.Name)
	return nil
}

func (r *Reader) endElement(t xml.EndElement) error {
	switch {
	case len(r.open) > 0 && (r.bounded || r.open[len(r.open)-1] == t.Name):
		r.open = r.open[:len(r.open)-1]
	case r.bounded:
	case len(r.open) == 0:
		return r.fail(r.start, ErrSyntax, "</"+ShownName(t.Name)+"> has no start tag")
	default:
		return r.fail(r.start, ErrSyntax, "<"+ShownName(r.open[len(r.open)-1])+"> ends with </"+ShownName(t.Name)+">")
	}
	return nil
}

// text checks character data, which must not be outside the root.
func (r *Reader) text() error {
	raw := r.data[r.start:r.End()]
	if len(r.open) == 0 {
		for i, b := range raw {
			if !isSpace(b) {
				return r.fail(r.start+i, ErrSyntax, "text outside the root element")
			}
		}
		return nil
	}
	if raw[0] != '<' && badReference(raw) {
		return r.fail(r.start, ErrSyntax, badReferenceDetail)
	}
	return nil
}

func (r *Reader) procInst(t xml.ProcInst) error {
	if strings.EqualFold(t.Target, "xml") && (r.start != r.bom || t.Target != "xml") {
		return r.fail(r.start, ErrSyntax, "XML declaration that is not at the document's start")
	}
	after := r.data[r.start+len("<?")+len(t.Target):]
	if !isSpace(after[0]) && !bytes.HasPrefix(after, []byte("?>")) {
		return r.fail(r.start, ErrSyntax, "no white space after the target of a processing instruction")
	}
	return nil
}

// maxShown bounds how much of a text from a document or the system is shown,
// in bytes: the maximum of a path.
const maxShown = 4096

// Shown returns a text that is safe to print: control characters and the like
// are escaped, as [strconv.Quote] does, and a text of more than 4096 bytes is
// cut.
func Shown(s string) string {
	more := ""
	if len(s) > maxShown {
		s, more = s[:maxShown], "..."
	}
	q := strconv.Quote(s)
	return q[1:len(q)-1] + more
}

// ShownName returns the name of an element or attribute, with its prefix, safe
// to print.
func ShownName(n xml.Name) string {
	if n.Space == "" {
		return Shown(n.Local)
	}
	return Shown(n.Space + ":" + n.Local)
}
