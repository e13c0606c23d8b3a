package probe

import "encoding/binary"

const (
	vdiSignature  = 0xbeda107f
	vdiVersion    = 0x00010001
	vdiHeaderSize = 512
	vdiBlock      = 1 << 20
	vdiMaxBlocks  = (1<<31 - sectorSize) / 4 // QEMU reads the block map at once

	vdiNormal = 1
	vdiFixed  = 2
	vdiUndo   = 3
	vdiDiff   = 4
)

// readVDI reads VirtualBox's format, little-endian, which has no specification:
// the fields have the names of VirtualBox's Storage/VDICore.h, and the checks
// are those of block/vdi.c (QEMU 7.2).
func readVDI(m *image) (*Header, error) {
	const signatureAt = 64
	if uint64(len(m.head)) < signatureAt+4 || binary.LittleEndian.Uint32(m.head[signatureAt:]) != vdiSignature {
		return nil, m.fail(ErrSignature, "u32Signature", signatureAt, "not %#x", uint32(vdiSignature))
	}
	b, err := m.prefix(vdiHeaderSize, "header")
	if err != nil {
		return nil, err
	}
	var (
		version   = binary.LittleEndian.Uint32(b[68:])
		kind      = binary.LittleEndian.Uint32(b[76:])
		offBlocks = uint64(binary.LittleEndian.Uint32(b[340:]))
		offData   = binary.LittleEndian.Uint32(b[344:])
		cbSector  = binary.LittleEndian.Uint32(b[360:])
		cbDisk    = binary.LittleEndian.Uint64(b[368:])
		cbBlock   = binary.LittleEndian.Uint32(b[376:])
		cBlocks   = uint64(binary.LittleEndian.Uint32(b[384:]))
		linkage   = b[424:440]
		parent    = b[440:456]
	)
	switch {
	case version != vdiVersion:
		return nil, m.unsupported("u32Version", 68, "%d.%d", version>>16, version&0xffff)
	case kind < vdiNormal || kind > vdiDiff:
		// QEMU ignores the type.
		return nil, m.unsupported("u32Type", 76, "%d", kind)
	case offBlocks%sectorSize != 0:
		return nil, m.unsupported("offBlocks", 340, "%#x is not at a sector", offBlocks)
	case offData%sectorSize != 0:
		return nil, m.unsupported("offData", 344, "%#x is not at a sector", offData)
	case cbSector != sectorSize:
		return nil, m.unsupported("cbSector", 360, "%d bytes", cbSector)
	case cbBlock != vdiBlock:
		return nil, m.unsupported("cbBlock", 376, "%d bytes", cbBlock)
	case cBlocks > vdiMaxBlocks:
		return nil, m.unsupported("cBlocks", 384, "%d are more than %d", cBlocks, vdiMaxBlocks)
	case cbDisk > cBlocks*vdiBlock:
		return nil, m.corrupt("cbDisk", 368, "%d bytes are more than %d blocks hold", cbDisk, cBlocks)
	case offBlocks+cBlocks*4 > wholeSectors(m.size):
		// QEMU reads zeros for the block map beyond the end, which map every block
		// to the first.
		return nil, m.fail(ErrTruncated, "offBlocks", 340, "%d bytes at %d, the image ends at %d", cBlocks*4, offBlocks, m.size)
	}

	h := &Header{
		Format:      VDI,
		Version:     version,
		Subformat:   "dynamic",
		VirtualSize: wholeSectors(cbDisk),
		ClusterSize: vdiBlock,
	}
	if kind == vdiFixed {
		h.Subformat = "fixed"
	}
	// QEMU refuses an image with one of the two UUIDs. It opens one that is
	// differencing (or undo, the same) only by its type, and shows the guest
	// zeros instead of the parent's data.
	if kind == vdiUndo || kind == vdiDiff || !zero(linkage) || !zero(parent) {
		h.Subformat = "differencing"
		h.Parent = &Reference{Offset: -1}
	}
	return h, nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
