package probe

import (
	"encoding/binary"
	"math"
)

const (
	vmdkSparse   = "KDMV"
	vmdkCOWD     = "COWD"
	vmdkSESparse = "\xbe\xba\xfe\xca\x00\x00\x00\x00"

	vmdkHeaderSize = 79 // up to compressAlgorithm, the last field that is used
	vmdkCOWDSize   = 32
	vmdkFooterSize = 3 * sectorSize // a marker, the header again, and the end-of-stream marker

	vmdkGDAtEnd    = math.MaxUint64 // gdOffset: the header at the image's end counts
	vmdkRedundant  = 1 << 1         // flags: rgdOffset is used
	vmdkMaxVersion = 3
	vmdkMaxGTEs    = 512
	vmdkMaxGrain   = 0x200000 // sectors: 1 GiB
	vmdkMaxGD      = 32 << 20 // entries
	vmdkCOWDGTEs   = 4096

	// vmdkEmbedded is where QEMU and libvirt look for the descriptor inside a
	// sparse image, whatever descriptorOffset says.
	vmdkEmbedded = 0x200

	vmdkMaxSectors = maxLength / sectorSize
)

// readVMDK reads the format of VMware's "Virtual Disk Format 5.0", whose
// fields are little-endian and count sectors, with the checks of block/vmdk.c
// (QEMU 7.2).
//
// It has three kinds: a sparse image, an older sparse image ("COWD"), and a
// text that names the files with the data. A sparse extent that such a text
// names is an image by itself, whose header QEMU reads too; this package does
// not open it.
func readVMDK(m *image) (h *Header, err error) {
	descriptor := uint64(vmdkEmbedded)
	switch {
	case m.begins(vmdkSparse):
		h, err = m.vmdkSparse()
	case m.begins(vmdkCOWD):
		h, err = m.vmdkCOWD()
	case m.begins(vmdkSESparse):
		// An seSparse extent has no descriptor, and QEMU opens it only through one.
		return nil, m.unsupported("magicNumber", 0, "an seSparse extent is not an image by itself")
	default:
		h, err = m.vmdkDescriptor(0)
		descriptor = 0
	}
	if err == nil {
		err = m.vmdkParent(h, descriptor)
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// vmdkFields is the header of a sparse image: SparseExtentHeader.
type vmdkFields struct {
	base int64 // where the header stands

	version, flags   uint32
	capacity         uint64
	grainSize        uint64
	descriptorOffset uint64
	numGTEsPerGT     uint64
	rgdOffset        uint64
	gdOffset         uint64
	overHead         uint64
	deflate          bool // compressAlgorithm
}

// vmdkFieldsOf takes at least vmdkHeaderSize bytes.
func vmdkFieldsOf(b []byte, base int64) *vmdkFields {
	le := binary.LittleEndian
	return &vmdkFields{
		base:             base,
		version:          le.Uint32(b[4:]),
		flags:            le.Uint32(b[8:]),
		capacity:         le.Uint64(b[12:]),
		grainSize:        le.Uint64(b[20:]),
		descriptorOffset: le.Uint64(b[28:]),
		numGTEsPerGT:     uint64(le.Uint32(b[44:])),
		rgdOffset:        le.Uint64(b[48:]),
		gdOffset:         le.Uint64(b[56:]),
		overHead:         le.Uint64(b[64:]),
		deflate:          le.Uint16(b[77:]) == 1,
	}
}

func (m *image) vmdkSparse() (*Header, error) {
	b, err := m.prefix(vmdkHeaderSize, "header")
	if err != nil {
		return nil, err
	}
	f := vmdkFieldsOf(b, 0)
	if f.capacity == 0 && f.descriptorOffset != 0 {
		// An empty sparse image: the descriptor decides, and may name files, like a
		// separate descriptor file.
		if f.descriptorOffset > (maxLength-vmdkMaxDescriptor)/sectorSize {
			// The offset in bytes wraps around in QEMU.
			return nil, m.corrupt("descriptorOffset", 28, "%#x is out of range", f.descriptorOffset)
		}
		h, err := m.vmdkDescriptor(f.descriptorOffset * sectorSize)
		if err != nil {
			return nil, err
		}
		h.Version = f.version
		return h, nil
	}
	if f.gdOffset == vmdkGDAtEnd {
		if f, err = m.vmdkFooter(); err != nil {
			return nil, err
		}
	}
	switch {
	case f.version > vmdkMaxVersion:
		// QEMU opens version 3 for reading only, unless it is compressed.
		return nil, m.unsupported("version", f.base+4, "%d", f.version)
	case f.numGTEsPerGT < 1 || f.numGTEsPerGT > vmdkMaxGTEs:
		return nil, m.corrupt("numGTEsPerGT", f.base+44, "%d is not 1 to %d", f.numGTEsPerGT, vmdkMaxGTEs)
	case f.overHead > wholeSectors(m.size)/sectorSize:
		return nil, m.fail(ErrTruncated, "overHead", f.base+64, "%d sectors, the image has %d bytes", f.overHead, m.size)
	}
	if err := m.vmdkGrain(f.grainSize, vmdkMaxGrain, f.base+20); err != nil {
		return nil, err
	}
	// QEMU counts the entries in 32 bits, which wraps around for an immense disk.
	covers := f.numGTEsPerGT * f.grainSize
	entries := f.capacity / covers
	if f.capacity%covers != 0 {
		entries++
	}
	if f.capacity > vmdkMaxSectors || entries > vmdkMaxGD {
		return nil, m.corrupt("capacity", f.base+12, "%d sectors need %d entries of the grain directory", f.capacity, entries)
	}
	if err := m.vmdkDirectory("gdOffset", f.base+56, f.gdOffset, entries); err != nil {
		return nil, err
	}
	if f.flags&vmdkRedundant != 0 {
		if err := m.vmdkDirectory("rgdOffset", f.base+48, f.rgdOffset, entries); err != nil {
			return nil, err
		}
	}

	// The createType of the embedded descriptor is not read, and an
	// extent that it names is this image itself.
	h := &Header{
		Format:      VMDK,
		Version:     f.version,
		Subformat:   "monolithicSparse",
		VirtualSize: f.capacity * sectorSize,
		ClusterSize: f.grainSize * sectorSize,
	}
	if f.deflate {
		h.Subformat = "streamOptimized"
	}
	return h, nil
}

// vmdkFooter reads the header at the end of an image that was written as a
// stream. QEMU reads the last three whole sectors, after padding the last one.
func (m *image) vmdkFooter() (*vmdkFields, error) {
	const markerFooter, markerEnd = 3, 0
	size := wholeSectors(m.size)
	if size < vmdkFooterSize {
		return nil, m.fail(ErrTruncated, "footer", -1, "the image has %d bytes", m.size)
	}
	at := size - vmdkFooterSize
	b, err := m.padded(at, vmdkFooterSize, "footer")
	if err != nil {
		return nil, err
	}
	marker, header, end := b[:sectorSize], b[sectorSize:2*sectorSize], b[2*sectorSize:]
	base := int64(at) + sectorSize
	le := binary.LittleEndian
	switch {
	case le.Uint32(marker[8:]) != 0 || le.Uint32(marker[12:]) != markerFooter:
		return nil, m.corrupt("footer marker", int64(at), "of type %d with %d bytes", le.Uint32(marker[12:]), le.Uint32(marker[8:]))
	case string(header[:4]) != vmdkSparse:
		return nil, m.corrupt("footer", base, "it does not begin with %q", vmdkSparse)
	case le.Uint64(end) != 0 || le.Uint32(end[8:]) != 0 || le.Uint32(end[12:]) != markerEnd:
		return nil, m.corrupt("end-of-stream marker", base+sectorSize, "of type %d with %d bytes", le.Uint32(end[12:]), le.Uint32(end[8:]))
	}
	return vmdkFieldsOf(header, base), nil
}

// vmdkCOWD reads the older header, COWDisk_Header. It has no createType, and
// QEMU gives it none.
func (m *image) vmdkCOWD() (*Header, error) {
	b, err := m.prefix(vmdkCOWDSize, "header")
	if err != nil {
		return nil, err
	}
	var (
		version      = binary.LittleEndian.Uint32(b[4:])
		numSectors   = uint64(binary.LittleEndian.Uint32(b[12:]))
		grainSize    = uint64(binary.LittleEndian.Uint32(b[16:]))
		gdOffset     = uint64(binary.LittleEndian.Uint32(b[20:]))
		numGDEntries = uint64(binary.LittleEndian.Uint32(b[24:]))
	)
	// QEMU counts the sectors of a grain table in 32 bits, and divides by
	// that number when the guest reads.
	if err := m.vmdkGrain(grainSize, math.MaxUint32/vmdkCOWDGTEs, 16); err != nil {
		return nil, err
	}
	if numGDEntries > vmdkMaxGD {
		return nil, m.corrupt("numGDEntries", 24, "%d are more than %d", numGDEntries, vmdkMaxGD)
	}
	if err := m.vmdkDirectory("gdOffset", 20, gdOffset, numGDEntries); err != nil {
		return nil, err
	}
	return &Header{
		Format:      VMDK,
		Version:     version,
		VirtualSize: numSectors * sectorSize,
		ClusterSize: grainSize * sectorSize,
	}, nil
}

// vmdkGrain checks a grain's size in sectors. The specification requires a
// power of two; QEMU assumes that without a check.
func (m *image) vmdkGrain(size, most uint64, at int64) error {
	if size < 1 || size > most || !powerOfTwo(size) {
		return m.corrupt("grainSize", at, "%d is no power of two from 1 to %d", size, most)
	}
	return nil
}

// vmdkDirectory checks the offset of a grain directory. QEMU reads zeros
// beyond the end of the file; this package refuses an image that ends before
// its directory does.
func (m *image) vmdkDirectory(field string, at int64, sector, entries uint64) error {
	n := entries * 4
	if sector > (maxLength-n)/sectorSize {
		// QEMU lets the offset in bytes wrap around.
		return m.corrupt(field, at, "%#x is out of range", sector)
	}
	if off := sector * sectorSize; n > 0 && off+n > wholeSectors(m.size) {
		return m.fail(ErrTruncated, field, at, "%d bytes at %d, the image ends at %d", n, off, m.size)
	}
	return nil
}
