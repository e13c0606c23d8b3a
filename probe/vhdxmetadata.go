package probe

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"
)

// Metadata items of [MS-VHDX]: their GUIDs, as they are stored in an image.
const (
	vhdxFileParameters = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
	vhdxDiskSize       = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
	vhdxDiskID         = "\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46" // page 83
	vhdxLogicalSector  = "\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f"
	vhdxPhysicalSector = "\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56"
	vhdxParentLocator  = "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c"
)

// vhdxItems names the known items; all but the last, which comes with a
// parent, are required.
var vhdxItems = []struct{ guid, name string }{
	{vhdxFileParameters, "File Parameters"},
	{vhdxDiskSize, "Virtual Disk Size"},
	{vhdxDiskID, "Virtual Disk ID"},
	{vhdxLogicalSector, "Logical Sector Size"},
	{vhdxPhysicalSector, "Physical Sector Size"},
	{vhdxParentLocator, "Parent Locator"},
}

// vhdxMetadata is what the metadata region says.
type vhdxMetadata struct {
	blockSize      uint64
	leaveAllocated bool
	hasParent      bool
	diskSize       uint64
	parent         *Reference // nil without hasParent
}

// batEntries returns how many entries of 8 bytes the BAT needs. Each chunk
// (the blocks that one sector bitmap covers) is followed by an entry for that
// bitmap; only a differencing image needs it after the last chunk.
func (d *vhdxMetadata) batEntries() uint64 {
	const sectorsInBitmap = 1 << 23
	chunk := sectorsInBitmap * sectorSize / d.blockSize
	blocks := (d.diskSize + d.blockSize - 1) / d.blockSize
	if d.hasParent {
		return (blocks + chunk - 1) / chunk * (chunk + 1)
	}
	if blocks == 0 {
		// QEMU counts from one less, in 32 bits.
		return (1<<32 - 1) / chunk
	}
	return blocks + (blocks-1)/chunk
}

// vhdxMetadata reads the metadata table in region r and the items that matter.
// As in QEMU an item may be anywhere after the region's start, and only the
// length of the parent locator matters.
func (m *image) vhdxMetadata(r vhdxSpan) (*vhdxMetadata, error) {
	items, err := m.vhdxItems(r)
	if err != nil {
		return nil, err
	}
	var (
		le             = binary.LittleEndian
		d              vhdxMetadata
		parametersAt   = items[vhdxFileParameters].off
		diskSizeAt     = items[vhdxDiskSize].off
		sectorAt       = items[vhdxLogicalSector].off
		locator, found = items[vhdxParentLocator]
	)
	parameters, err := m.at(parametersAt, 8, "File Parameters")
	if err != nil {
		return nil, err
	}
	flags := le.Uint32(parameters[4:])
	d.blockSize, d.leaveAllocated, d.hasParent = uint64(le.Uint32(parameters)), flags&1 != 0, flags&2 != 0
	if found != d.hasParent {
		return nil, m.corrupt("HasParent", int64(parametersAt)+4, "it is %t, and that there is a parent locator is %t", d.hasParent, found)
	}
	if d.hasParent {
		if d.parent, err = m.vhdxParent(locator); err != nil {
			return nil, err
		}
	}

	size, err := m.at(diskSizeAt, 8, "Virtual Disk Size")
	if err != nil {
		return nil, err
	}
	d.diskSize = le.Uint64(size)
	sector, err := m.at(sectorAt, 4, "Logical Sector Size")
	if err != nil {
		return nil, err
	}
	const maxDisk = 64 << 40
	switch sectorBytes := le.Uint32(sector); {
	case d.blockSize < 1<<20 || d.blockSize > 256<<20 || !powerOfTwo(d.blockSize):
		return nil, m.corrupt("BlockSize", int64(parametersAt), "%d is not a power of two from 1 MiB to 256 MiB", d.blockSize)
	case sectorBytes == 4096:
		return nil, m.unsupported("LogicalSectorSize", int64(sectorAt), "%d", sectorBytes)
	case sectorBytes != sectorSize:
		return nil, m.corrupt("LogicalSectorSize", int64(sectorAt), "%d is neither 512 nor 4096", sectorBytes)
	case d.diskSize > maxDisk:
		// The specification's limit. QEMU has none, and counts the blocks in 32
		// bits.
		return nil, m.corrupt("VirtualDiskSize", int64(diskSizeAt), "%d is more than 64 TiB", d.diskSize)
	}
	return &d, nil
}

// vhdxItems reads the metadata table in region r and returns where the known
// items are, by their GUIDs.
func (m *image) vhdxItems(r vhdxSpan) (map[string]vhdxSpan, error) {
	const entrySize = 32 // and as much of header
	b, err := m.at(r.off, entrySize, "Metadata Table")
	if err != nil {
		return nil, err
	}
	if string(b[:8]) != "metadata" {
		return nil, m.corrupt("Signature", int64(r.off), "of the metadata table")
	}
	le := binary.LittleEndian
	count := uint64(le.Uint16(b[10:]))
	if count > vhdxMaxEntries {
		return nil, m.corrupt("EntryCount", int64(r.off)+10, "%d is more than %d", count, vhdxMaxEntries)
	}
	table, err := m.at(r.off+entrySize, count*entrySize, "Metadata Table")
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	for _, item := range vhdxItems {
		known[item.guid] = true
	}
	items := make(map[string]vhdxSpan)
	for i := range count {
		e := table[i*entrySize:]
		at := int64(r.off + entrySize + i*entrySize)
		guid := string(e[:16])
		switch _, again := items[guid]; {
		case known[guid] && again:
			return nil, m.corrupt("ItemId", at, "a second item of this kind")
		case known[guid]:
			items[guid] = vhdxSpan{r.off + uint64(le.Uint32(e[16:])), uint64(le.Uint32(e[20:]))}
		case le.Uint32(e[24:])&4 != 0:
			return nil, m.unsupported("IsRequired", at+24, "an item of an unknown kind")
		}
	}
	for _, item := range vhdxItems[:5] {
		if _, ok := items[item.guid]; !ok {
			return nil, m.corrupt(item.name, -1, "the item is missing")
		}
	}
	return items, nil
}

// vhdxParent reads the parent locator in s: pairs of keys and values in
// UTF-16, from which it takes the file name in the specification's order of
// preference. QEMU never reads it.
func (m *image) vhdxParent(s vhdxSpan) (*Reference, error) {
	const (
		// LocatorType of a VHDX parent, the only one.
		typeVHDX  = "\xb7\xef\x4a\xb0\x9e\xd1\x81\x4a\xb7\x89\x25\xb8\xe9\x44\x59\x13"
		headSize  = 20
		entrySize = 12
		maxItem   = 1 << 20
	)
	if s.size < headSize || s.size > maxItem {
		return nil, m.corrupt("Parent Locator", -1, "%d bytes are not %d to 1 MiB", s.size, headSize)
	}
	b, err := m.at(s.off, s.size, "Parent Locator")
	if err != nil {
		return nil, err
	}
	at := int64(s.off)
	ref := &Reference{Offset: -1}
	if string(b[:16]) != typeVHDX {
		return ref, nil // an unknown type, without a name
	}
	le := binary.LittleEndian
	count := uint64(le.Uint16(b[18:]))
	if count > (s.size-headSize)/entrySize {
		return nil, m.corrupt("KeyValueCount", at+18, "%d pairs do not fit in %d bytes", count, s.size)
	}
	// Pairs may share their texts, so decoding all of them could need a thousand
	// times their size: decode only those that are used.
	var values [len(vhdxParentKeys)][]byte
	var seen [len(vhdxParentKeys)]bool
	for i := range count {
		e, at := b[headSize+i*entrySize:], at+int64(headSize+i*entrySize)
		key, ok := utf16At(b, le.Uint32(e), le.Uint16(e[8:]))
		if !ok {
			return nil, m.corrupt("KeyOffset", at, "the key is not in the parent locator")
		}
		value, ok := utf16At(b, le.Uint32(e[4:]), le.Uint16(e[10:]))
		if !ok {
			return nil, m.corrupt("ValueOffset", at+4, "the value is not in the parent locator")
		}
		n := slices.IndexFunc(vhdxParentKeys[:], func(known string) bool { return len(key) == 2*len(known) && decodeUTF16(key) == known })
		if n < 0 {
			continue
		}
		if seen[n] {
			// Each key may be there once; other programs may take either.
			return nil, m.corrupt("KeyOffset", at, "a second %q", vhdxParentKeys[n])
		}
		values[n], seen[n] = value, true
	}
	for n, key := range vhdxParentKeys {
		if len(values[n]) == 0 {
			continue
		}
		value := decodeUTF16(values[n])
		if len(value) > maxName {
			return nil, m.fail(ErrLimit, key, -1, "%d bytes are more than %d", len(value), maxName)
		}
		ref.Name, ref.CutAtNUL = cString([]byte(value))
		ref.FormatRecorded, ref.Format = true, string(VHDX)
		break
	}
	return ref, nil
}

// vhdxParentKeys are the keys of a parent's names, in order of preference
// ([MS-VHDX]).
var vhdxParentKeys = [...]string{"relative_path", "volume_path", "absolute_win32_path"}

// utf16At returns n bytes of UTF-16 at off; ok is false if they are not all in
// b.
func utf16At(b []byte, off uint32, n uint16) (text []byte, ok bool) {
	if uint64(off)+uint64(n) > uint64(len(b)) || n%2 != 0 {
		return nil, false
	}
	return b[off:][:n], true
}

// decodeUTF16 decodes little-endian UTF-16.
func decodeUTF16(text []byte) string {
	units := make([]uint16, len(text)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(text[2*i:])
	}
	return string(utf16.Decode(units))
}
