package probe

import (
	"bytes"
	"slices"
)

const (
	// vmdkMaxDescriptor is the number of bytes of a descriptor that QEMU reads
	// for its createType and extents, and vmdkWindow the number for its CIDs and
	// its parent: 20 sectors.
	vmdkMaxDescriptor = 1<<20 - 1
	vmdkWindow        = 20 * sectorSize

	vmdkMaxCreateType = 127

	// vmdkMaxExtents bounds the number of extents: 8 TiB in files of 2 GiB. QEMU
	// has no limit, but keeps them all open.
	vmdkMaxExtents = 4096
)

// vmdkCreateTypes are those that QEMU opens by their descriptor.
var vmdkCreateTypes = []string{"monolithicFlat", "vmfs", "vmfsSparse", "seSparse", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"}

// vmdkDescriptor reads the descriptor at off: the text from there to the first
// NUL, or to the end of the image. A text that is not a descriptor lacks the
// signature; QEMU requires only a createType.
func (m *image) vmdkDescriptor(off uint64) (*Header, error) {
	n := min(m.size-min(off, m.size), vmdkMaxDescriptor)
	b, err := m.at(min(off, m.size), n, "descriptor")
	if err != nil {
		return nil, err
	}
	text := untilNUL(b)
	start, createType, ok := vmdkValue(text, "createType")
	switch at := int64(off) + int64(start); {
	case start < 0 && off == 0 && !vmdkDescriptor(text[:min(len(text), sectorSize)]):
		return nil, m.fail(ErrSignature, "magicNumber", 0, "neither a sparse image nor a descriptor")
	case start < 0:
		return nil, m.corrupt("createType", -1, "it is missing")
	case !ok || len(createType) > vmdkMaxCreateType:
		return nil, m.corrupt("createType", at, "no text in quotes of at most %d bytes", vmdkMaxCreateType)
	case !slices.Contains(vmdkCreateTypes, string(createType)):
		return nil, m.unsupported("createType", at, "%q", createType)
	}
	h := &Header{Format: VMDK, Subformat: string(createType)}
	if err := m.vmdkExtents(h, text, off); err != nil {
		return nil, err
	}
	return h, nil
}

// vmdkValue returns the quoted text after key, and its offset; -1 if the key
// is missing. QEMU uses the first occurrence of the key anywhere, and skips
// any two bytes after it instead of the equals sign and the quote.
func vmdkValue(text []byte, key string) (start int, value []byte, ok bool) {
	start = bytes.Index(text, []byte(key))
	if start < 0 {
		return start, nil, false
	}
	start += len(key) + 2
	if start >= len(text) {
		return start, nil, false
	}
	value, _, ok = bytes.Cut(text[start:], []byte{'"'})
	return start, value, ok
}

// vmdkExtents adds the files and the size in the descriptor's lines to h. For
// a SPARSE, VMFSSPARSE or SESPARSE extent QEMU uses the size, and the grain
// size, in the header of that file instead.
//
// QEMU parses from the start of every line, but its sscanf skips white space,
// including newlines, before and between the words: an extent after an empty
// line counts twice.
func (m *image) vmdkExtents(h *Header, text []byte, off uint64) error {
	var (
		line    *vmdkLine
		sectors uint64
	)
	for p := 0; p < len(text); {
		if line == nil || p > line.start {
			line = parseVMDKLine(text, p)
		}
		at := int64(off) + int64(line.start)
		if !line.valid() {
			return m.corrupt("extent", at, "not what one of kind %q says", line.kind)
		}
		if line.names() {
			if len(h.Extents) == vmdkMaxExtents {
				return m.fail(ErrLimit, "extent", at, "more than %d", vmdkMaxExtents)
			}
			h.Extents = append(h.Extents, Reference{Name: line.text(), Offset: int64(off) + int64(line.nameStart)})
			sectors += uint64(line.sectors)
			if sectors > vmdkMaxSectors {
				return m.corrupt("extent", at, "with %d sectors the disk is larger than %d", line.sectors, uint64(vmdkMaxSectors))
			}
		}
		next := bytes.IndexByte(text[p:], '\n')
		if next < 0 {
			break
		}
		p += next + 1
	}
	if len(h.Extents) == 0 {
		// QEMU aborts on a request for such an image's cluster size.
		return m.corrupt("extent", -1, "it is missing")
	}
	h.VirtualSize = sectors * sectorSize
	return nil
}

// vmdkLine is the result of QEMU's sscanf on a descriptor from some line on.
type vmdkLine struct {
	start     int // of the first word
	matched   int // how many of the fields are there
	access    []byte
	sectors   int64
	kind      []byte
	nameStart int
	name      []byte
	nameText  string // name, once somebody has asked for it
	offset    int64  // in the extent, in sectors
}

// parseVMDKLine matches: access, size in sectors, kind, name in quotes, offset.
func parseVMDKLine(text []byte, p int) *vmdkLine {
	const maxWord, maxExtentName = 10, 511
	s := scanner{text: text, at: p}
	s.space()
	l := &vmdkLine{start: s.at, offset: -1}
	if l.access = s.run(maxWord, notSpace); l.access == nil {
		return l
	}
	l.matched++
	s.space()
	var ok bool
	if l.sectors, ok = s.number(); !ok {
		return l
	}
	l.matched++
	s.space()
	if l.kind = s.run(maxWord, notSpace); l.kind == nil {
		return l
	}
	l.matched++
	s.space()
	if !s.literal('"') {
		return l
	}
	l.nameStart = s.at
	if l.name = s.run(maxExtentName, func(c byte) bool { return c != '"' && c != '\n' && c != '\r' }); l.name == nil {
		return l
	}
	l.matched++
	// The rest, including the closing quote, is required only for a FLAT extent.
	if !s.literal('"') {
		return l
	}
	s.space()
	if l.offset, ok = s.number(); ok {
		l.matched++
	} else {
		l.offset = -1
	}
	return l
}

// extent reports whether QEMU treats the line as an extent, of any kind: only
// with access RW.
func (l *vmdkLine) extent() bool { return l.matched >= 4 && string(l.access) == "RW" }

// valid reports whether QEMU accepts the line.
func (l *vmdkLine) valid() bool {
	if !l.extent() {
		return true
	}
	if string(l.kind) == "FLAT" {
		return l.matched == 5 && l.offset >= 0
	}
	return l.matched == 4
}

// text returns the name. All extents of a repeated line share it: otherwise
// five KiB of newlines before one would need megabytes.
func (l *vmdkLine) text() string {
	if l.nameText == "" {
		l.nameText = string(l.name)
	}
	return l.nameText
}

// names reports whether QEMU opens the file in a valid line.
func (l *vmdkLine) names() bool {
	if !l.extent() || l.sectors <= 0 {
		return false
	}
	switch string(l.kind) {
	case "FLAT", "SPARSE", "VMFS", "VMFSSPARSE", "SESPARSE":
		return true
	}
	return false
}

// vmdkParent reads the parent in the descriptor at off (the start of the image
// or one of its first sectors). QEMU requires both CIDs, and opens the parent
// as vmdk without probing; it compares the CIDs only when the guest reads.
func (m *image) vmdkParent(h *Header, off uint64) error {
	b, err := m.prefix(min(m.size, off+vmdkWindow), "descriptor")
	if err != nil {
		return err
	}
	// QEMU skips two bytes after the key even if they are NULs, so the
	// window must not end at the first.
	window := b[min(off, uint64(len(b))):]
	const key = "parentFileNameHint"
	if i := bytes.Index(untilNUL(window), []byte(key)); i >= 0 {
		start := min(i+len(key)+2, len(window))
		name, _, ok := bytes.Cut(untilNUL(window[start:]), []byte{'"'})
		at := int64(off) + int64(start)
		switch {
		case !ok:
			return m.corrupt(key, at, "no closing quote")
		case len(name) > maxName:
			return m.corrupt(key, at, "%d bytes are more than %d", len(name), maxName)
		case len(name) > 0:
			h.Backing = &Reference{Name: string(name), Offset: at, FormatRecorded: true, Format: string(VMDK)}
		}
	}
	for _, key := range []string{"CID", "parentCID"} {
		// QEMU puts a NUL in the window's last byte here.
		if !hasVMDKCID(window[:min(len(window), vmdkWindow-1)], key) {
			return m.corrupt(key, -1, "no hexadecimal number")
		}
	}
	return nil
}

// hasVMDKCID reports whether QEMU finds a number one byte after key.
func hasVMDKCID(window []byte, key string) bool {
	i := bytes.Index(untilNUL(window), []byte(key))
	if i < 0 {
		return false
	}
	s := scanner{text: window, at: min(i+len(key)+1, len(window))}
	s.space()
	s.sign()
	return s.run(1, func(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }) != nil
}

// untilNUL returns b up to its first NUL.
func untilNUL(b []byte) []byte {
	s, _, _ := bytes.Cut(b, []byte{0})
	return s
}
