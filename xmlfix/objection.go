package xmlfix

import (
	"errors"

	"github.com/chainfix/chainfix/chain/libvirt"
)

// Objection is what libvirt says of a disk that it accepts in no case: neither
// where a guest is defined, nor where it is started.
type Objection struct {
	// Words are libvirt's own (9.0, 11.3 and 12.9; 7.0 has others for a disk type
	// that it does not know). "" says that it is not known whether libvirt
	// accepts the disk.
	Words string
	// Since is the first libvirt that looks at what is wrong; the zero Version
	// is the first of all.
	Since libvirt.Version
}

// By returns the words of the libvirt of a version; false where it is not sure to
// refuse the disk.
func (o Objection) By(v libvirt.Version) (words string, sure bool) {
	return o.Words, o.Words != "" && !v.Before(o.Since)
}

// objected is why a disk cannot be read, with what libvirt says of it.
type objected struct {
	detail string
	Objection
}

func (e *objected) Error() string { return e.detail }

// ofDisk is for what every libvirt refuses.
func ofDisk(words, detail string) error { return &objected{detail, Objection{Words: words}} }

// ofStore is for what is wrong with a <backingStore>, of which older versions read
// nothing.
func ofStore(words, detail string) error {
	return &objected{detail, Objection{words, libvirt.ExplicitChains.Since}}
}

// ofDataStore is for what is wrong with a <dataStore>.
func ofDataStore(words, detail string) error {
	return &objected{detail, Objection{words, libvirt.DataStores.Since}}
}

// objectionOf returns what libvirt says of a disk that cannot be read because of err.
func objectionOf(err error) Objection {
	var e *objected
	if errors.As(err, &e) {
		return e.Objection
	}
	return Objection{}
}

// neverGiven are the formats that libvirt has a name for and never gives to QEMU,
// with its words.
var neverGiven = map[string]string{
	"cow": "'cow' storage format is not supported",
	"dir": "'directory' storage format is not directly supported by QEMU, use 'dir' disk type instead",
	"fat": "storage format 'fat' is supported only with 'dir' storage type",
	"iso": "storage format 'iso' is not directly supported by QEMU, use 'raw' instead",
}
