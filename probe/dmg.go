package probe

import (
	"bytes"
	"encoding/binary"
)

const (
	dmgMagic       = "koly"
	dmgTrailerSize = 512
	dmgMaxPlist    = 16 << 20
)

// readDMG reads the trailer of Apple's UDIF, big-endian, with the checks of
// block/dmg.c (QEMU 7.2). The guest's disk is what the trailer says, as in
// QEMU, whatever the chunks add up to.
//
// It does not check the tables of chunks in the resource fork or in the
// property list: QEMU reads up to 16 MiB of them, and refuses an image with a
// chunk of an absurd size.
func readDMG(m *image) (*Header, error) {
	at, err := m.dmgTrailer()
	if err != nil {
		return nil, err
	}
	b, err := m.at(at, dmgTrailerSize, "trailer")
	if err != nil {
		return nil, err
	}
	var (
		be         = binary.BigEndian
		dataOffset = be.Uint64(b[0x18:])
		rsrcOffset = be.Uint64(b[0x28:])
		rsrcLength = be.Uint64(b[0x30:])
		xmlOffset  = be.Uint64(b[0xd8:])
		xmlLength  = be.Uint64(b[0xe0:])
		sectors    = be.Uint64(b[0x1ec:])
		off        = int64(at)
	)
	// All parts come before the trailer, even empty ones.
	switch {
	case dataOffset > at:
		return nil, m.corrupt("DataForkOffset", off+0x18, "%#x is after the trailer", dataOffset)
	case rsrcOffset >= at || rsrcLength > at-rsrcOffset:
		return nil, m.corrupt("RsrcForkOffset", off+0x28, "%d bytes at %#x are not before the trailer", rsrcLength, rsrcOffset)
	case xmlOffset >= at || xmlLength > at-xmlOffset:
		return nil, m.corrupt("XMLOffset", off+0xd8, "%d bytes at %#x are not before the trailer", xmlLength, xmlOffset)
	case sectors > maxLength/sectorSize:
		return nil, m.corrupt("SectorCount", off+0x1ec, "%d are too many", sectors)
	case rsrcLength != 0:
		err = m.dmgResources(rsrcOffset, rsrcLength)
	case xmlLength == 0:
		err = m.corrupt("XMLLength", off+0xe0, "there is neither a property list nor a resource fork")
	case xmlLength > dmgMaxPlist:
		err = m.corrupt("XMLLength", off+0xe0, "%d is more than 16 MiB", xmlLength)
	}
	if err != nil {
		return nil, err
	}
	return &Header{Format: DMG, VirtualSize: sectors * sectorSize}, nil
}

// dmgTrailer returns where the trailer begins: at the first magic in the
// second but last sector or at the very start of the last, since an image need
// not be whole sectors long. QEMU pads the last one before it counts, and so
// does this.
func (m *image) dmgTrailer() (uint64, error) {
	const reach = sectorSize - 1 + dmgTrailerSize
	size := wholeSectors(m.size)
	var from uint64
	if size > reach {
		from = size - reach
	}
	window := min(m.size, from+sectorSize-1+uint64(len(dmgMagic))) - from
	b, err := m.at(from, window, "trailer")
	if err != nil {
		return 0, err
	}
	i := bytes.Index(b, []byte(dmgMagic))
	if i < 0 {
		return 0, m.fail(ErrSignature, "Signature", -1, "no %q at the image's end", dmgMagic)
	}
	return from + uint64(i), nil
}

// dmgResources checks the beginning of the resource fork, n bytes at off,
// whose first fields are the offset and the length of its data.
func (m *image) dmgResources(off, n uint64) error {
	b, err := m.at(off, 12, "resource fork")
	if err != nil {
		return err
	}
	dataOffset, dataLength := uint64(binary.BigEndian.Uint32(b)), uint64(binary.BigEndian.Uint32(b[8:]))
	// In QEMU the sum wraps around at 2^32.
	if dataLength == 0 || dataOffset+dataLength > n {
		return m.corrupt("resource fork", int64(off), "%d bytes of data at %d are not in its %d bytes", dataLength, dataOffset, n)
	}
	return nil
}
