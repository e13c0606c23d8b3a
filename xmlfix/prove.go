package xmlfix

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// Bytes returns the document with the queued edits applied; without any, the
// bytes passed to [Parse].
//
// The result is proved before it is returned: bytes outside of the edits are
// unchanged, it parses, each edited disk states exactly the requested chain,
// and a second run would change nothing. If any of this fails, the error wraps
// [ErrProof] and Bytes returns nil.
func (d *Document) Bytes() ([]byte, error) {
	if !d.Changed() {
		return d.data, nil
	}
	edits, err := d.queued()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	out := splice(d.data, edits)
	if err := d.prove(edits, out); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	return out, nil
}

// Edit replaces the bytes of a document from Start to End by Text.
type Edit struct {
	Start, End int
	Text       string
}

// Edits returns the edits that [Document.Bytes] applies to the bytes passed to
// [Parse], in the order of the document, without overlaps. Errors wrap
// [ErrProof].
func (d *Document) Edits() ([]Edit, error) {
	queued, err := d.queued()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	edits := make([]Edit, len(queued))
	for i, e := range queued {
		edits[i] = Edit{e.start, e.end, e.text}
	}
	return edits, nil
}

// queued returns the edits of every disk in the order of the document.
func (d *Document) queued() ([]edit, error) {
	var edits []edit
	for _, disk := range d.disks {
		if disk.layOut == nil {
			continue
		}
		own, err := disk.layOut()
		if err != nil {
			return nil, err
		}
		edits = append(edits, own...)
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	return edits, nil
}

func splice(data []byte, edits []edit) []byte {
	size := len(data)
	for _, e := range edits {
		size += len(e.text) - (e.end - e.start)
	}
	out := make([]byte, 0, size)
	last := 0
	for _, e := range edits {
		out = append(out, data[last:e.start]...)
		out = append(out, e.text...)
		last = e.end
	}
	return append(out, data[last:]...)
}

// prove checks that out is the right result of the edits to d.
func (d *Document) prove(edits []edit, out []byte) error {
	if !untouched(d.data, out, edits) {
		return errors.New("bytes outside the edits differ")
	}
	again, err := parse(&Document{name: d.name, data: out, metadata: d.metadata})
	if err != nil {
		return err
	}
	if len(again.disks) != len(d.disks) || again.domainName != d.domainName {
		return errors.New("it has other disks or another name")
	}
	for i, disk := range d.disks {
		if disk.layOut == nil {
			continue
		}
		if err := disk.prove(again.disks[i]); err != nil {
			return fmt.Errorf("disk %d: %w", i, err)
		}
	}
	return nil
}

// untouched reports whether out equals data outside of the edits.
func untouched(data, out []byte, edits []edit) bool {
	from, shift := 0, 0
	for _, e := range append(slices.Clone(edits), edit{len(data), len(data), ""}) {
		if e.start < from || e.end < e.start || e.start+shift > len(out) ||
			!bytes.Equal(data[from:e.start], out[from+shift:e.start+shift]) {
			return false
		}
		from = e.end
		shift += len(e.text) - (e.end - e.start)
	}
	return from+shift == len(out)
}

// prove checks again, the parsed result of k's edits.
func (k *Disk) prove(again *Disk) error {
	if k.replacement != nil {
		return k.proveReplaced(again)
	}
	if k.wanted == nil {
		return k.proveRemoved(again)
	}
	stated, err := again.Stated()
	if err != nil {
		return err
	}
	if !states(stated, k.wanted) {
		return errors.New("it does not state the chain")
	}
	if err := again.SetChain(k.wanted); err != nil {
		return err
	}
	if again.layOut != nil {
		return errors.New("a second run would change it again")
	}
	return nil
}

// proveRemoved does so for the removal of a chain, which works even if the
// disk cannot be read.
func (k *Disk) proveRemoved(again *Disk) error {
	if again.elem.child("backingStore") != nil {
		return errors.New("it still has a chain")
	}
	before, err := k.Stated()
	if err != nil {
		return nil
	}
	after, err := again.Stated()
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(after.Layers, before.Layers[:1]) {
		return errors.New("its own image changed")
	}
	return nil
}
