package xmlfix

import (
	"errors"
	"strings"

	"github.com/chainfix/chainfix/chain"
)

// edit replaces the bytes from start to end by text.
type edit struct {
	start, end int
	text       string
}

// SetChain queues the edits that make the XML state exactly the chain c, in
// place of whatever was queued for the disk before. An explicit or skipped
// chain needs none.
//
// Layers that the XML states already stay byte for byte; what is below the
// first that differs is written anew, with a type, a <format> and a <source>
// for each layer and an empty <backingStore/> at the end, and so is a <driver
// type> that is missing.
//
// The error is an [*Error]. It wraps [ErrDisk] as [Disk.Stated] does,
// [ErrRefused] if that is c's verdict, or [ErrChain] if c is no chain for this
// disk; then nothing is queued.
func (k *Disk) SetChain(c *chain.Chain) error {
	k.layOut, k.wanted = nil, nil
	stated, err := k.Stated()
	if err != nil {
		return err
	}
	p, err := planFor(stated, c)
	if err != nil {
		return k.failPlan(err)
	}
	if p.store != nil && k.storePlace(p).child("source") == nil {
		return k.fail(k.Pos(), ErrChain, "the disk has no <source>")
	}
	if p.driverType != "" || p.store != nil {
		k.layOut, k.wanted = func() ([]edit, error) { return k.editsFor(p) }, c
	}
	return nil
}

// RemoveChain queues the removal of the disk's <backingStore>, whatever it
// holds, in place of whatever was queued for the disk before.
func (k *Disk) RemoveChain() {
	k.layOut, k.wanted = nil, nil
	if store := k.elem.child("backingStore"); store != nil {
		k.layOut = func() ([]edit, error) { return []edit{k.doc.remove(store)}, nil }
	}
}

func (k *Disk) failPlan(err error) error {
	sentinel := ErrChain
	if errors.Is(err, ErrRefused) {
		sentinel = ErrRefused
	}
	detail := strings.TrimPrefix(err.Error(), sentinel.Error())
	return k.fail(k.Pos(), sentinel, strings.TrimPrefix(detail, ": "))
}

func (k *Disk) editsFor(p plan) ([]edit, error) {
	var edits []edit
	if p.driverType != "" {
		edits = append(edits, k.editDriver(p.driverType))
	}
	if p.store == nil {
		return edits, nil
	}
	e, err := storeElement(p.store)
	if err != nil {
		return nil, err
	}
	parent := k.storePlace(p)
	if old := parent.child("backingStore"); old != nil {
		return append(edits, k.doc.replace(old, e)), nil
	}
	return append(edits, k.doc.insertBehind(parent.child("source"), e)), nil
}

// storePlace returns the element in which the new <backingStore> goes.
func (k *Disk) storePlace(p plan) *element {
	if p.keep > 1 {
		return k.elem.backingStores()[p.keep-2]
	}
	return k.elem
}

// editDriver states the format of the top image: in the <driver> behind its
// name, as libvirt writes it, or in a new one.
func (k *Disk) editDriver(driverType string) edit {
	driver := k.elem.child("driver")
	if driver == nil {
		return k.doc.insertFirst(k.elem, driverElement(driverType))
	}
	at := driver.nameEnd
	for _, a := range driver.attrs {
		if a.name == "name" {
			at = a.end
		}
	}
	l := layout{quote: quoteNear(driver.parent, driver)}
	return edit{at, at, l.printAttr("type", driverType)}
}
