package probe

import "encoding/binary"

const (
	qcowMagic      = "QFI\xfb"
	qcowHeaderSize = 48
	qcowMaxName    = 1023 // qcow and qcow2 alike
)

// readQcow reads version 1 of the format, big-endian, which is specified only
// by QEMU's block/qcow.c (read in QEMU 7.2 and 10.0).
func readQcow(m *image) (*Header, error) {
	if err := m.magic(qcowMagic); err != nil {
		return nil, err
	}
	// QEMU reads zeros beyond the end of a file, here and below; an image
	// that ends inside its own header is refused instead.
	b, err := m.prefix(qcowHeaderSize, "header")
	if err != nil {
		return nil, err
	}
	var (
		version       = binary.BigEndian.Uint32(b[4:])
		backingOffset = binary.BigEndian.Uint64(b[8:])
		backingSize   = binary.BigEndian.Uint32(b[16:])
		size          = binary.BigEndian.Uint64(b[24:])
		clusterBits   = b[32]
		l2Bits        = b[33]
		crypt         = binary.BigEndian.Uint32(b[36:])
		l1Offset      = binary.BigEndian.Uint64(b[40:])
	)
	switch {
	case version != 1:
		return nil, m.unsupported("version", 4, "%d", version)
	case size <= 1:
		return nil, m.corrupt("size", 24, "%d bytes are less than 2", size)
	case clusterBits < 9 || clusterBits > 16:
		return nil, m.corrupt("cluster_bits", 32, "%d is not 9 to 16", clusterBits)
	case l2Bits < 6 || l2Bits > 13:
		return nil, m.corrupt("l2_bits", 33, "%d is not 6 to 13", l2Bits)
	case crypt > 1:
		return nil, m.unsupported("crypt_method", 36, "%d", crypt)
	}

	l1Size := tableEntries(size, uint(clusterBits)+uint(l2Bits)) * 8
	if l1Size > maxRequest {
		return nil, m.corrupt("size", 24, "%d bytes need an L1 table of %d", size, l1Size)
	}
	if l1Offset > maxLength-l1Size {
		return nil, m.corrupt("l1_table_offset", 40, "%#x is out of range", l1Offset)
	}

	h := &Header{
		Format:      Qcow,
		Version:     version,
		VirtualSize: sectors(size),
		ClusterSize: 1 << clusterBits,
	}
	if crypt == 1 {
		h.Encryption = AES
	}
	if backingOffset == 0 {
		return h, nil
	}
	switch {
	case backingSize > qcowMaxName:
		return nil, m.corrupt("backing_file_size", 16, "%d is more than %d", backingSize, qcowMaxName)
	case backingOffset > maxLength-uint64(backingSize):
		return nil, m.corrupt("backing_file_offset", 8, "%#x is out of range", backingOffset)
	case backingSize == 0:
		return h, nil
	case backingOffset < qcowHeaderSize:
		// QEMU would read header fields as a name.
		return nil, m.corrupt("backing_file_offset", 8, "%d is inside the header", backingOffset)
	}
	h.Backing, err = m.name("backing file name", backingOffset, uint64(backingSize))
	if err != nil {
		return nil, err
	}
	return h, nil
}

// tableEntries returns how many entries of 1<<bits bytes cover size.
func tableEntries(size uint64, bits uint) uint64 {
	n := size >> bits
	if size&(1<<bits-1) != 0 {
		n++
	}
	return n
}
