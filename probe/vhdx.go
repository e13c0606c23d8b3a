package probe

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// Places and sizes of Microsoft's VHDX specification ([MS-VHDX]), in bytes.
// Everything in the format is little-endian.
const (
	vhdxMagic      = "vhdxfile"
	vhdxHeader1    = 64 << 10
	vhdxHeader2    = 128 << 10
	vhdxHeaderSize = 4 << 10
	vhdxHeaderUsed = 80 // of it, the fields
	vhdxRegionsAt  = 192 << 10
	vhdxTableSize  = 64 << 10 // of the region table and of the metadata table
	vhdxMaxEntries = 2047     // in either table
	vhdxLogUnit    = 1 << 20

	// GUIDs, as they are stored in an image.
	vhdxBATRegion      = "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08"
	vhdxMetadataRegion = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"

	vhdxFixed        = "fixed"
	vhdxDynamic      = "dynamic"
	vhdxDifferencing = "differencing"
)

// vhdxHeader is the current one of an image's two headers.
type vhdxHeader struct {
	at       int64 // where it stands
	fields   string
	sequence uint64
	version  uint16 // of the log
	log      vhdxSpan
	dirty    bool // the log may have entries to replay
}

// vhdxSpan is a part of the image.
type vhdxSpan struct{ off, size uint64 }

// overlaps works as in QEMU: sums may wrap around, and an empty span overlaps
// the span that contains it.
func (s vhdxSpan) overlaps(t vhdxSpan) bool {
	return s.off < t.off+t.size && s.off+s.size > t.off
}

// vhdxSpans are spans sorted by offset, for fast checks: an image may have two
// thousand regions, and a quarter of a million blocks that must not overlap
// them.
type vhdxSpans struct {
	offs []uint64
	ends []uint64 // for each, the largest end so far
}

func newVHDXSpans(spans []vhdxSpan) *vhdxSpans {
	var v vhdxSpans
	furthest := uint64(0)
	for _, s := range slices.SortedFunc(slices.Values(spans), func(a, b vhdxSpan) int { return cmp.Compare(a.off, b.off) }) {
		furthest = max(furthest, s.off+s.size)
		v.offs, v.ends = append(v.offs, s.off), append(v.ends, furthest)
	}
	return &v
}

// overlap reports whether s overlaps one of the spans.
func (v *vhdxSpans) overlap(s vhdxSpan) bool {
	before, _ := slices.BinarySearch(v.offs, s.off+s.size)
	return before > 0 && v.ends[before-1] > s.off
}

// readVHDX reads the format of [MS-VHDX] with the checks of block/vhdx.c (QEMU
// 7.2), in its order: headers, log, regions, metadata, BAT.
//
// QEMU reads the first of the two region tables and never the second, and so
// does Read. It does not search the log for entries: QEMU opens an image
// read-only only if the log has none, so Dirty may mean a refusal. An image
// with a parent, which QEMU always refuses, is checked like any other and then
// returned with its Parent.
func readVHDX(m *image) (*Header, error) {
	if err := m.magic(vhdxMagic); err != nil {
		return nil, err
	}
	head, err := m.vhdxHeader()
	if err != nil {
		return nil, err
	}
	if err := m.vhdxLog(head); err != nil {
		return nil, err
	}
	regions, err := m.vhdxRegions(head.log)
	if err != nil {
		return nil, err
	}
	meta, err := m.vhdxMetadata(regions.metadata)
	if err != nil {
		return nil, err
	}
	if err := m.vhdxBAT(regions, meta); err != nil {
		return nil, err
	}
	h := &Header{
		Format:      VHDX,
		Version:     1,
		Subformat:   vhdxDynamic,
		VirtualSize: sectors(meta.diskSize),
		ClusterSize: meta.blockSize,
		Parent:      meta.parent,
		Dirty:       head.dirty,
	}
	switch {
	case meta.hasParent:
		h.Subformat = vhdxDifferencing
	case meta.leaveAllocated:
		h.Subformat = vhdxFixed
	}
	return h, nil
}

// vhdxHeader chooses the current header: the valid one with the higher
// sequence number. Some programs write the same one twice.
func (m *image) vhdxHeader() (*vhdxHeader, error) {
	first, err := m.vhdxHeaderAt(vhdxHeader1)
	if err != nil {
		return nil, err
	}
	second, err := m.vhdxHeaderAt(vhdxHeader2)
	if err != nil {
		return nil, err
	}
	switch {
	case first == nil && second == nil:
		return nil, m.corrupt("Header", vhdxHeader1, "neither of the two is whole and of version 1")
	case second == nil:
		return first, nil
	case first == nil || second.sequence > first.sequence:
		return second, nil
	case first.sequence == second.sequence && first.fields != second.fields:
		return nil, m.corrupt("SequenceNumber", vhdxHeader2+8, "two different headers have %d", first.sequence)
	}
	return first, nil
}

// vhdxHeaderAt returns the header at off, or nil if it is invalid.
func (m *image) vhdxHeaderAt(off uint64) (*vhdxHeader, error) {
	b, err := m.at(off, vhdxHeaderSize, "Header")
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if !vhdxWhole(b) || string(b[:4]) != "head" || le.Uint16(b[66:]) != 1 {
		return nil, nil
	}
	h := &vhdxHeader{
		at:       int64(off),
		fields:   string(b[:vhdxHeaderUsed]),
		sequence: le.Uint64(b[8:]),
		version:  le.Uint16(b[64:]),
		log:      vhdxSpan{le.Uint64(b[72:]), uint64(le.Uint32(b[68:]))},
	}
	var noLog [16]byte
	h.dirty = string(b[48:64]) != string(noLog[:]) && h.log.size > 0
	return h, nil
}

// vhdxWhole verifies the CRC-32C of a header or a table, computed with zeros
// in the checksum field.
func vhdxWhole(b []byte) bool {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Checksum(b[:4], table)
	sum = crc32.Update(sum, table, make([]byte, 4))
	sum = crc32.Update(sum, table, b[8:])
	return sum == binary.LittleEndian.Uint32(b[4:])
}

// vhdxLog checks where the log is, and its length if it is in use.
func (m *image) vhdxLog(h *vhdxHeader) error {
	switch {
	case h.log.off < vhdxLogUnit || h.log.off%vhdxLogUnit != 0:
		return m.corrupt("LogOffset", h.at+72, "%#x is 0, or not a multiple of 1 MiB", h.log.off)
	case h.version != 0:
		return m.unsupported("LogVersion", h.at+64, "%d", h.version)
	case h.dirty && h.log.size%vhdxLogUnit != 0:
		return m.corrupt("LogLength", h.at+68, "%d bytes are not a multiple of 1 MiB", h.log.size)
	}
	return nil
}

// vhdxRegions are the regions in the region table.
type vhdxRegions struct {
	bat, metadata vhdxSpan
	all           []vhdxSpan // these, the log and all others in the table
}

// vhdxRegions reads the region table, in which the BAT and the metadata are
// required. No region may overlap another one or the log.
func (m *image) vhdxRegions(log vhdxSpan) (*vhdxRegions, error) {
	b, err := m.at(vhdxRegionsAt, vhdxTableSize, "Region Table")
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if !vhdxWhole(b) {
		return nil, m.corrupt("Checksum", vhdxRegionsAt+4, "of the region table")
	}
	if string(b[:4]) != "regi" {
		return nil, m.corrupt("Signature", vhdxRegionsAt, "of the region table")
	}
	count := le.Uint32(b[8:])
	if count > vhdxMaxEntries {
		return nil, m.corrupt("EntryCount", vhdxRegionsAt+8, "%d is more than %d", count, vhdxMaxEntries)
	}

	r := &vhdxRegions{all: []vhdxSpan{log}}
	seen := make(map[string]bool)
	for i := range int(count) {
		const headSize, entrySize = 16, 32
		e := b[headSize+i*entrySize:]
		at := int64(vhdxRegionsAt + headSize + i*entrySize)
		guid, s := string(e[:16]), vhdxSpan{le.Uint64(e[16:]), uint64(le.Uint32(e[24:]))}
		if slices.ContainsFunc(r.all, s.overlaps) {
			return nil, m.corrupt("FileOffset", at+16, "%d bytes at %#x overlap another region", s.size, s.off)
		}
		r.all = append(r.all, s)

		switch guid {
		case vhdxBATRegion, vhdxMetadataRegion:
			if seen[guid] {
				return nil, m.corrupt("Guid", at, "a second region of this kind")
			}
			seen[guid] = true
			// QEMU reads this much of it at once.
			n := uint64(vhdxTableSize)
			if guid == vhdxBATRegion {
				n = s.size
			}
			if n > maxRequest || s.off > maxLength-n {
				return nil, m.corrupt("FileOffset", at+16, "%d bytes at %#x are out of range", n, s.off)
			}
			if guid == vhdxBATRegion {
				r.bat = s
			} else {
				r.metadata = s
			}
		default:
			if le.Uint32(e[28:])&1 != 0 {
				return nil, m.unsupported("Required", at+28, "a region of an unknown kind")
			}
		}
	}
	if len(seen) != 2 {
		return nil, m.corrupt("EntryCount", vhdxRegionsAt+8, "the BAT or the metadata is missing")
	}
	return r, nil
}

// vhdxBAT checks the block allocation table: it must be long enough, and every
// block must lie within the image and outside of the regions.
func (m *image) vhdxBAT(r *vhdxRegions, meta *vhdxMetadata) error {
	const (
		stateMask    = 7
		fullyPresent = 6
		offsetMask   = ^uint64(1<<20 - 1)
	)
	n := meta.batEntries()
	if n > r.bat.size/8 {
		return m.corrupt("Length", -1, "the BAT of %d bytes has no room for %d entries", r.bat.size, n)
	}
	b, err := m.at(r.bat.off, n*8, "BAT")
	if err != nil {
		return err
	}
	end := wholeSectors(m.size)
	regions := newVHDXSpans(r.all)
	for i := range n {
		entry := binary.LittleEndian.Uint64(b[i*8:])
		if entry&stateMask != fullyPresent {
			continue
		}
		at := int64(r.bat.off + i*8)
		off := entry & offsetMask
		// The last block may be truncated, as in images of older QEMUs. QEMU uses
		// the entry's number as the block's, and so does this.
		length := min(meta.blockSize, sectors(meta.diskSize)-i*meta.blockSize)
		if off >= end || length > end-off {
			return m.fail(ErrTruncated, "BAT Entry", at, "block %d, %d bytes at %#x, is not in the image", i, length, off)
		}
		// Because of a bug, QEMU skips one block after each chunk here.
		if regions.overlap(vhdxSpan{off, meta.blockSize}) {
			return m.corrupt("BAT Entry", at, "block %d at %#x overlaps a region", i, off)
		}
	}
	return nil
}
