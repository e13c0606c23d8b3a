package xmlfix

import (
	"errors"

	"github.com/chainfix/chainfix/chain/libvirt"
)

// Objection is libvirt's message about a disk that it never accepts: neither
// when a guest is defined, nor when it starts.
type Objection struct {
	// Words are libvirt's message (9.0, 11.3 and 12.9; 7.0 has another one for an
	// unknown disk type). "" means that it is unknown whether libvirt accepts the
	// disk.
	Words string
	// Since is the first libvirt that checks this; the zero Version means all.
	Since libvirt.Version
}

// By returns the message of a version of libvirt; sure is false if that
// version may accept the disk.
func (o Objection) By(v libvirt.Version) (words string, sure bool) {
	return o.Words, o.Words != "" && !v.Before(o.Since)
}

// objected says why a disk cannot be read, with libvirt's message.
type objected struct {
	detail string
	Objection
}

func (e *objected) Error() string { return e.detail }

// ofDisk is for errors that every libvirt reports.
func ofDisk(words, detail string) error { return &objected{detail, Objection{Words: words}} }

// ofStore is for errors in a <backingStore>, which older versions do not read.
func ofStore(words, detail string) error {
	return &objected{detail, Objection{words, libvirt.ExplicitChains.Since}}
}

// ofDataStore is for errors in a <dataStore>.
func ofDataStore(words, detail string) error {
	return &objected{detail, Objection{words, libvirt.DataStores.Since}}
}

// objectionOf returns libvirt's message about a disk that cannot be read
// because of err.
func objectionOf(err error) Objection {
	var e *objected
	if errors.As(err, &e) {
		return e.Objection
	}
	return Objection{}
}

// neverGiven are the formats that libvirt has a name for but never passes to
// QEMU, with its messages.
var neverGiven = map[string]string{
	"cow": "'cow' storage format is not supported",
	"dir": "'directory' storage format is not directly supported by QEMU, use 'dir' disk type instead",
	"fat": "storage format 'fat' is supported only with 'dir' storage type",
	"iso": "storage format 'iso' is not directly supported by QEMU, use 'raw' instead",
}
