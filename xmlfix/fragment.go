package xmlfix

import (
	"encoding/xml"
	"strings"

	"github.com/beevik/etree"
)

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
