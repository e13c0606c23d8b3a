package probe

import (
	"bytes"
	"encoding/binary"
)

const (
	bochsMagic      = "Bochs Virtual HD Image\x00"
	bochsHeaderSize = 512
	bochsVersion1   = 0x00010000
	bochsVersion2   = 0x00020000
)

// readBochs reads a growing redolog of Bochs, little-endian, with the checks
// of block/bochs.c (QEMU 7.2).
//
// It does not check the catalog, and neither does QEMU.
func readBochs(m *image) (*Header, error) {
	if err := m.magic(bochsMagic); err != nil {
		return nil, err
	}
	b, err := m.prefix(bochsHeaderSize, "header")
	if err != nil {
		return nil, err
	}
	var (
		kind    = b[32:48]
		subtype = b[48:64]
		version = binary.LittleEndian.Uint32(b[64:])
		catalog = uint64(binary.LittleEndian.Uint32(b[72:])) // entries
		extent  = uint64(binary.LittleEndian.Uint32(b[80:])) // bytes
		diskAt  = int64(88)
	)
	if version == bochsVersion1 {
		diskAt = 84
	}
	disk := sectors(binary.LittleEndian.Uint64(b[diskAt:]))
	switch {
	case !bytes.HasPrefix(kind, []byte("Redolog\x00")):
		return nil, m.unsupported("type", 32, "%+q", kind)
	case !bytes.HasPrefix(subtype, []byte("Growing\x00")):
		// The others, "Undoable" and "Volatile", are overlays of another image.
		return nil, m.unsupported("subtype", 48, "%+q", subtype)
	case version != bochsVersion1 && version != bochsVersion2:
		return nil, m.unsupported("version", 64, "%#x", version)
	case catalog > 1<<20:
		return nil, m.corrupt("catalog", 72, "%d entries are more than %d", catalog, 1<<20)
	case extent < sectorSize || extent > 8<<20 || !powerOfTwo(extent):
		return nil, m.corrupt("extent", 80, "%d is not a power of two from 512 to 8 MiB", extent)
	case catalog*extent < disk:
		return nil, m.corrupt("catalog", 72, "%d entries of %d bytes do not cover %d", catalog, extent, disk)
	}
	return &Header{
		Format:      Bochs,
		Version:     version,
		VirtualSize: disk,
		ClusterSize: extent,
	}, nil
}
