package storage

import (
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/probe"
)

// Record is what an overlay's header says of its backing image's format.
type Record struct {
	// Format is what every program reads it as; "" if nothing is recorded
	// or the programs disagree: the layer below then counts as unrecorded.
	Format probe.Format
	// Disputed is a name that is recorded and read differently: libvirt
	// before 9.10 probes where a newer one takes raw, and QEMU knows words
	// that libvirt does not, and the other way round.
	Disputed string
	// Driver is the one by which a json: name describes the image itself,
	// and not the file in which it is. QEMU takes it for the format, as if
	// it were recorded: raw, or a protocol, which is raw too (QEMU 7.2).
	// libvirt 9.0 does not, and probes.
	Driver string
	// Meant is the format that these words speak for; "" for none.
	Meant probe.Format
	// QEMUs is the format whose name QEMU has written, if libvirt does not know
	// that name. It counts as recorded where the header of the backing image
	// bears it out, which chain.Walker decides.
	QEMUs probe.Format
}

// MayMean reports whether QEMU reads the record as f, an image whose header is
// one of f.
func (r Record) MayMean(f probe.Format) bool {
	return f != "" && (r.Format == f || r.QEMUs == f)
}

// Says returns, for people and to follow the overlay's name, what that says of the
// format in dispute; "" if it is nothing.
func (r Record) Says() string {
	switch {
	case r.Disputed != "":
		return "records " + strconv.Quote(r.Disputed) + ", which QEMU and the versions of libvirt read differently"
	case r.Driver != "":
		return "describes it by the driver " + strconv.Quote(r.Driver) + ", which is its format to QEMU and not to libvirt"
	}
	return ""
}

// ReadRecord reads the format field of a header's reference to a backing image,
// or, where it is empty, the driver that a json: name gives.
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
