package image

import (
	"bytes"
	"encoding/binary"

	"github.com/chainfix/chainfix/probe"
)

// LibvirtReads is how many bytes of an image libvirt reads, at most
// (VIR_STORAGE_MAX_HEADER, libvirt 9.0 and 11.3). QEMU reads on.
const LibvirtReads = 33280

// LibvirtView is what libvirt takes from the header of an image that QEMU can open,
// where it is something else than QEMU takes from it.
type LibvirtView struct {
	// Backing says that it finds the name of a backing image. Where it finds none it
	// tells QEMU that there is none.
	Backing bool
	// Record is what it reads as the recorded format, up to a NUL; valid
	// only if Recorded.
	Record   string
	Recorded bool
}

// viewOfLibvirt tells what libvirt sees of an image of size bytes that begins
// with head and in which QEMU sees h (storage_file_probe.c, 9.0). It neither
// checks the header nor the magic: it reads two fields and takes what lies
// there, if that is among the bytes that it has read.
func viewOfLibvirt(head []byte, size int64, h *probe.Header) LibvirtView {
	if h == nil || h.Backing == nil {
		return LibvirtView{}
	}
	s := LibvirtView{Backing: true, Record: h.Backing.Format, Recorded: h.Backing.FormatRecorded}
	switch h.Format {
	case probe.Qcow, probe.Qcow2:
		if len(head) < 20 {
			return LibvirtView{}
		}
		off, n := binary.BigEndian.Uint64(head[8:]), uint64(binary.BigEndian.Uint32(head[16:]))
		s.Backing = withinBuffer(off, n, size)
		if h.Format == probe.Qcow2 {
			s.Record, s.Recorded = unpaddedRecord(head, size, s.Record, s.Recorded)
		}
	case probe.QED:
		if len(head) < 64 {
			return LibvirtView{}
		}
		off, n := uint64(binary.LittleEndian.Uint32(head[56:])), uint64(binary.LittleEndian.Uint32(head[60:]))
		s.Backing = withinBuffer(off, n, size)
	case probe.VMDK:
		// Of a text descriptor it reads no name, and in a sparse image it
		// wants an equals sign and a quote where QEMU skips two characters.
		const hint = `parentFileNameHint="`
		at := h.Backing.Offset
		s.Backing = bytes.HasPrefix(head, []byte("KDMV")) && withinBuffer(uint64(at), uint64(len(h.Backing.Name))+1, size)
		if at >= int64(len(hint)) && at <= int64(len(head)) {
			s.Backing = s.Backing && string(head[at-int64(len(hint)):at]) == hint
		}
	default:
		return LibvirtView{}
	}
	return s
}

// withinBuffer reports whether n bytes at off are among those that libvirt has
// read of an image of size bytes.
func withinBuffer(off, n uint64, size int64) bool {
	buffer := min(uint64(max(size, 0)), LibvirtReads)
	return off <= buffer && n <= buffer-off
}

// unpaddedRecord reads the format out of the extensions of a qcow2 header, as
// libvirt does up to 11.3: it does not fill an extension up to a multiple of 8
// bytes, so that it goes astray behind one of another length, and of two records
// the last counts. Where head ends too soon, QEMU's reading is returned.
func unpaddedRecord(head []byte, size int64, qemus string, qemuRecorded bool) (record string, recorded bool) {
	const formatExtension = 0xE2792ACA
	be := binary.BigEndian
	off, end := uint64(72), be.Uint64(head[8:])
	if be.Uint32(head[4:]) > 2 {
		if len(head) < 104 {
			return qemus, qemuRecorded
		}
		off = uint64(be.Uint32(head[100:]))
	}
	buffer := min(uint64(max(size, 0)), LibvirtReads)
	for off+8 < buffer && off+8 < end {
		if off+8 > uint64(len(head)) {
			return qemus, qemuRecorded
		}
		kind, n := be.Uint32(head[off:]), uint64(be.Uint32(head[off+4:]))
		off += 8
		switch {
		case n > buffer-off || kind == 0:
			return record, recorded
		case off+n > uint64(len(head)):
			return qemus, qemuRecorded
		case kind == formatExtension:
			name, _, _ := bytes.Cut(head[off:off+n], []byte{0})
			record, recorded = string(name), true
		}
		off += n
	}
	return record, recorded
}

// LibvirtsChoice is the format for which libvirt's probing takes the image.
func (i *Info) LibvirtsChoice() probe.Format { return probe.LibvirtsChoice(i.Signatures) }
