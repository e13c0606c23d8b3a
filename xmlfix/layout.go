package xmlfix

import (
	"bytes"
	"encoding/xml"
	"strings"

	"github.com/beevik/etree"
)

// insertAfter returns the edit that puts e after a sibling: on separate lines
// if the sibling ends its line, otherwise directly after it. A comment after
// the sibling on its line stays there.
func (d *Document) insertAfter(sibling *element, e *etree.Element) edit {
	return d.insert(sibling.end, sibling.parent, sibling, e)
}

// insertFirst returns the edit that inserts e as the first child of parent.
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

// replace returns the edit that replaces an element by e.
func (d *Document) replace(old *element, e *etree.Element) edit {
	l := d.layoutIn(old.parent, old)
	if _, l.lines = d.indentOf(old); l.lines {
		l.eol = d.eolBefore(old.start() - len(l.indent))
	}
	return edit{old.start(), old.end, l.print(e)}
}

// remove returns the edit that removes an element, with its lines if they
// contain nothing else.
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

// layoutIn returns how the children of parent are formatted: like sibling or,
// if that does not begin a line, like the first child that does.
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
// child's, the parent's; otherwise libvirt's default.
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

// nextLine returns the start of the line after offset's, if only white space
// and complete comments come before it, and it is not after limit.
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

// layout is the formatting around an edit.
type layout struct {
	quote byte
	// lines is set if each element is on a separate line; indent is then the
	// indent of the new element, step the additional indent of each level, and
	// eol the line end.
	lines             bool
	indent, step, eol string
}

// marshalled returns the element of a libvirtxml value, in libvirt's order.
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

// requote gives canonical text the quotes of its neighbours. Every unescaped
// double quote in canonical text is a delimiter.
func (l layout) requote(text string) string {
	if l.quote == '"' {
		return text
	}
	return toSingleQuotes.Replace(text)
}

var toSingleQuotes = strings.NewReplacer(`'`, "&apos;", `"`, `'`)

// spread puts each child of e on a separate line, unless e has text.
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
