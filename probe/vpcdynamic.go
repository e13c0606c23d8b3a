package probe

import (
	"encoding/binary"
	"math"
	"slices"
	"unicode/utf16"
)

const (
	vpcSparse      = "cxsparse"
	vpcDynamicSize = 1024
	vpcMaxEntries  = math.MaxInt32 / 4
	vpcMaxBlock    = 1 << 30 // the next power of two is negative when QEMU says it
)

// vpcDynamic reads the dynamic disk header at off. Its checksum is not
// checked, because QEMU does not. It checks the offset of the block allocation
// table, but not its content, which may have megabytes.
func (m *image) vpcDynamic(h *Header, off uint64, differencing bool) error {
	b, err := m.at(off, vpcDynamicSize, "dynamic disk header")
	if err != nil {
		return err
	}
	base := int64(off)
	var (
		tableOffset = binary.BigEndian.Uint64(b[16:])
		entries     = uint64(binary.BigEndian.Uint32(b[28:]))
		blockSize   = uint64(binary.BigEndian.Uint32(b[32:]))
	)
	switch {
	case string(b[:len(vpcSparse)]) != vpcSparse:
		return m.corrupt("Cookie", base, "the dynamic disk header does not begin with %q", vpcSparse)
	case blockSize < sectorSize || blockSize > vpcMaxBlock || !powerOfTwo(blockSize):
		return m.corrupt("Block Size", base+32, "%d is no power of two from %d to %d", blockSize, sectorSize, vpcMaxBlock)
	case entries > vpcMaxEntries:
		return m.corrupt("Max Table Entries", base+28, "%d are more than %d", entries, vpcMaxEntries)
	case entries*blockSize < h.VirtualSize:
		return m.corrupt("Max Table Entries", base+28, "%d blocks of %d bytes do not hold %d", entries, blockSize, h.VirtualSize)
	case tableOffset > maxLength-entries*4:
		return m.corrupt("Table Offset", base+16, "%#x is out of range", tableOffset)
	case wholeSectors(tableOffset+entries*4) > wholeSectors(m.size):
		return m.fail(ErrTruncated, "Table Offset", base+16, "%d bytes at %d, the image ends at %d", entries*4, tableOffset, m.size)
	}
	h.ClusterSize = blockSize
	if differencing {
		h.Subformat = "differencing"
		h.Parent = vpcParent(b[64:576])
	}
	return nil
}

// vpcParent decodes the Parent Unicode Name: UTF-16, big-endian, up to a NUL.
// Invalid UTF-16 becomes U+FFFD. It does not read the parent locators, which
// say where Windows or macOS look for that file.
func vpcParent(b []byte) *Reference {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	ref := &Reference{Offset: -1}
	if end := slices.Index(units, 0); end >= 0 {
		ref.CutAtNUL = slices.ContainsFunc(units[end:], func(u uint16) bool { return u != 0 })
		units = units[:end]
	}
	ref.Name = string(utf16.Decode(units))
	return ref
}
