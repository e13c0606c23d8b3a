package chain

import (
	"context"
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

// qemusFormats are the names that QEMU alone writes into the format field: libvirt
// calls these formats vhd and ploop, and before 9.10 probes where it finds QEMU's
// names, as it takes raw from then on.
var qemusFormats = []probe.Format{probe.VHDX, probe.Parallels}

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
	// qemus is the format whose name QEMU has written, if libvirt does not know
	// that name. It counts as recorded where the header of the backing image
	// bears it out (see [Walker.borneOut]).
	qemus probe.Format
}

// mayMean reports whether QEMU reads the record as f, an image whose header is
// one of f.
func (r record) mayMean(f probe.Format) bool {
	return f != "" && (r.format == f || r.qemus == f)
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
	rec := record{disputed: name, meant: meaning(name)}
	if f := probe.Format(name); slices.Contains(qemusFormats, f) {
		rec.qemus = f
	}
	return rec
}

// borneOut returns what a record is worth once the backing image has been looked
// at: a name that only QEMU writes is a statement if the image has the header of
// that format, whatever libvirt would make of the name. No guest can have written
// the record, and what its header says was stated by whoever made the overlay. An
// image that cannot be looked at bears nothing out.
func (w *Walker) borneOut(ctx context.Context, rec record, image Layer) record {
	if rec.qemus == "" || image.Source == nil || image.Source.Dir != nil {
		return rec
	}
	image, err := w.locate(image)
	if path, local := image.local(); err != nil || local && !strings.HasPrefix(path, "/") {
		return rec
	}
	l, err := w.look(ctx, image.at(), "")
	if err != nil || l.signaturesErr != nil || !slices.Contains(l.distinct(), rec.qemus) {
		return rec
	}
	return record{format: rec.qemus}
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
