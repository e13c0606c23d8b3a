package xmlfix

import "encoding/xml"

// element is one element of a disk, with the offsets at which it can be
// edited. Offsets are bytes from the document's start. A nil element has no
// attributes and no children.
type element struct {
	name     string
	pos      Position // of its '<'
	nameEnd  int
	open     int  // after the start tag
	close    int  // before the end tag; after <a/>
	end      int  // after the end tag
	quote    byte // of its first attribute; 0 if it has none
	attrs    []attribute
	parent   *element // nil for the disk
	children []*element

	// The range of the element's tokens in its disk's list.
	firstToken, endToken int
}

type attribute struct {
	name, value string
	end         int // after the closing quote
}

func (e *element) start() int { return e.pos.Offset }

// attr returns the value of an attribute.
func (e *element) attr(name string) (value string, ok bool) {
	if e != nil {
		for _, a := range e.attrs {
			if a.name == name {
				return a.value, true
			}
		}
	}
	return "", false
}

// typed reports whether e has a type attribute.
func (e *element) typed() bool {
	_, ok := e.attr("type")
	return ok
}

// child returns the first child with this name, or nil.
func (e *element) child(name string) *element {
	if e != nil {
		for _, c := range e.children {
			if c.name == name {
				return c
			}
		}
	}
	return nil
}

// backingStores returns the explicit chain of a disk: its <backingStore>, the
// one in that, and so on. One without a type is the end, whatever it contains
// (virDomainDiskBackingStoreParse of libvirt 9.0).
func (e *element) backingStores() []*element {
	var found []*element
	for b := e.child("backingStore"); b != nil; b = b.child("backingStore") {
		found = append(found, b)
		if !b.typed() {
			break
		}
	}
	return found
}

func lastOf(elements []*element) *element {
	if len(elements) == 0 {
		return nil
	}
	return elements[len(elements)-1]
}

// tokenReader replays the tokens of an element to a decoder, except those from
// skipFrom to skipTo.
type tokenReader struct {
	tokens           []xml.Token
	next             int
	skipFrom, skipTo int
}

// Token implements [xml.TokenReader]. It is not called again after the end tag
// that matches the first start tag.
func (r *tokenReader) Token() (xml.Token, error) {
	if r.next == r.skipFrom && r.skipTo > r.skipFrom {
		r.next = r.skipTo
	}
	t := r.tokens[r.next]
	r.next++
	return t, nil
}
