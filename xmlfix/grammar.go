package xmlfix

import (
	"errors"
	"slices"

	"github.com/chainfix/chainfix/chain/strictxml"
)

// singletons are, for each element that this package reads, the children that
// must not be repeated: libvirt reads the first, and libvirtxml the last.
var singletons = []struct {
	parent   string
	children []string
}{
	{"disk", []string{"driver", "auth", "source", "backingStore", "mirror", "target", "encryption"}},
	{"backingStore", []string{"format", "source", "backingStore"}},
	{"dataStore", []string{"format", "source"}},
	{"source", []string{"address", "auth", "config", "cookies", "dataStore", "encryption", "identity", "initiator", "knownHosts",
		"readahead", "reconnect", "reservations", "slices", "snapshot", "ssl", "timeout"}},
}

func isSingleton(parent, child string) bool {
	for _, s := range singletons {
		if s.parent == parent {
			return slices.Contains(s.children, child)
		}
	}
	return false
}

// diskTypes and storeTypes are the types of a <disk>, and of a <backingStore>
// or <dataStore>, that libvirtxml v1.12008.0 can express. libvirt also accepts
// type nvme for the latter two.
var (
	diskTypes  = []string{"file", "block", "dir", "network", "volume", "nvme", "vhostuser", "vhostvdpa", "ctl"}
	storeTypes = []string{"file", "block", "dir", "network", "volume", "vhostuser", "vhostvdpa", "ctl"}
)

// sourceNames returns the attributes by which a <source> of a type names an
// image. Without any of them the source has no name, and QEMU refuses to
// start.
func sourceNames(sourceType string) []string {
	switch sourceType {
	case "file":
		return []string{"file", "fdgroup"}
	case "block":
		return []string{"dev"}
	case "dir":
		return []string{"dir"}
	case "network":
		return []string{"protocol"}
	case "volume":
		return []string{"pool"}
	}
	return nil
}

// checkDisk finds what libvirt 9.0 rejects and libvirtxml does not: unknown or
// empty types, and missing children. It returns the element that is wrong.
func checkDisk(disk *element) (*element, error) {
	if value, ok := disk.attr("type"); ok && !slices.Contains(diskTypes, value) {
		return disk, ofDisk("Invalid value for attribute 'type' in element 'disk': '"+strictxml.Shown(value)+"'", "unknown disk type "+quote(value))
	}
	driver := disk.child("driver")
	if value, ok := driver.attr("type"); ok && value == "" {
		return driver, ofDisk("unknown driver format value ''", "the type of the <driver> is empty")
	}
	if store := disk.child("source").child("dataStore"); store != nil {
		if err := checkDataStoreElement(store); err != nil {
			return store, err
		}
	}
	for _, store := range disk.backingStores() {
		if !store.typed() {
			break
		}
		if err := checkStore(store); err != nil {
			return store, err
		}
	}
	return nil, nil
}

// libvirt's messages about a <backingStore> that lacks one of them.
const (
	noStoreFormat = "missing disk backing store format"
	noStoreSource = "missing disk backing store source"
)

func checkStore(store *element) error {
	value, _ := store.attr("type")
	switch {
	case value != "nvme" && !slices.Contains(storeTypes, value):
		return ofStore("unknown storage source type '"+strictxml.Shown(value)+"'", "unknown type "+quote(value)+" of a <backingStore>")
	case store.child("format") == nil:
		return ofStore(noStoreFormat, "a <backingStore> has no <format>")
	case store.child("source") == nil:
		return ofStore(noStoreSource, "a <backingStore> has no <source>")
	}
	source := store.child("source")
	names := sourceNames(value)
	named := func(name string) bool {
		value, _ := source.attr(name)
		return value != ""
	}
	if len(names) == 0 && len(source.attrs) == 0 || len(names) > 0 && !slices.ContainsFunc(names, named) {
		const detail = "a <backingStore> has an empty <source>"
		if value == "file" || value == "block" {
			return ofStore(noStoreSource, detail)
		}
		return errors.New(detail)
	}
	if store := store.child("source").child("dataStore"); store != nil {
		return checkDataStoreElement(store)
	}
	return nil
}

// checkDataStoreElement checks what libvirt checks since it supports the
// element (10.10); libvirt 9.0 ignores it, whatever it contains.
func checkDataStoreElement(store *element) error {
	const notRaw = "a <dataStore> is not stated to be raw"
	value, typed := store.attr("type")
	format, _ := store.child("format").attr("type")
	switch {
	case !typed:
		return ofDataStore("Missing required attribute 'type' in element 'dataStore'", "a <dataStore> has no type")
	case value == "nvme":
		return errors.New("a <dataStore> of type nvme cannot be expressed by libvirtxml")
	case !slices.Contains(storeTypes, value):
		return ofDataStore("unknown storage source type '"+strictxml.Shown(value)+"'", "unknown type "+quote(value)+" of a <dataStore>")
	case format == "":
		return ofDataStore("missing data file store format", notRaw)
	case store.child("source") == nil:
		return ofDataStore("missing disk data file store source", "a <dataStore> has no <source>")
	case store.child("source").child("dataStore") != nil:
		return ofDataStore("The <source> of <dataStore> can't have another nested <dataStore> or <backingStore> element", "a <dataStore> has a <dataStore>")
	case format != "raw":
		return ofDataStore("only 'raw' images supported as <dataStore>", notRaw)
	}
	return nil
}

// inexpressible returns the first of a disk's backing stores that libvirtxml
// cannot express, with all after it; usually none.
func inexpressible(stores []*element) []*element {
	for i, store := range stores {
		if value, _ := store.attr("type"); value == "nvme" {
			return stores[i:]
		}
	}
	return nil
}

// checkFormats checks the formats of backing stores that libvirtxml cannot
// read, as layerOf does for the others.
func checkFormats(stores []*element) error {
	for _, store := range stores {
		if !store.typed() {
			break
		}
		if _, err := storeFormat(formatOf(store.child("format"))); err != nil {
			return err
		}
	}
	return nil
}
