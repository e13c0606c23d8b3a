package probe

import (
	"encoding/binary"
	"math"
)

// Sizes and bits of QEMU's docs/interop/qcow2.txt.
const (
	qcow2HeaderV2 = 72
	qcow2HeaderV3 = 104 // at least; header_length says

	qcow2IncompatDirty       = 1 << 0
	qcow2IncompatCorrupt     = 1 << 1
	qcow2IncompatDataFile    = 1 << 2
	qcow2IncompatCompression = 1 << 3
	qcow2IncompatExtendedL2  = 1 << 4
	qcow2IncompatKnown       = 1<<5 - 1

	qcow2AutoclearBitmaps     = 1 << 0
	qcow2AutoclearDataFileRaw = 1 << 1
	qcow2AutoclearKnown       = 1<<2 - 1

	qcow2CompatKnown = 1<<1 - 1 // lazy refcounts

	qcow2Zstd = 1

	qcow2CryptAES  = 1
	qcow2CryptLUKS = 2
)

// qcow2Fields is the fixed part of the header, big-endian in the image.
type qcow2Fields struct {
	version       uint32
	backingOffset uint64
	backingSize   uint32
	clusterBits   uint32
	clusterSize   uint64
	size          uint64
	crypt         uint32
	l1Size        uint32
	l1Offset      uint64
	refOffset     uint64
	refClusters   uint32
	snapshots     uint32
	snapOffset    uint64

	// Of version 3; a version 2 image has these implied values.
	incompat     uint64 // 0
	compat       uint64 // 0
	autoclear    uint64 // 0
	refOrder     uint32 // 4
	headerLength uint32 // 72
	compression  uint8  // 0
}

// readQcow2 reads versions 2 and 3 with the checks of block/qcow2.c, in its
// order (QEMU 7.2 and 10.0 agree).
//
// It does not check what the header points to: the L1, refcount and snapshot
// tables, the bitmap directory and the LUKS header. QEMU reads zeros for
// tables beyond the end of the image, so they are not an error here either.
func readQcow2(m *image) (*Header, error) {
	f, err := m.qcow2Fields()
	if err != nil {
		return nil, err
	}
	if err := m.qcow2Features(f); err != nil {
		return nil, err
	}
	if err := m.qcow2Tables(f); err != nil {
		return nil, err
	}
	ext, err := m.qcow2Extensions(f)
	if err != nil {
		return nil, err
	}

	h := &Header{
		Format:      Qcow2,
		Version:     f.version,
		VirtualSize: sectors(f.size),
		ClusterSize: f.clusterSize,
		Snapshots:   f.snapshots > 0,
		Dirty:       f.incompat&qcow2IncompatDirty != 0,
		Corrupt:     f.incompat&qcow2IncompatCorrupt != 0,
		Bitmaps:     ext.bitmaps,
		Unknown:     ext.unknown || f.compat&^qcow2CompatKnown != 0 || f.autoclear&^qcow2AutoclearKnown != 0,
		Zstd:        f.compression == qcow2Zstd,
	}
	switch f.crypt {
	case qcow2CryptAES:
		h.Encryption = AES
	case qcow2CryptLUKS:
		if !ext.luks {
			return nil, m.corrupt("crypt_method", 32, "LUKS, but no extension says where its header is")
		}
		h.Encryption = LUKSEnc
	}
	if f.incompat&qcow2IncompatDataFile != 0 {
		h.DataFileRaw = f.autoclear&qcow2AutoclearDataFileRaw != 0
		h.DataFile = ext.dataFile
		if h.DataFile == nil {
			// QEMU opens such an image only if it is told the file.
			h.DataFile = &Reference{Offset: -1}
		}
	}
	if h.Backing, err = m.qcow2Backing(f); err != nil {
		return nil, err
	}
	if h.Backing != nil && ext.format != nil {
		h.Backing.FormatRecorded = true
		h.Backing.Format, h.Backing.FormatCutAtNUL = cString(ext.format)
	}
	return h, nil
}

func (m *image) qcow2Fields() (*qcow2Fields, error) {
	if err := m.magic(qcowMagic); err != nil {
		return nil, err
	}
	b, err := m.prefix(qcow2HeaderV2, "header")
	if err != nil {
		return nil, err
	}
	f := &qcow2Fields{
		version:       binary.BigEndian.Uint32(b[4:]),
		backingOffset: binary.BigEndian.Uint64(b[8:]),
		backingSize:   binary.BigEndian.Uint32(b[16:]),
		clusterBits:   binary.BigEndian.Uint32(b[20:]),
		size:          binary.BigEndian.Uint64(b[24:]),
		crypt:         binary.BigEndian.Uint32(b[32:]),
		l1Size:        binary.BigEndian.Uint32(b[36:]),
		l1Offset:      binary.BigEndian.Uint64(b[40:]),
		refOffset:     binary.BigEndian.Uint64(b[48:]),
		refClusters:   binary.BigEndian.Uint32(b[56:]),
		snapshots:     binary.BigEndian.Uint32(b[60:]),
		snapOffset:    binary.BigEndian.Uint64(b[64:]),

		refOrder:     4,
		headerLength: qcow2HeaderV2,
	}
	if f.version != 2 && f.version != 3 {
		return nil, m.unsupported("version", 4, "%d", f.version)
	}
	if f.clusterBits < 9 || f.clusterBits > 21 {
		return nil, m.corrupt("cluster_bits", 20, "%d is not 9 to 21", f.clusterBits)
	}
	f.clusterSize = 1 << f.clusterBits

	if f.version == 3 {
		if b, err = m.prefix(qcow2HeaderV3, "header"); err != nil {
			return nil, err
		}
		f.incompat = binary.BigEndian.Uint64(b[72:])
		f.compat = binary.BigEndian.Uint64(b[80:])
		f.autoclear = binary.BigEndian.Uint64(b[88:])
		f.refOrder = binary.BigEndian.Uint32(b[96:])
		f.headerLength = binary.BigEndian.Uint32(b[100:])
		// The specification requires a multiple of 8. QEMU and libvirt do not check
		// that, and both read extensions from the same offset, so it does not
		// matter.
		if f.headerLength < qcow2HeaderV3 || uint64(f.headerLength) > f.clusterSize {
			return nil, m.corrupt("header_length", 100, "%d is not %d to one cluster", f.headerLength, qcow2HeaderV3)
		}
	}
	if b, err = m.prefix(uint64(f.headerLength), "header"); err != nil {
		return nil, err
	}
	if f.headerLength > qcow2HeaderV3 {
		f.compression = b[104]
	}
	if f.backingOffset > f.clusterSize {
		return nil, m.corrupt("backing_file_offset", 8, "%#x is outside the first cluster", f.backingOffset)
	}
	if f.backingOffset != 0 && f.backingOffset < uint64(f.headerLength) {
		// QEMU would read header fields as the name and no extensions, while libvirt
		// still reads extensions.
		return nil, m.corrupt("backing_file_offset", 8, "%d is inside the header", f.backingOffset)
	}
	return f, nil
}

func (m *image) qcow2Features(f *qcow2Fields) error {
	compressed := f.incompat&qcow2IncompatCompression != 0
	switch {
	case f.compression > qcow2Zstd: // 0 is zlib
		return m.unsupported("compression_type", 104, "%d", f.compression)
	case compressed != (f.compression != 0):
		return m.corrupt("compression_type", 104, "%d contradicts incompatible_features %#x", f.compression, f.incompat)
	case f.incompat&^uint64(qcow2IncompatKnown) != 0:
		return m.unsupported("incompatible_features", 72, "unknown bits %#x", f.incompat&^uint64(qcow2IncompatKnown))
	case f.incompat&qcow2IncompatExtendedL2 != 0 && f.clusterBits < 14:
		return m.corrupt("cluster_bits", 20, "extended L2 entries want 14 or more, not %d", f.clusterBits)
	case f.refOrder > 6:
		return m.corrupt("refcount_order", 96, "%d is more than 6", f.refOrder)
	case f.crypt > qcow2CryptLUKS:
		return m.unsupported("crypt_method", 32, "%d", f.crypt)
	case f.autoclear&qcow2AutoclearDataFileRaw != 0 && f.incompat&qcow2IncompatDataFile == 0:
		// qemu-img info, which opens no data file, does not notice.
		return m.corrupt("autoclear_features", 88, "raw data file without a data file")
	}
	return nil
}

// qcow2Tables checks the offsets and sizes of the tables against QEMU's
// limits.
func (m *image) qcow2Tables(f *qcow2Fields) error {
	const (
		maxRefTable  = 8 << 20
		maxL1        = 32 << 20
		maxSnapshots = 1 << 16
		snapshotSize = 40 // of the fixed part of an entry
	)
	if f.refClusters == 0 || uint64(f.refClusters) > maxRefTable/f.clusterSize {
		return m.corrupt("refcount_table_clusters", 56, "%d", f.refClusters)
	}
	if !f.holdsTable(f.refOffset, uint64(f.refClusters)*f.clusterSize) {
		return m.corrupt("refcount_table_offset", 48, "%#x", f.refOffset)
	}
	if f.snapshots > maxSnapshots {
		return m.corrupt("nb_snapshots", 60, "%d is more than %d", f.snapshots, maxSnapshots)
	}
	if !f.holdsTable(f.snapOffset, uint64(f.snapshots)*snapshotSize) {
		return m.corrupt("snapshots_offset", 64, "%#x", f.snapOffset)
	}
	if f.l1Size > maxL1/8 {
		return m.corrupt("l1_size", 36, "%d entries are more than %d", f.l1Size, maxL1/8)
	}
	if !f.holdsTable(f.l1Offset, uint64(f.l1Size)*8) {
		return m.corrupt("l1_table_offset", 40, "%#x", f.l1Offset)
	}
	// An L2 table is one cluster of entries of 8 bytes, or of 16.
	l2Bits := f.clusterBits - 3
	if f.incompat&qcow2IncompatExtendedL2 != 0 {
		l2Bits--
	}
	if need := tableEntries(f.size, uint(f.clusterBits+l2Bits)); uint64(f.l1Size) < need {
		return m.corrupt("l1_size", 36, "%d entries do not cover %d bytes, which need %d", f.l1Size, f.size, need)
	}
	return nil
}

// holdsTable reports whether a table may start at off and take n bytes.
func (f *qcow2Fields) holdsTable(off, n uint64) bool {
	limit := uint64(math.MaxInt64)
	if n > 0 {
		// QEMU reads it at once, and then a nearer limit holds.
		limit = maxLength
	}
	return off%f.clusterSize == 0 && off <= limit && n <= limit-off
}

// qcow2Backing returns the backing image, or nil: without an offset or a
// length there is no name.
func (m *image) qcow2Backing(f *qcow2Fields) (*Reference, error) {
	if f.backingOffset == 0 {
		return nil, nil
	}
	if uint64(f.backingSize) > min(qcowMaxName, f.clusterSize-f.backingOffset) {
		return nil, m.corrupt("backing_file_size", 16, "%d bytes at %#x are too many", f.backingSize, f.backingOffset)
	}
	if f.backingSize == 0 {
		return nil, nil
	}
	return m.name("backing file name", f.backingOffset, uint64(f.backingSize))
}
