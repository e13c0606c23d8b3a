package probe

import (
	"encoding/binary"
	"math"
)

const (
	parallelsMagic    = "WithoutFreeSpace"
	parallelsExtMagic = "WithouFreSpacExt"

	parallelsHeaderSize = 64
	parallelsVersion    = 2
	parallelsInUse      = 0x746F6E59
)

// readParallels reads the format of QEMU's docs/interop/parallels.txt,
// little-endian, with the checks of block/parallels.c (7.2; later versions
// check more, but still open broken images for reading).
//
// It does not check the BAT, and neither does QEMU, nor the format extension:
// QEMU refuses an unknown one if it opens the image for reading, and ignores
// it if it opens the image for writing.
func readParallels(m *image) (*Header, error) {
	ext := m.begins(parallelsExtMagic)
	if !ext {
		if err := m.magic(parallelsMagic); err != nil {
			return nil, err
		}
	}
	b, err := m.prefix(parallelsHeaderSize, "header")
	if err != nil {
		return nil, err
	}
	var (
		version = binary.LittleEndian.Uint32(b[16:])
		tracks  = binary.LittleEndian.Uint32(b[28:]) // sectors a cluster
		entries = uint64(binary.LittleEndian.Uint32(b[32:]))
		sectors = binary.LittleEndian.Uint64(b[36:])
		inUse   = binary.LittleEndian.Uint32(b[44:])
		extOff  = binary.LittleEndian.Uint64(b[56:])
	)
	if !ext {
		sectors &= math.MaxUint32 // the older format has but 32 bits for it
	}
	switch {
	case version != parallelsVersion:
		return nil, m.unsupported("version", 16, "%d", version)
	case tracks == 0 || tracks > math.MaxInt32/513:
		return nil, m.corrupt("tracks", 28, "%d is not 1 to %d", tracks, math.MaxInt32/513)
	case parallelsHeaderSize+entries*4 > maxRequest:
		return nil, m.corrupt("bat_entries", 32, "%d are too many", entries)
	case sectors > maxLength/sectorSize:
		return nil, m.corrupt("nb_sectors", 36, "%d are too many", sectors)
	case extOff > (maxLength-uint64(tracks)*sectorSize)/sectorSize:
		// QEMU's shift to a signed number of bytes overflows: it then reads
		// elsewhere, or crashes.
		return nil, m.corrupt("ext_off", 56, "sector %#x is out of range", extOff)
	}
	return &Header{
		Format:      Parallels,
		Version:     version,
		VirtualSize: sectors * sectorSize,
		ClusterSize: uint64(tracks) * sectorSize,
		Dirty:       inUse == parallelsInUse,
	}, nil
}
