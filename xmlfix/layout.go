package xmlfix

import (
	"bytes"
	"encoding/xml"
	"strings"

	"github.com/beevik/etree"
)

// insertAfter returns the edit that puts e after a sibling: on lines of its
// own where the sibling ends its line, else directly after it. What is left
// of the sibling's line, a comment, stays with it.
func (d *Document) insertAfter(sibling *element, e *etree.Element) edit {
	return d.insert(sibling.end, sibling.parent, sibling, e)
}

// insertFirst returns the edit that puts e before what is in parent.
func (d *Document) insertFirst(parent *element, e *etree.Element) edit {
	return d.insert(parent.open, parent, nil, e)
}

func (d *Document) insert(offset int, parent, sibling *element, e *etree.Element) edit {
	l := d.layoutIn(parent, sibling)
	next, ok := d.nextLine(offset, parent.close)
	if !l.lines || !ok {
		l.lines = false
		return edit{offset, offset, l.print(e)}
	}
	l.eol = d.eolBefore(next)
	return edit{next, next, l.indent + l.print(e) + l.eol}
}

// replace returns the edit that puts e in the place of an element.
func (d *Document) replace(old *element, e *etree.Element) edit {
	l := d.layoutIn(old.parent, old)
	if _, l.lines = d.indentOf(old); l.lines {
		l.eol = d.eolBefore(old.start() - len(l.indent))
	}
	return edit{old.start(), old.end, l.print(e)}
}

// remove returns the edit that takes an element out, with its lines where
// there is nothing else on them.
func (d *Document) remove(old *element) edit {
	indent, first := d.indentOf(old)
	end := old.end
	for end < len(d.data) && (d.data[end] == ' ' || d.data[end] == '\t' || d.data[end] == '\r') {
		end++
	}
	if first && end < len(d.data) && d.data[end] == '\n' {
		return edit{old.start() - len(indent), end + 1, ""}
	}
	return edit{old.start(), old.end, ""}
}

// layoutIn finds out how the children of parent are written: as sibling is, or
// where that does not begin a line, as the first that does.
func (d *Document) layoutIn(parent, sibling *element) layout {
	l := layout{quote: quoteNear(parent, sibling), eol: "\n"}
	if sibling != nil {
		l.indent, l.lines = d.indentOf(sibling)
	}
	for i := 0; i < len(parent.children) && !l.lines; i++ {
		l.indent, l.lines = d.indentOf(parent.children[i])
	}
	outer, ok := d.indentOf(parent)
	step, deeper := strings.CutPrefix(l.indent, outer)
	switch {
	case ok && deeper:
		l.step = step
	case strings.Contains(l.indent, "\t"):
		l.step = "\t"
	default:
		l.step = "  " // libvirt's
	}
	return l
}

// quoteNear returns the quote of the nearest attribute: a sibling's, another
// child's, the parent's; libvirt's own if there is none.
func quoteNear(parent, sibling *element) byte {
	if sibling != nil && sibling.quote != 0 {
		return sibling.quote
	}
	for _, c := range parent.children {
		if c.quote != 0 {
			return c.quote
		}
	}
	if parent.quote != 0 {
		return parent.quote
	}
	return '\''
}

// indentOf returns the white space before an element that is the first
// thing on its line.
func (d *Document) indentOf(e *element) (indent string, first bool) {
	i := e.start()
	for i > 0 && (d.data[i-1] == ' ' || d.data[i-1] == '\t') {
		i--
	}
	if i > 0 && d.data[i-1] != '\n' {
		return "", false
	}
	return string(d.data[i:e.start()]), true
}

// nextLine returns the start of the line after offset's, if up to there come
// only blanks and whole comments, and it is not after limit.
func (d *Document) nextLine(offset, limit int) (next int, ok bool) {
	for i := offset; i < limit; i++ {
		switch {
		case d.data[i] == '\n':
			return i + 1, true
		case d.data[i] == ' ', d.data[i] == '\t', d.data[i] == '\r':
		case bytes.HasPrefix(d.data[i:limit], []byte("<!--")):
			i += len("<!--")
			length := bytes.Index(d.data[i:limit], []byte("-->"))
			if length < 0 || bytes.IndexByte(d.data[i:i+length], '\n') >= 0 {
				return 0, false
			}
			i += length + len("-->") - 1
		default:
			return 0, false
		}
	}
	return 0, false
}

// eolBefore returns the line end that the line at offset follows.
func (d *Document) eolBefore(offset int) string {
	if offset >= 2 && d.data[offset-2] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// layout is how the neighbourhood of an edit is written.
type layout struct {
	quote byte
	// lines is set where each element has a line of its own; indent is then
	// that of the new element, step what each level adds, and eol ends a
	// line.
	lines             bool
	indent, step, eol string
}

// marshalled makes an element of a value of libvirtxml's, in libvirt's own
// order.
func marshalled(value any) (*etree.Element, error) {
	text, err := xml.Marshal(value)
	if err != nil {
		return nil, err
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(text); err != nil {
		return nil, err
	}
	return doc.Root(), nil
}

func driverElement(driverType string) *etree.Element {
	e := etree.NewElement("driver")
	e.CreateAttr("name", "qemu")
	e.CreateAttr("type", driverType)
	return e
}

// print returns e as text, without the indent before it and the line end after it.
func (l layout) print(e *etree.Element) string {
	if l.lines {
		l.spread(e, l.eol+l.indent)
	}
	var text strings.Builder
	e.WriteTo(&text, &canonical)
	return l.requote(text.String())
}

// printAttr returns an attribute as text, with the space before it.
func (l layout) printAttr(name, value string) string {
	e := etree.NewElement("x")
	var text strings.Builder
	e.CreateAttr(name, value).WriteTo(&text, &canonical)
	return " " + l.requote(text.String())
}

// canonical makes etree escape tabs and line ends in attributes, which a
// parser would turn into spaces. It does so only between double quotes.
var canonical = etree.WriteSettings{CanonicalAttrVal: true}

// requote gives canonical text the neighbourhood's quotes. In it every plain
// double quote is a delimiter: those in values and in text are escaped.
func (l layout) requote(text string) string {
	if l.quote == '"' {
		return text
	}
	return toSingleQuotes.Replace(text)
}

var toSingleQuotes = strings.NewReplacer(`'`, "&apos;", `"`, `'`)

// spread puts each element in e on a line of its own, unless e has text.
func (l layout) spread(e *etree.Element, newline string) {
	children := e.ChildElements()
	if len(children) == 0 || len(children) < len(e.Child) {
		return
	}
	for i := len(children) - 1; i >= 0; i-- {
		l.spread(children[i], newline+l.step)
		e.InsertChildAt(i, etree.NewText(newline+l.step))
	}
	e.AddChild(etree.NewText(newline))
}
