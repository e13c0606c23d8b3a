package probe

import "encoding/binary"

const (
	vpcCookie     = "conectix"
	vpcFooterSize = 512

	vpcFixed        = 2
	vpcDynamic      = 3
	vpcDifferencing = 4

	vpcMaxGeometry = 65535 * 16 * 255 // sectors
	vpcMaxSectors  = 0xff000000       // 2040 GiB
)

// readVPC reads the format of Microsoft's "Virtual Hard Disk Image Format
// Specification" (VHD), big-endian, with the checks of block/vpc.c (QEMU
// 10.0): a footer at the image's end, and, unless the image is fixed, a copy
// of it at the start.
//
// With the copy QEMU treats the image as dynamic and ignores its type and the
// footer. It does not support parents: a differencing image reads as zeros
// where it has no data.
func readVPC(m *image) (*Header, error) {
	var (
		footer []byte
		at     uint64
		err    error
	)
	inFront := m.begins(vpcCookie)
	if inFront {
		footer, err = m.prefix(vpcFooterSize, "footer")
	} else {
		// QEMU pads the last sector, and so finds the footer of 511 bytes that old
		// programs wrote.
		at = max(wholeSectors(m.size), vpcFooterSize) - vpcFooterSize
		footer, err = m.padded(at, vpcFooterSize, "footer")
	}
	if err != nil {
		return nil, err
	}
	if string(footer[:len(vpcCookie)]) != vpcCookie {
		return nil, m.fail(ErrSignature, "Cookie", int64(at), "%q is neither at the start nor at the end", vpcCookie)
	}
	kind := binary.BigEndian.Uint32(footer[60:])
	switch {
	case vpcChecksum(footer) != binary.BigEndian.Uint32(footer[64:]):
		return nil, m.corrupt("Checksum", int64(at)+64, "%#x", binary.BigEndian.Uint32(footer[64:]))
	case !inFront && kind != vpcFixed:
		return nil, m.corrupt("Disk Type", int64(at)+60, "%d without a copy of the footer in front", kind)
	case inFront && kind != vpcDynamic && kind != vpcDifferencing:
		// QEMU treats this as dynamic too. But a fixed disk has no copy at the
		// start: the guest may have written what looks like one.
		return nil, tolerated(m.corrupt("Disk Type", int64(at)+60, "%d with a copy of the footer in front", kind))
	}

	h := &Header{
		Format:      VPC,
		Version:     binary.BigEndian.Uint32(footer[12:]),
		Subformat:   "fixed",
		VirtualSize: vpcSectors(footer) * sectorSize,
	}
	if h.VirtualSize > vpcMaxSectors*sectorSize {
		return nil, m.corrupt("Current Size", int64(at)+48, "%d bytes are more than %d", h.VirtualSize, uint64(vpcMaxSectors*sectorSize))
	}
	if kind == vpcFixed {
		return h, nil
	}
	h.Subformat = "dynamic"
	if err := m.vpcDynamic(h, binary.BigEndian.Uint64(footer[16:]), kind == vpcDifferencing); err != nil {
		return nil, err
	}
	return h, nil
}

// vpcChecksum is the one's complement of the sum of all bytes but those of the
// checksum itself.
func vpcChecksum(footer []byte) uint32 {
	var sum uint32
	for i, c := range footer {
		if i < 64 || i >= 68 {
			sum += uint32(c)
		}
	}
	return ^sum
}

// vpcSectors returns the size of the disk, as QEMU since 10.0 reads it. The
// program that wrote the image decides which field is used: for Virtual PC and
// QEMU before 2.6, whose Current Size is too large, the geometry, unless that
// is at its maximum; for all others the Current Size.
//
// QEMU before 10.0 uses the geometry for all but five creators. Images of
// others, such as VirtualBox ("vbox"), have other sizes there, usually larger
// by less than a cylinder.
func vpcSectors(footer []byte) uint64 {
	geometry := uint64(binary.BigEndian.Uint16(footer[56:])) * uint64(footer[58]) * uint64(footer[59])
	switch creator := string(footer[28:32]); {
	case geometry == vpcMaxGeometry, creator != "vpc " && creator != "qemu":
		return binary.BigEndian.Uint64(footer[48:]) / sectorSize
	}
	return geometry
}
