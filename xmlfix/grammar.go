package xmlfix

import (
	"errors"
	"fmt"
	"slices"
)

// singletons are, for each element whose content is read here, the children of
// which libvirt reads the first, and libvirtxml the last.
var singletons = map[string][]string{
	"disk":         {"driver", "auth", "source", "backingStore", "mirror", "target", "encryption"},
	"backingStore": {"format", "source", "backingStore"},
	"dataStore":    {"format", "source"},
	"source": {"address", "auth", "config", "cookies", "dataStore", "encryption", "identity", "initiator", "knownHosts",
		"readahead", "reconnect", "reservations", "slices", "snapshot", "ssl", "timeout"},
}

func isSingleton(parent, child string) bool { return slices.Contains(singletons[parent], child) }

// diskTypes and storeTypes are the types of a <disk> and of a <backingStore>
// that libvirtxml v1.12001.0 can express. A backing image may be of type nvme
// too for libvirt 9.0.
var (
	diskTypes  = []string{"file", "block", "dir", "network", "volume", "nvme", "vhostuser", "vhostvdpa", "ctl"}
	storeTypes = []string{"file", "block", "dir", "network", "volume", "vhostuser", "vhostvdpa", "ctl"}
)

// checkDisk finds what libvirt 9.0 rejects and libvirtxml does not: types that
// are unknown or empty, and children that are missing. It returns the element
// at fault.
func checkDisk(disk *element) (*element, error) {
	if value, ok := disk.attr("type"); ok && !slices.Contains(diskTypes, value) {
		return disk, fmt.Errorf("unknown disk type %q", value)
	}
	driver := disk.child("driver")
	if value, ok := driver.attr("type"); ok && value == "" {
		return driver, errors.New("the type of the <driver> is empty")
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

func checkStore(store *element) error {
	value, _ := store.attr("type")
	switch {
	case value == "nvme":
		return errors.New("a <backingStore> of type nvme cannot be expressed by libvirtxml")
	case !slices.Contains(storeTypes, value):
		return fmt.Errorf("unknown type %q of a <backingStore>", value)
	case store.child("format") == nil:
		return errors.New("a <backingStore> has no <format>")
	case store.child("source") == nil:
		return errors.New("a <backingStore> has no <source>")
	case len(store.child("source").attrs) == 0:
		return errors.New("a <backingStore> has an empty <source>")
	}
	return nil
}
