package probe

import (
	"encoding/binary"
	"math"
)

const (
	qedMagic      = "QED\x00"
	qedHeaderSize = 64

	qedBacking   = 1 << 0
	qedNeedCheck = 1 << 1
	qedNoProbe   = 1 << 2
)

// readQED reads the format of QEMU's docs/specs/qed_spec.txt, little-endian,
// with the checks of block/qed.c (QEMU 7.2 and 10.0).
func readQED(m *image) (*Header, error) {
	if err := m.magic(qedMagic); err != nil {
		return nil, err
	}
	b, err := m.prefix(qedHeaderSize, "header")
	if err != nil {
		return nil, err
	}
	var (
		clusterSize   = uint64(binary.LittleEndian.Uint32(b[4:]))
		tableSize     = uint64(binary.LittleEndian.Uint32(b[8:]))
		headerSize    = uint64(binary.LittleEndian.Uint32(b[12:])) * clusterSize
		features      = binary.LittleEndian.Uint64(b[16:])
		l1Offset      = binary.LittleEndian.Uint64(b[40:])
		size          = binary.LittleEndian.Uint64(b[48:])
		backingOffset = uint64(binary.LittleEndian.Uint32(b[56:]))
		backingSize   = uint64(binary.LittleEndian.Uint32(b[60:]))
	)
	if unknown := features &^ (qedBacking | qedNeedCheck | qedNoProbe); unknown != 0 {
		return nil, m.unsupported("features", 16, "unknown bits %#x", unknown)
	}
	if clusterSize < 1<<12 || clusterSize > 1<<26 || !powerOfTwo(clusterSize) {
		return nil, m.corrupt("cluster_size", 4, "%d is not a power of two from 4 KiB to 64 MiB", clusterSize)
	}
	if tableSize < 1 || tableSize > 16 || !powerOfTwo(tableSize) {
		return nil, m.corrupt("table_size", 8, "%d is not a power of two from 1 to 16", tableSize)
	}
	// The product wraps around for clusters of 32 MiB and more. QEMU lets it
	// wrap, and so refuses images that the specification allows. A size of
	// 2^63 bytes passes in QEMU, which then shows the guest an empty disk; it
	// is refused here.
	entries := tableSize * clusterSize / 8
	if capacity := entries * entries * clusterSize; size%sectorSize != 0 || size > capacity || size > math.MaxInt64 {
		return nil, m.corrupt("image_size", 48, "%d", size)
	}
	// The L1 table is after the header and inside the image. QEMU pads the last
	// sector and counts whole clusters. A table of one cluster fails this check
	// in QEMU, although the specification allows it.
	end, clusters := l1Offset+(tableSize-1)*clusterSize, wholeSectors(m.size)&^(clusterSize-1)
	if l1Offset%clusterSize != 0 || l1Offset < headerSize || end <= l1Offset || end >= clusters {
		return nil, m.corrupt("l1_table_offset", 40, "%#x", l1Offset)
	}
	if headerSize > math.MaxUint32 {
		return nil, m.corrupt("header_size", 12, "%d bytes", headerSize)
	}

	h := &Header{
		Format:      QED,
		VirtualSize: size,
		ClusterSize: clusterSize,
		Dirty:       features&qedNeedCheck != 0,
	}
	if features&qedBacking == 0 {
		return h, nil
	}
	switch {
	case backingOffset+backingSize > headerSize:
		return nil, m.corrupt("backing_filename_offset", 56, "the name ends at %d, the header at %d", backingOffset+backingSize, headerSize)
	case backingSize > maxName:
		return nil, m.corrupt("backing_filename_size", 60, "%d is more than %d", backingSize, maxName)
	case backingSize == 0:
		return h, nil
	case backingOffset < qedHeaderSize:
		// QEMU would read header fields as a name.
		return nil, m.corrupt("backing_filename_offset", 56, "%d is inside the header", backingOffset)
	}
	if h.Backing, err = m.name("backing file name", backingOffset, backingSize); err != nil {
		return nil, err
	}
	if features&qedNoProbe != 0 {
		h.Backing.FormatRecorded, h.Backing.Format = true, string(Raw)
	}
	return h, nil
}

func powerOfTwo(n uint64) bool { return n&(n-1) == 0 }
