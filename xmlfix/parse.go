package xmlfix

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/strictxml"
)

// Parse parses a domain XML, or a single <disk>, which libvirt accepts to
// attach or update a device. The name is for messages: a file name, or one
// like "<stdin>".
//
// The document refers to data, which must not change while the document is in
// use. Errors are [*Error] and wrap [ErrSyntax], [ErrEncoding],
// [ErrAmbiguous], [ErrNotDomain] or [ErrLimit]. [Disk.Stated] reports errors
// in a single disk.
func Parse(name string, data []byte) (*Document, error) {
	return parse(&Document{name: name, data: data})
}

// parse parses a document with the name, the text and metadata set.
func parse(doc *Document) (*Document, error) {
	p := &parser{doc: doc}
	if err := p.run(); err != nil {
		return nil, err
	}
	return doc, nil
}

// parser makes one pass over a document. The reader returns the tokens and
// checks that they are well-formed; the parser finds the disks, and what
// libvirt and libvirtxml would read differently in them.
type parser struct {
	doc    *Document
	reader *strictxml.Reader
	open   []kind // of the open elements, the root first

	named      bool // the domain's first <name> has begun
	domainName strings.Builder
	disk       *Disk
	elem       *element   // the innermost open element in disk
	image      *elsewhere // the open one; nil if it is ignored
	elements   int        // in all disks so far
	attrs      int        // of these
	pos        Position   // of the element in a disk that began last
}

// kind says how the content of an element is read.
type kind int

const (
	other kind = iota
	root
	metadataRoot
	devices
	domainName
	inDisk // a disk or its content
	osElement
	tpm
	tpmBackend
	elsewhereImage  // an element that names an image outside of the disks
	elsewhereSource // the <source> in one
)

func (p *parser) fail(offset int, sentinel error, detail string) error {
	return p.failWith(offset, sentinel, detail, remedyOf(sentinel, p.doc.domainName))
}

func (p *parser) failWith(offset int, sentinel error, detail string, remedy finding.Remedy) error {
	offset = min(max(offset, 0), len(p.doc.data))
	pos := Position{Line: 1, Column: 1}.after(p.doc.data[:offset])
	return &Error{Name: p.doc.name, Pos: pos, Code: codeOf(sentinel), Detail: detail, Remedy: remedy, Err: sentinel}
}

func (p *parser) run() error {
	data := p.doc.data
	if len(data) > MaxInput {
		return p.fail(0, ErrLimit, "more than "+strconv.Itoa(MaxInput>>20)+" MiB")
	}
	p.pos = Position{Line: 1, Column: 1}
	p.reader = strictxml.NewReader(data, strictxml.Limits{Depth: MaxDepth, Attrs: MaxAttrs})
	for {
		token, err := p.reader.Token()
		if err == io.EOF {
			p.doc.domainName = p.domainName.String()
			return nil
		}
		if err != nil {
			return p.failRead(err)
		}
		if err := p.token(token); err != nil {
			return err
		}
	}
}

// failRead turns the reader's error into an [*Error].
func (p *parser) failRead(err error) error {
	var e *strictxml.Error
	if !errors.As(err, &e) {
		return err
	}
	return p.fail(e.Offset, e.Kind, e.Detail)
}

func (p *parser) token(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return p.start(t, p.reader.Start())
	case xml.EndElement:
		p.end(t)
	case xml.CharData:
		return p.text(t, p.reader.Start())
	}
	return nil
}

// start opens an element.
func (p *parser) start(t xml.StartElement, start int) error {
	k, err := p.kindOf(t, start)
	if err != nil {
		return err
	}
	p.open = append(p.open, k)
	switch k {
	case inDisk:
		return p.startInDisk(t, start)
	case elsewhereImage, elsewhereSource:
		p.startElsewhere(k, t, start)
	}
	return nil
}

// kindOf returns the kind of an element. libvirt finds the disks by the path
// ./devices/disk from the root, without a namespace; there may be several
// <devices>.
func (p *parser) kindOf(t xml.StartElement, start int) (kind, error) {
	if len(p.open) == 0 {
		switch {
		case p.doc.metadata && slices.Contains(metadataRoots, t.Name.Local):
			return metadataRoot, p.checkNamespace(t, start)
		case !p.doc.metadata && t.Name.Local == "disk":
			return inDisk, nil
		}
		return root, p.checkRoot(t, start)
	}
	parent := p.open[len(p.open)-1]
	switch {
	case parent == inDisk:
		return inDisk, nil
	case t.Name.Space != "":
		return other, nil
	case parent == metadataRoot:
		return p.kindOfCopy(t, start)
	case parent == root && t.Name.Local == "devices":
		return devices, p.checkNamespace(t, start)
	case parent == root && t.Name.Local == "name" && !p.named:
		p.named = true
		return domainName, nil
	case parent == root && t.Name.Local == "os":
		return osElement, nil
	case parent == devices && t.Name.Local == "disk":
		return inDisk, nil
	}
	return p.kindElsewhere(parent, t.Name.Local), nil
}

func (p *parser) checkRoot(t xml.StartElement, start int) error {
	if t.Name.Local != "domain" {
		return p.failWith(start, ErrNotDomain, "the root is <"+strictxml.ShownName(t.Name)+">", remedyFor(t.Name.Local))
	}
	if t.Name.Space != "" {
		return p.fail(start, ErrAmbiguous, "the root <"+strictxml.ShownName(t.Name)+"> has a prefix")
	}
	for _, a := range t.Attr {
		if a.Name.Space == "" && a.Name.Local == "id" {
			p.doc.live = true
		}
	}
	return p.checkNamespace(t, start)
}

// checkNamespace refuses a default namespace, in which libvirt does not find
// unprefixed elements.
func (p *parser) checkNamespace(t xml.StartElement, start int) error {
	for _, a := range t.Attr {
		if a.Name.Space == "" && a.Name.Local == "xmlns" {
			return p.fail(start, ErrAmbiguous, "<"+strictxml.ShownName(t.Name)+"> has a default namespace, in which libvirt does not look for disks")
		}
	}
	return nil
}

// startInDisk opens a disk, or an element in one. It refuses prefixes: libvirt
// ignores such elements and reads such attributes, depending on whether the
// prefix is declared, and libvirtxml ignores prefixes.
func (p *parser) startInDisk(t xml.StartElement, start int) error {
	if p.elements++; p.elements > MaxDiskElements {
		return p.fail(start, ErrLimit, "the disks have more than "+strconv.Itoa(MaxDiskElements)+" elements")
	}
	if p.attrs += len(t.Attr); p.attrs > MaxDiskAttrs {
		return p.fail(start, ErrLimit, "the disks have more than "+strconv.Itoa(MaxDiskAttrs)+" attributes")
	}
	if p.elem == nil && len(p.doc.disks) == MaxDisks {
		return p.fail(start, ErrLimit, "more than "+strconv.Itoa(MaxDisks)+" disks")
	}
	if t.Name.Space != "" || strings.Contains(t.Name.Local, ":") {
		return p.fail(start, ErrAmbiguous, "<"+strictxml.ShownName(t.Name)+"> in a disk has a prefix")
	}
	for _, a := range t.Attr {
		if len(a.Value) > MaxText {
			return p.fail(start, ErrLimit, "attribute "+strictxml.ShownName(a.Name)+" has more than "+strconv.Itoa(MaxText)+" bytes")
		}
		if a.Name.Space != "" || strings.Contains(a.Name.Local, ":") || a.Name.Local == "xmlns" {
			return p.fail(start, ErrAmbiguous, "attribute "+strictxml.ShownName(a.Name)+" of <"+strictxml.ShownName(t.Name)+"> in a disk is about namespaces")
		}
	}
	if p.elem != nil && isSingleton(p.elem.name, t.Name.Local) && p.elem.child(t.Name.Local) != nil {
		return p.fail(start, ErrAmbiguous, "<"+p.elem.name+"> has a second <"+t.Name.Local+">; libvirt reads the first")
	}
	return p.addElement(t, start)
}

func (p *parser) addElement(t xml.StartElement, start int) error {
	t, err := p.reader.Normal(t)
	if err != nil {
		return p.failRead(err)
	}
	tag := p.reader.Tag()
	p.pos = p.pos.after(p.doc.data[p.pos.Offset:start])
	e := &element{name: t.Name.Local, pos: p.pos, nameEnd: start + tag.NameEnd, open: p.reader.End(), parent: p.elem}
	if len(tag.Attrs) != len(t.Attr) {
		return p.fail(start, ErrSyntax, "start tag cannot be parsed")
	}
	for i, a := range tag.Attrs {
		e.quote = tag.Attrs[0].Quote
		e.attrs = append(e.attrs, attribute{t.Attr[i].Name.Local, t.Attr[i].Value, start + a.End})
	}
	if p.elem == nil {
		p.disk = &Disk{doc: p.doc, elem: e}
		p.doc.disks = append(p.doc.disks, p.disk)
	} else {
		p.elem.children = append(p.elem.children, e)
	}
	e.firstToken = len(p.disk.tokens)
	p.disk.tokens = append(p.disk.tokens, t)
	p.elem = e
	return nil
}

// end closes the innermost open element.
func (p *parser) end(t xml.EndElement) {
	last := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	if last == inDisk {
		e := p.elem
		p.disk.tokens = append(p.disk.tokens, t)
		e.close, e.end, e.endToken = p.reader.Start(), p.reader.End(), len(p.disk.tokens)
		p.elem = e.parent
	}
}

// text takes character data.
func (p *parser) text(t xml.CharData, start int) error {
	if len(p.open) == 0 {
		return nil
	}
	switch p.open[len(p.open)-1] {
	case domainName:
		if p.domainName.Write(t); p.domainName.Len() > MaxText {
			return p.fail(start, ErrLimit, "the domain's name has more than "+strconv.Itoa(MaxText)+" bytes")
		}
	case inDisk:
		return p.textInDisk(t, start)
	case elsewhereImage:
		p.textElsewhere(t)
	}
	return nil
}

// textInDisk stores a text. It joins text that comments and CDATA sections
// split, possibly into millions of pieces.
func (p *parser) textInDisk(t xml.CharData, start int) error {
	tokens := p.disk.tokens
	before, more := tokens[len(tokens)-1].(xml.CharData)
	switch {
	case len(before)+len(t) > MaxText:
		return p.fail(start, ErrLimit, "text of more than "+strconv.Itoa(MaxText)+" bytes in a disk")
	case more && len(t) > 0:
		tokens[len(tokens)-1] = append(before, t...)
	case len(t) > 0:
		p.disk.tokens = append(tokens, t.Copy())
	}
	return nil
}
