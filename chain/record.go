package chain

import (
	"slices"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/probe"
)

// agreedFormats are the names that an overlay's format field may hold with one
// meaning for every QEMU and every libvirt since 6.0.
var agreedFormats = []probe.Format{
	probe.Raw, probe.Qcow, probe.Qcow2, probe.QED, probe.VMDK,
	probe.VDI, probe.VPC, probe.Bochs, probe.Cloop, probe.DMG,
}

// protocols are QEMU's protocol drivers. In the format field such a name makes
// QEMU use the backing image without a format, which is raw.
var protocols = []string{
	"file", "host_device", "host_cdrom", "nbd", "http", "https", "ftp", "ftps",
	"ssh", "rbd", "iscsi", "nfs", "gluster", "nvme", "sheepdog", "vxhs",
}

// record is what an overlay's header says of its backing image's format.
type record struct {
	// format is what every program reads it as; "" if nothing is recorded
	// or the programs disagree: the layer below then counts as unrecorded.
	format probe.Format
	// disputed is a name that is recorded and read differently: libvirt
	// before 9.10 probes where a newer one takes raw, and QEMU knows words
	// that libvirt does not, and the other way round.
	disputed string
	// driver is the one by which a json: name describes the image itself,
	// and not the file in which it is. QEMU takes it for the format, as if
	// it were recorded: raw, or a protocol, which is raw too (7.2). libvirt
	// does not (9.0), and probes.
	driver string
	// meant is the format that these words speak for; "" for none.
	meant probe.Format
}

// says is what the overlay says of the format in dispute; "" if it is nothing.
func (r record) says() string {
	switch {
	case r.disputed != "":
		return "records " + strconv.Quote(r.disputed) + ", which QEMU and the versions of libvirt read differently"
	case r.driver != "":
		return "describes it by the driver " + strconv.Quote(r.driver) + ", which is its format to QEMU and not to libvirt"
	}
	return ""
}

// readRecord reads the format field of a header's reference.
func readRecord(ref *probe.Reference) record {
	if !ref.FormatRecorded || ref.Format == "" {
		if driver := describedBy(ref.Name); driver != "" {
			return record{driver: driver, meant: probe.Raw}
		}
		return record{}
	}
	name := ref.Format
	if f := probe.Format(name); slices.Contains(agreedFormats, f) {
		return record{format: f}
	}
	return record{disputed: name, meant: meaning(name)}
}

func meaning(name string) probe.Format {
	lower := strings.ToLower(name)
	if slices.Contains(protocols, lower) {
		return probe.Raw
	}
	if f := probe.Format(lower); slices.Contains(probe.Formats(), f) {
		return f
	}
	f, _ := probe.FromLibvirt(lower)
	return f
}
