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

// SetChain queues the edits that make the XML state exactly the chain c, and
// drops earlier edits of the disk. An explicit or skipped chain needs none.
//
// Layers that the XML already states stay byte for byte, except for a
// <dataStore> that is added to a <source>, replaced or removed. From the first
// layer that differs the chain is rewritten, with a type, a <format> and a
// <source> for each layer and an empty <backingStore/> at the end. A missing
// <driver type> is added. A rewritten layer whose <source> the XML already has
// keeps its bytes, with its indent and quotes.
//
// The error is an [*Error]. It wraps [ErrDisk] as [Disk.Stated] does,
// [ErrRefused] if that is c's verdict, or [ErrChain] if c is not a chain of
// this disk, or if content of the XML would be lost; then nothing is queued.
func (k *Disk) SetChain(c *chain.Chain) error {
	k.layOut, k.wanted, k.replacement = nil, nil, nil
	stated, err := k.Stated()
	if err != nil {
		return err
	}
	p, err := planFor(stated, c)
	if err != nil {
		return k.failPlan(err)
	}
	if err := k.checkPlaces(p); err != nil {
		return k.fail(k.Pos(), ErrChain, err.Error())
	}
	if p.driverType != "" || p.rewrite || len(p.dataStores) > 0 {
		k.layOut, k.wanted = func() ([]edit, error) { return k.editsFor(p) }, c
	}
	return nil
}

// checkPlaces checks that the document has the elements that the plan's edits
// need, and that replacing them loses nothing.
func (k *Disk) checkPlaces(p plan) error {
	if p.rewrite && k.storePlace(p).child("source") == nil {
		return errors.New("the disk has no <source>")
	}
	for _, i := range p.dataStores {
		if k.elementsOf(i).source == nil {
			return errors.New("the disk has no <source>")
		}
	}
	return k.checkCopies(p)
}

// RemoveChain queues the removal of the disk's <backingStore>, with all of its
// content, and drops earlier edits of the disk. A <dataStore> in the disk's
// own <source> stays: it is a part of that image, not of the backing chain.
func (k *Disk) RemoveChain() {
	k.layOut, k.wanted, k.replacement = nil, nil, nil
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
	for _, i := range p.dataStores {
		e, err := k.doc.setDataStore(k.elementsOf(i).source, p.layers[i].Source.DataStore)
		if err != nil {
			return nil, err
		}
		edits = append(edits, e)
	}
	if !p.rewrite {
		return edits, nil
	}
	f, err := k.storeFragment(p)
	if err != nil {
		return nil, err
	}
	parent := k.storePlace(p)
	var e edit
	if old := parent.child("backingStore"); old != nil {
		e = k.doc.replace(old, f.root)
	} else {
		e = k.doc.insertAfter(parent.child("source"), f.root)
	}
	e.text = f.printed(e.text)
	return append(edits, e), nil
}

// storePlace returns the parent element of the new <backingStore>.
func (k *Disk) storePlace(p plan) *element {
	if p.keep > 1 {
		return k.elementsOf(p.keep - 1).store
	}
	return k.elem
}

// editDriver states the format of the top image: in the <driver> after its
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
