package xmlfix

import (
	"encoding/xml"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/strictxml"
)

// Disk is one <disk> of a [Document].
type Disk struct {
	doc    *Document
	elem   *element
	tokens []xml.Token // of elem and its content, without comments

	read *chain.Stated // the result of Stated
	// layOut makes the queued edits, in the order of the document; nil means
	// none. It is called only if the bytes are needed: most runs over many
	// documents do not need them.
	layOut func() ([]edit, error)
	wanted *chain.Chain // the chain after the edits; nil if they remove it
	// replacement is the disk that replaces this one; nil for other edits.
	replacement *Disk
}

// Pos returns the position of the disk's <source> start tag, or, without one,
// of the disk's.
func (k *Disk) Pos() Position {
	if source := k.elem.child("source"); source != nil {
		return source.pos
	}
	return k.elem.pos
}

// Stated returns what the XML states about the disk: its own image first, then
// the explicit backing images. Queued edits are not included. The sources
// belong to the disk and must not be modified.
//
// The error is an [*Error] that wraps [ErrDisk]: libvirt 9.0 would reject the
// disk, or libvirtxml cannot express it. Guest, Target, Device and Bus are set
// anyway.
func (k *Disk) Stated() (chain.Stated, error) {
	if k.read != nil {
		return *k.read, nil
	}
	stated := chain.Stated{Guest: k.doc.DomainName()}
	stated.Device, _ = k.elem.attr("device")
	stated.Target, _ = k.elem.child("target").attr("dev")
	stated.Bus, _ = k.elem.child("target").attr("bus")

	if e, err := checkDisk(k.elem); err != nil {
		return stated, k.unreadable(e.pos, err)
	}
	stores := k.elem.backingStores()
	beyond := inexpressible(stores)
	disk, err := k.unmarshal(stores, beyond)
	if err != nil {
		return stated, k.fail(k.elem.pos, ErrDisk, strictxml.Shown(err.Error()))
	}
	read, err := statedBy(disk)
	if err == nil {
		err = checkFormats(beyond)
	}
	if err != nil {
		return stated, k.unreadable(k.elem.pos, err)
	}
	if last := lastOf(stores); last != nil && !last.typed() {
		read.Terminated, read.Typeless = true, len(last.children) > 0
	}
	if len(beyond) > 0 {
		value, _ := beyond[0].attr("type")
		read.Inexpressible = "a <backingStore> of type " + value
	}
	read.Guest = stated.Guest
	read.Live = k.doc.live || indexed(k.elem) || indexed(stores...)
	k.read = &read
	return read, nil
}

// unmarshal decodes the disk with libvirtxml, as far as libvirt reads it,
// without the backing stores that libvirtxml cannot express.
func (k *Disk) unmarshal(stores, beyond []*element) (*libvirtxml.DomainDisk, error) {
	replay := &tokenReader{tokens: k.tokens}
	switch last := lastOf(stores); {
	case len(beyond) > 0:
		replay.skipFrom, replay.skipTo = beyond[0].firstToken, beyond[0].endToken
	case last != nil && !last.typed():
		replay.skipFrom, replay.skipTo = last.firstToken+1, last.endToken-1
	}
	disk := &libvirtxml.DomainDisk{}
	return disk, xml.NewTokenDecoder(replay).Decode(disk)
}

// indexed reports whether an element or its source has an index, which libvirt
// writes only for running guests. libvirtxml loses an index of 0.
func indexed(elements ...*element) bool {
	for _, e := range elements {
		_, own := e.attr("index")
		_, sources := e.child("source").attr("index")
		if own || sources {
			return true
		}
	}
	return false
}

// unreadable returns the error for a disk that cannot be read, with libvirt's
// message.
func (k *Disk) unreadable(pos Position, err error) error {
	e := k.fail(pos, ErrDisk, err.Error())
	e.Objection = objectionOf(err)
	return e
}

func (k *Disk) fail(pos Position, sentinel error, detail string) *Error {
	return &Error{Name: k.doc.name, Pos: pos, Code: codeOf(sentinel), Detail: detail, Remedy: remedyOf(sentinel, k.doc.DomainName()), Err: sentinel}
}
