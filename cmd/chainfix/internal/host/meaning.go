package host

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/xmlfix"
)

// same compares the definition that libvirt returns with the one that it was
// given: it must state the same chains and, apart from these, equal the old
// definition. libvirt may format it differently.
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
		return errors.New("the disks state different chains")
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

// A newer libvirt rewrites the definitions that an older one has stored: from
// 7.0 to 12.9, for example, it adds <audio> and attributes of <topology> and
// <hyperv>, and reorders controllers. Such definitions cannot be compared byte
// for byte, and the additions must not be lost.

// disksGivenBack returns the definition now with the disks that the fix
// changed restored from old; wanted is the fixed definition. Everything else
// stays. The error wraps [ErrChanged] if one of these disks equals neither the
// one in wanted nor the one in old.
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
			return nil, fmt.Errorf("%w: it no longer has the disk %q", ErrChanged, target(before[i]))
		case disk.Same(before[i]):
		case disk.Same(fixed[i]):
			disk.Replace(before[i])
		default:
			return nil, fmt.Errorf("%w: its disk %q", ErrChanged, target(before[i]))
		}
	}
	return documents[2].Bytes()
}

// target returns a disk's target. Stated sets it even if it cannot read the
// disk.
func target(disk *xmlfix.Disk) string {
	stated, _ := disk.Stated()
	return stated.Target
}

// agrees reports whether the definition that libvirt returns is equivalent to
// the one that it was given.
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
