package predict

import (
	"cmp"

	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// recordedFormat is how libvirt interprets the recorded format of a backing
// image.
type recordedFormat struct {
	format probe.Format // ""  if unrecorded to libvirt
	// fallback: libvirt opens the image as raw because it does not know the
	// format name.
	fallback bool
	// safe: the overlay is qed; libvirt probes its backing image and follows it,
	// whatever it names.
	safe bool
	// refusal is libvirt's reason to refuse the image, or "".
	refusal string
	record  storage.Record // as chainfix reads it
}

// meant is the format that the record probably means, or "".
func (w recordedFormat) meant() probe.Format { return cmp.Or(w.record.Format, w.record.Meant) }

// readRecord returns how libvirt interprets the backing reference in the
// header of an overlay of format f.
func (p *predictor) readRecord(f probe.Format, ref *probe.Reference, s image.Extensions) recordedFormat {
	rec := storage.ReadRecord(ref)
	switch {
	case f == probe.QED && ref.FormatRecorded:
		return recordedFormat{format: probe.Raw, record: rec}
	case f == probe.QED:
		return recordedFormat{safe: true}
	case f != probe.Qcow2:
		// QEMU knows that the parent of a vmdk is vmdk, libvirt does not.
		return recordedFormat{record: rec}
	case !s.Recorded:
		return recordedFormat{record: rec}
	}
	switch s.Record {
	case "iso": // the same as raw
		return recordedFormat{format: probe.Raw, fallback: true, record: storage.Record{Disputed: rec.Disputed, Meant: probe.Raw}}
	case "cow":
		return recordedFormat{refusal: "'cow' storage format is not supported"}
	case "dir":
		return recordedFormat{refusal: "'directory' storage format is not directly supported by QEMU, use 'dir' disk type instead"}
	case "fat":
		return recordedFormat{refusal: "storage format 'fat' is supported only with 'dir' storage type"}
	case "none":
		if !p.does(libvirt.UnknownFormatIsRaw) {
			return recordedFormat{refusal: "unknown storage file meta->format 0: Invalid argument"}
		}
	case "aio": // a name for <driver> only
	default:
		if known, ok := probe.FromLibvirt(s.Record); ok {
			return recordedFormat{format: known, record: rec}
		}
	}
	if p.does(libvirt.UnknownFormatIsRaw) {
		return recordedFormat{format: probe.Raw, fallback: true, record: rec}
	}
	return recordedFormat{record: rec}
}

// extensions returns what libvirt finds in the extensions of an image's header.
func (p *predictor) extensions(l *image.View) image.Extensions {
	if l.Libvirt.Padded == l.Libvirt.Unpadded || p.does(libvirt.PadsExtensions) {
		return l.Libvirt.Padded
	}
	return l.Libvirt.Unpadded
}
