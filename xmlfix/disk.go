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
	tokens []xml.Token // of elem and all in it, without comments

	read *chain.Stated // what Stated found
	// layOut makes the edits that are queued, in the order of the document;
	// nil if there are none. They are laid out only when somebody wants the
	// bytes: most runs over many documents do not.
	layOut func() ([]edit, error)
	wanted *chain.Chain // what the edits make the XML state; nil if they remove the chain
	// replacement is the disk that the edits put in the place of this one; nil if they
	// do something else.
	replacement *Disk
}

// Pos returns the place of the disk's <source> start tag, or, without one, of
// the disk's own.
func (k *Disk) Pos() Position {
	if source := k.elem.child("source"); source != nil {
		return source.pos
	}
	return k.elem.pos
}

// Stated returns what the XML states of the disk: its own image first, then
// the explicit backing images. Queued edits do not show. The sources belong to
// the disk and must not be changed.
//
// The error is an [*Error] that wraps [ErrDisk]: libvirt 9.0 would reject the
// disk, or libvirtxml cannot express it. Guest, Target, Device and Bus are
// set even so.
func (k *Disk) Stated() (chain.Stated, error) {
	if k.read != nil {
		return *k.read, nil
	}
	stated := chain.Stated{Guest: k.doc.DomainName()}
	stated.Device, _ = k.elem.attr("device")
	stated.Target, _ = k.elem.child("target").attr("dev")
	stated.Bus, _ = k.elem.child("target").attr("bus")

	if e, err := checkDisk(k.elem); err != nil {
		return stated, k.fail(e.pos, ErrDisk, err.Error())
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
		return stated, k.fail(k.elem.pos, ErrDisk, err.Error())
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

// unmarshal hands the disk to libvirtxml, as far as libvirt reads it and
// libvirtxml can express it: without the backing stores that are beyond it.
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
// writes for running guests alone. libvirtxml loses an index of 0.
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

func (k *Disk) fail(pos Position, sentinel error, detail string) error {
	return &Error{Name: k.doc.name, Pos: pos, Code: codeOf(sentinel), Detail: detail, Remedy: remedyOf(sentinel, k.doc.DomainName()), Err: sentinel}
}
