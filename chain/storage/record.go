package storage

import (
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/probe"
)

// Record is what an overlay's header says about its backing image's format.
type Record struct {
	// Format is the format that all programs read; "" if nothing is recorded or
	// the programs disagree: the backing image's format is then unrecorded.
	Format probe.Format
	// Disputed is a recorded name that programs read differently: libvirt before
	// 9.10 probes where newer ones use raw, and QEMU knows names that libvirt
	// does not, and vice versa.
	Disputed string
	// Driver is the driver of a json: name that describes the image itself, and
	// not the file that contains it. QEMU uses it as if it were the recorded
	// format: raw, or a protocol, which means raw too (QEMU 7.2). libvirt 9.0
	// ignores it and probes.
	Driver string
	// Meant is the format that Disputed or Driver probably means, or "".
	Meant probe.Format
	// QEMUs is the format of a name that QEMU writes and libvirt does not know.
	// It counts as recorded if the header of the backing image confirms it, which
	// chain.Walker checks.
	QEMUs probe.Format
}

// MayMean reports whether QEMU opens the backing image, which has the header
// of f, as f.
func (r Record) MayMean(f probe.Format) bool {
	return f != "" && (r.Format == f || r.QEMUs == f)
}

// Says describes a disputed record for a message, to follow the overlay's
// name; "" if nothing is disputed.
func (r Record) Says() string {
	switch {
	case r.Disputed != "":
		return "records " + strconv.Quote(r.Disputed) + ", which QEMU and the versions of libvirt read differently"
	case r.Driver != "":
		return "describes it with the driver " + strconv.Quote(r.Driver) + ", which is the format to QEMU but not to libvirt"
	}
	return ""
}

// ReadRecord interprets the format field of a backing reference, or, if that
// is empty, the driver in its json: name.
func ReadRecord(ref *probe.Reference) Record {
	if !ref.FormatRecorded || ref.Format == "" {
		if driver := describedBy(ref.Name); driver != "" {
			return Record{Driver: driver, Meant: probe.Raw}
		}
		return Record{}
	}
	name := ref.Format
	if f := probe.Format(name); f.IsAgreedName() {
		return Record{Format: f}
	}
	rec := Record{Disputed: name, Meant: meaning(name)}
	if f := probe.Format(name); f.IsQEMUsName() {
		rec.QEMUs = f
	}
	return rec
}

func meaning(name string) probe.Format {
	lower := strings.ToLower(name)
	if IsProtocolDriver(lower) {
		return probe.Raw
	}
	if f := probe.Format(lower); f.Known() {
		return f
	}
	f, _ := probe.FromLibvirt(lower)
	return f
}
