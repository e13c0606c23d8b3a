package image

import (
	"bytes"
	"encoding/binary"

	"github.com/chainfix/chainfix/probe"
)

// LibvirtReads is the number of bytes of an image that libvirt reads, at most
// (VIR_STORAGE_MAX_HEADER, libvirt 9.0 and 11.3). QEMU reads more.
const LibvirtReads = 33280

// LibvirtView is what libvirt reads in the header of an image that QEMU can
// open, where that may differ from what QEMU reads.
type LibvirtView struct {
	// Backing says that libvirt finds the name of a backing image. If not, it
	// tells QEMU that the image has none.
	Backing bool
	// Padded and Unpadded are what libvirt finds in the extensions of a qcow2
	// header if it pads their lengths to multiples of 8 bytes, as QEMU does, and
	// if it does not. For other formats they are equal.
	Padded, Unpadded Extensions
}

// Extensions are what libvirt finds in the extensions of a header.
type Extensions struct {
	// Record is the recorded format of the backing image as libvirt reads it, up
	// to a NUL; valid only if Recorded. Of two records the last is used.
	Record   string
	Recorded bool
	// DataFile says that libvirt finds the name of an external data file.
	DataFile bool
}

// viewOfLibvirt returns what libvirt reads in an image of size bytes that
// begins with head and in which QEMU reads h (storage_file_probe.c, libvirt
// 9.0). libvirt checks neither the header nor the magic: it reads two fields
// and uses the bytes that they refer to, if they are among those that it has
// read.
func viewOfLibvirt(claim probe.Format, head []byte, size int64, h *probe.Header) LibvirtView {
	if claim == probe.COW {
		return LibvirtView{Backing: size >= cowName+1024 && len(head) > cowName && head[cowName] != 0}
	}
	if h == nil {
		return LibvirtView{}
	}
	var qemus Extensions
	if h.Backing != nil {
		qemus.Record, qemus.Recorded = h.Backing.Format, h.Backing.FormatRecorded
	}
	qemus.DataFile = h.DataFile != nil
	s := LibvirtView{Backing: h.Backing != nil && findsBacking(head, size, h), Padded: qemus, Unpadded: qemus}
	if h.Format == probe.Qcow2 {
		s.Padded, s.Unpadded = readExtensions(head, size, qemus, 8), readExtensions(head, size, qemus, 1)
	}
	return s
}

// cowName is the offset of the backing file name in a cow image; the field has
// 1024 bytes.
const cowName = 8

// findsBacking reports whether libvirt finds the backing image that h names.
func findsBacking(head []byte, size int64, h *probe.Header) bool {
	switch h.Format {
	case probe.Qcow, probe.Qcow2:
		if len(head) < 20 {
			return false
		}
		return withinBuffer(binary.BigEndian.Uint64(head[8:]), uint64(binary.BigEndian.Uint32(head[16:])), size)
	case probe.QED:
		if len(head) < 64 {
			return false
		}
		return withinBuffer(uint64(binary.LittleEndian.Uint32(head[56:])), uint64(binary.LittleEndian.Uint32(head[60:])), size)
	case probe.VMDK:
		// libvirt reads no name in a text descriptor, and in a sparse image it
		// requires an equals sign and a quote where QEMU skips two characters.
		const hint = `parentFileNameHint="`
		at := h.Backing.Offset
		found := bytes.HasPrefix(head, []byte("KDMV")) && withinBuffer(uint64(at), uint64(len(h.Backing.Name))+1, size)
		if at >= int64(len(hint)) && at <= int64(len(head)) {
			found = found && string(head[at-int64(len(hint)):at]) == hint
		}
		return found
	}
	return false
}

// withinBuffer reports whether libvirt has read n bytes at off in an image of
// size bytes.
func withinBuffer(off, n uint64, size int64) bool {
	buffer := min(uint64(max(size, 0)), LibvirtReads)
	return off <= buffer && n <= buffer-off
}

// readExtensions reads the extensions of a qcow2 header as libvirt does, with
// their lengths padded to multiple bytes (libvirt 9.0 to 12.9). With 1 it
// misreads what follows an extension with a length that is not a multiple of
// 8. Without a backing file name it reads to the end of its buffer. If head is
// too short, it returns QEMU's reading.
func readExtensions(head []byte, size int64, qemus Extensions, multiple uint64) (found Extensions) {
	const formatExtension, dataFileExtension = 0xE2792ACA, 0x44415441
	be := binary.BigEndian
	off, end := uint64(72), be.Uint64(head[8:])
	if be.Uint32(head[4:]) > 2 {
		if len(head) < 104 {
			return qemus
		}
		off = uint64(be.Uint32(head[100:]))
	}
	buffer := min(uint64(max(size, 0)), LibvirtReads)
	if end == 0 || end > buffer {
		end = buffer
	}
	if multiple == 1 {
		end-- // the bound differed then, too
	}
	for off+8 < buffer && off+8 <= end {
		if off+8 > uint64(len(head)) {
			return qemus
		}
		kind, n := be.Uint32(head[off:]), uint64(be.Uint32(head[off+4:]))
		off += 8
		switch {
		case n > buffer-off || kind == 0:
			return found
		case off+n > uint64(len(head)):
			return qemus
		case kind == formatExtension:
			name, _, _ := bytes.Cut(head[off:off+n], []byte{0})
			found.Record, found.Recorded = string(name), true
		case kind == dataFileExtension:
			found.DataFile = qemus.DataFile
		}
		off += (n + multiple - 1) / multiple * multiple
	}
	return found
}

// LibvirtsChoice returns the format that libvirt would probe.
func (i *Info) LibvirtsChoice() probe.Format { return probe.LibvirtsChoice(i.Signatures) }
