package host

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/xmlfix"
)

// same reports how what libvirt has made of a definition differs from what it
// was given: it must state the same chains, and be the old definition once
// these are taken out. libvirt may write them in another way.
func same(old, wanted, got []byte) error {
	if string(wanted) == string(got) {
		return nil
	}
	want, err := statedIn(wanted)
	if err != nil {
		return err
	}
	have, err := statedIn(got)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(want, have) {
		return errors.New("the disks state something else")
	}
	before, err := stripped(old)
	if err != nil {
		return err
	}
	after, err := stripped(got)
	if err != nil {
		return err
	}
	if !agrees(before, after) {
		return errors.New("more than the chains has changed")
	}
	return nil
}

func statedIn(definition []byte) ([]chain.Stated, error) {
	doc, err := xmlfix.ParseMetadata("definition", definition)
	if err != nil {
		return nil, err
	}
	var all []chain.Stated
	for _, disk := range doc.Disks() {
		stated, err := disk.Stated()
		if err != nil {
			return nil, err
		}
		all = append(all, stated)
	}
	return all, nil
}

func stripped(definition []byte) ([]byte, error) {
	doc, err := xmlfix.ParseMetadata("definition", definition)
	if err != nil {
		return nil, err
	}
	for _, disk := range doc.Disks() {
		disk.RemoveChain()
	}
	return doc.Bytes()
}

// A newer libvirt writes the definitions anew that an older one has stored: from 7.0 to
// 12.9, for one, it adds <audio> and attributes of <topology> and <hyperv>, and puts
// controllers into another order. What has become of a definition then is not to be
// compared by its bytes; and what has come into it is not to be lost.

// disksGivenBack returns a definition with the disks of old in the place of those that
// wanted, by which the guest was fixed, has otherwise. All else stays as it is. The
// error wraps [ErrChanged] if one of these disks neither is what wanted has nor what old
// has.
func disksGivenBack(old, wanted, now []byte) ([]byte, error) {
	documents := make([]*xmlfix.Document, 3)
	for i, definition := range [][]byte{old, wanted, now} {
		var err error
		if documents[i], err = xmlfix.ParseMetadata("definition", definition); err != nil {
			return nil, err
		}
	}
	// A snapshot of a guest that ran has two definitions, in their order.
	before, fixed, is := documents[0].Disks(), documents[1].Disks(), make(map[string][]*xmlfix.Disk)
	if len(before) != len(fixed) {
		return nil, fmt.Errorf("%w: the run's definitions have different disks", ErrManifest)
	}
	for _, disk := range documents[2].Disks() {
		is[target(disk)] = append(is[target(disk)], disk)
	}
	for i := range before {
		var disk *xmlfix.Disk
		if all := is[target(before[i])]; len(all) > 0 {
			disk, is[target(before[i])] = all[0], all[1:]
		}
		switch {
		case before[i].Same(fixed[i]):
		case disk == nil:
			return nil, fmt.Errorf("%w: it has no disk %q any more", ErrChanged, target(before[i]))
		case disk.Same(before[i]):
		case disk.Same(fixed[i]):
			disk.Replace(before[i])
		default:
			return nil, fmt.Errorf("%w: its disk %q", ErrChanged, target(before[i]))
		}
	}
	return documents[2].Bytes()
}

// target is the name that a disk has for the guest. Stated sets it even of a disk that
// it cannot read.
func target(disk *xmlfix.Disk) string {
	stated, _ := disk.Stated()
	return stated.Target
}

// agrees reports whether libvirt has made of a definition what was meant, in whatever
// way it writes that.
func agrees(given, got []byte) bool {
	if string(given) == string(got) {
		return true
	}
	want, err := xmlfix.ParseMetadata("definition", given)
	if err != nil {
		return false
	}
	have, err := xmlfix.ParseMetadata("definition", got)
	return err == nil && have.Same(want)
}
