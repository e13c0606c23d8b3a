package xmlfix

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain/finding"
)

// Parse reads a domain XML, or a lone <disk>, which libvirt takes where it
// attaches or updates a device. The name is for messages: a file's, or what
// stands for it.
//
// The document keeps data, which must not be changed as long as the document
// is in use. Errors are [*Error] and wrap [ErrSyntax], [ErrEncoding],
// [ErrAmbiguous], [ErrNotDomain] or [ErrLimit]. What is wrong with a single
// disk is for [Disk.Stated] to say.
func Parse(name string, data []byte) (*Document, error) {
	p := &parser{doc: &Document{name: name, data: data}}
	if err := p.run(); err != nil {
		return nil, err
	}
	return p.doc, nil
}

// parser makes one pass over a document. encoding/xml finds the tokens and
// checks most of their syntax; the parser checks what RawToken leaves to
// others, and what libxml2 is stricter about.
type parser struct {
	doc  *Document
	bom  int // length of the byte order mark
	dec  *xml.Decoder
	tag  tag
	open []opened // the elements that are open, the root first

	metadata bool // the document is one of [MetadataDisks]

	rooted     bool // the root has begun
	named      bool // the domain's first <name> has begun
	domainName strings.Builder
	disk       *Disk
	elem       *element // the innermost that is open in disk
	elements   int      // in all disks so far
	attrs      int      // of these
	pos        Position // of the element in a disk that began last
}

// opened is an element that is open.
type opened struct {
	name xml.Name
	kind kind
}

// kind says what is read in an element.
type kind int

const (
	other kind = iota
	root
	metadataRoot
	devices
	domainName
	inDisk // a disk or anything in it
)

func (p *parser) fail(offset int, sentinel error, detail string) error {
	return p.failWith(offset, sentinel, detail, remedyOf(sentinel, p.doc.domainName))
}

func (p *parser) failWith(offset int, sentinel error, detail string, remedy finding.Remedy) error {
	offset = min(max(offset, 0), len(p.doc.data))
	pos := Position{Line: 1, Column: 1}.after(p.doc.data[:offset])
	return &Error{Name: p.doc.name, Pos: pos, Code: codes[sentinel], Detail: detail, Remedy: remedy, Err: sentinel}
}

func (p *parser) run() error {
	data := p.doc.data
	if len(data) > MaxInput {
		return p.fail(0, ErrLimit, "more than "+strconv.Itoa(MaxInput>>20)+" MiB")
	}
	if offset, detail, err := checkCharacters(data); err != nil {
		return p.fail(offset, err, detail)
	}
	if bytes.HasPrefix(data, byteOrderMark) {
		p.bom = len(byteOrderMark)
	}
	if detail, err := checkDeclaration(data[p.bom:]); err != nil {
		return p.fail(p.bom, err, detail)
	}
	p.pos = Position{Line: 1, Column: 1}
	p.dec = xml.NewDecoder(bytes.NewReader(data[p.bom:]))
	for {
		start := p.offset()
		if err := p.lookAhead(start); err != nil {
			return err
		}
		token, err := p.dec.RawToken()
		if err == io.EOF {
			return p.finish(start)
		}
		if err != nil {
			return p.fail(p.offset(), ErrSyntax, syntaxDetail(err))
		}
		if err := p.token(token, start); err != nil {
			return err
		}
	}
}

// offset is the decoder's place in the document.
func (p *parser) offset() int { return p.bom + int(p.dec.InputOffset()) }

func syntaxDetail(err error) string {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return quoteInside(syntax.Msg)
	}
	return quoteInside(err.Error())
}

func (p *parser) finish(end int) error {
	switch {
	case !p.rooted:
		return p.fail(end, ErrSyntax, "no element")
	case len(p.open) > 0:
		return p.fail(end, ErrSyntax, "<"+p.open[len(p.open)-1].String()+"> has no end tag")
	}
	p.doc.domainName = p.domainName.String()
	return nil
}

// lookAhead checks, before encoding/xml reads it, a token that it would read
// too leniently, or at a cost without bounds.
func (p *parser) lookAhead(start int) error {
	text := p.doc.data[start:]
	if len(text) < 2 || text[0] != '<' {
		return nil
	}
	switch {
	case text[1] == '!':
		switch {
		case bytes.HasPrefix(text, []byte("<!DOCTYPE")):
			return p.fail(start, ErrAmbiguous, "a DOCTYPE can define entities and default attributes, which libvirt applies")
		case bytes.HasPrefix(text, []byte("<![CDATA[")) && len(p.open) == 0:
			return p.fail(start, ErrSyntax, "CDATA outside the root element")
		case !bytes.HasPrefix(text, []byte("<![CDATA[")) && !bytes.HasPrefix(text, []byte("<!--")):
			return p.fail(start, ErrSyntax, "markup declaration outside a DOCTYPE")
		}
	case text[1] != '/' && text[1] != '?':
		if offset, detail, err := p.tag.scan(text); err != nil {
			return p.fail(start+offset, err, detail)
		}
	}
	return nil
}

func (p *parser) token(token xml.Token, start int) error {
	switch t := token.(type) {
	case xml.StartElement:
		if err := p.start(t, start); err != nil {
			return err
		}
		if end := p.offset(); p.doc.data[end-2] == '/' {
			// RawToken will make the end tag up, at no place of its own.
			token, err := p.dec.RawToken()
			if end, ok := token.(xml.EndElement); err == nil && ok {
				return p.end(end, p.offset())
			}
			return p.fail(p.offset(), ErrSyntax, "empty element without an end")
		}
	case xml.EndElement:
		return p.end(t, start)
	case xml.CharData:
		return p.text(t, start)
	case xml.ProcInst:
		return p.procInst(t, start)
	}
	return nil
}

// String returns the element's name for messages.
func (o opened) String() string { return nameOf(o.name) }

func nameOf(n xml.Name) string {
	if n.Space == "" {
		return quoteInside(n.Local)
	}
	return quoteInside(n.Space + ":" + n.Local)
}

// start opens an element.
func (p *parser) start(t xml.StartElement, start int) error {
	if len(p.open) == MaxDepth {
		return p.fail(start, ErrLimit, "more than "+strconv.Itoa(MaxDepth)+" elements are open")
	}
	k, err := p.kindOf(t, start)
	if err != nil {
		return err
	}
	p.open = append(p.open, opened{t.Name, k})
	if k == inDisk {
		return p.startInDisk(t, start)
	}
	return nil
}

// kindOf tells what is to be read in an element. libvirt finds the disks by
// the path ./devices/disk from the root, in no name space; there may be
// several <devices>.
func (p *parser) kindOf(t xml.StartElement, start int) (kind, error) {
	if len(p.open) == 0 {
		if p.rooted {
			return other, p.fail(start, ErrSyntax, "second root element <"+nameOf(t.Name)+">")
		}
		p.rooted = true
		switch {
		case p.metadata && slices.Contains(metadataRoots, t.Name.Local):
			return metadataRoot, p.checkNamespace(t, start)
		case !p.metadata && t.Name.Local == "disk":
			return inDisk, nil
		}
		return root, p.checkRoot(t, start)
	}
	parent := p.open[len(p.open)-1].kind
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
	case parent == devices && t.Name.Local == "disk":
		return inDisk, nil
	}
	return other, nil
}

func (p *parser) checkRoot(t xml.StartElement, start int) error {
	if t.Name.Local != "domain" {
		return p.failWith(start, ErrNotDomain, "the root is <"+nameOf(t.Name)+">", remedyFor(t.Name.Local))
	}
	if t.Name.Space != "" {
		return p.fail(start, ErrAmbiguous, "the root <"+nameOf(t.Name)+"> has a prefix")
	}
	for _, a := range t.Attr {
		if a.Name.Space == "" && a.Name.Local == "id" {
			p.doc.live = true
		}
	}
	return p.checkNamespace(t, start)
}

// checkNamespace refuses a default name space, in which libvirt does not find
// what is unprefixed.
func (p *parser) checkNamespace(t xml.StartElement, start int) error {
	for _, a := range t.Attr {
		if a.Name.Space == "" && a.Name.Local == "xmlns" {
			return p.fail(start, ErrAmbiguous, "<"+nameOf(t.Name)+"> has a default name space, in which libvirt does not look for disks")
		}
	}
	return nil
}

// startInDisk opens a disk, or an element in one. Here nothing may have a
// prefix: libvirt ignores such elements and reads such attributes, both by
// whether the prefix is declared, and libvirtxml sees no prefix at all.
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
		return p.fail(start, ErrAmbiguous, "<"+nameOf(t.Name)+"> in a disk has a prefix")
	}
	for _, a := range t.Attr {
		if len(a.Value) > MaxText {
			return p.fail(start, ErrLimit, "attribute "+nameOf(a.Name)+" has more than "+strconv.Itoa(MaxText)+" bytes")
		}
		if a.Name.Space != "" || strings.Contains(a.Name.Local, ":") || a.Name.Local == "xmlns" {
			return p.fail(start, ErrAmbiguous, "attribute "+nameOf(a.Name)+" of <"+nameOf(t.Name)+"> in a disk has to do with name spaces")
		}
	}
	if p.elem != nil && isSingleton(p.elem.name, t.Name.Local) && p.elem.child(t.Name.Local) != nil {
		return p.fail(start, ErrAmbiguous, "<"+p.elem.name+"> has a second <"+t.Name.Local+">; libvirt reads the first")
	}
	return p.addElement(t, start)
}

func (p *parser) addElement(t xml.StartElement, start int) error {
	end := p.offset()
	text := p.doc.data[start:end]
	if bytes.ContainsAny(text, "\t\r\n") {
		token, err := xml.NewDecoder(bytes.NewReader(normalizeTag(text))).RawToken()
		normal, ok := token.(xml.StartElement)
		if err != nil || !ok {
			return p.fail(start, ErrSyntax, "start tag changes with its white space")
		}
		t = normal
	}
	p.pos = p.pos.after(p.doc.data[p.pos.Offset:start])
	e := &element{name: t.Name.Local, pos: p.pos, nameEnd: start + p.tag.nameEnd, open: end, parent: p.elem}
	if len(p.tag.attrs) != len(t.Attr) {
		return p.fail(start, ErrSyntax, "start tag cannot be taken apart")
	}
	for i, a := range p.tag.attrs {
		e.quote = p.tag.attrs[0].quote
		e.attrs = append(e.attrs, attribute{t.Attr[i].Name.Local, t.Attr[i].Value, start + a.end})
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

// end closes an element whose end tag begins at start.
func (p *parser) end(t xml.EndElement, start int) error {
	if len(p.open) == 0 {
		return p.fail(start, ErrSyntax, "</"+nameOf(t.Name)+"> has no start tag")
	}
	last := p.open[len(p.open)-1]
	if last.name != t.Name {
		return p.fail(start, ErrSyntax, "<"+last.String()+"> ends with </"+nameOf(t.Name)+">")
	}
	p.open = p.open[:len(p.open)-1]
	if last.kind == inDisk {
		e := p.elem
		p.disk.tokens = append(p.disk.tokens, t)
		e.close, e.end, e.endToken = start, p.offset(), len(p.disk.tokens)
		p.elem = e.parent
	}
	return nil
}

// text takes character data, of which there is none outside the root.
func (p *parser) text(t xml.CharData, start int) error {
	raw := p.doc.data[start:p.offset()]
	if len(p.open) == 0 {
		for i, b := range raw {
			if !isSpace(b) {
				return p.fail(start+i, ErrSyntax, "text outside the root element")
			}
		}
		return nil
	}
	if raw[0] != '<' && badReference(raw) {
		return p.fail(start, ErrSyntax, badReferenceDetail)
	}
	switch p.open[len(p.open)-1].kind {
	case domainName:
		if p.domainName.Write(t); p.domainName.Len() > MaxText {
			return p.fail(start, ErrLimit, "the domain's name has more than "+strconv.Itoa(MaxText)+" bytes")
		}
	case inDisk:
		return p.textInDisk(t, start)
	}
	return nil
}

// textInDisk keeps a text. What comments and CDATA sections take apart becomes
// one again: it may be millions of pieces.
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

func (p *parser) procInst(t xml.ProcInst, start int) error {
	if strings.EqualFold(t.Target, "xml") && (start != p.bom || t.Target != "xml") {
		return p.fail(start, ErrSyntax, "XML declaration that is not at the document's start")
	}
	behind := p.doc.data[start+len("<?")+len(t.Target):]
	if !isSpace(behind[0]) && !bytes.HasPrefix(behind, []byte("?>")) {
		return p.fail(start, ErrSyntax, "no white space behind the target of a processing instruction")
	}
	return nil
}
