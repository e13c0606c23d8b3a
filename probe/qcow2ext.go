package probe

import "encoding/binary"

// Header extension types of QEMU's docs/interop/qcow2.txt.
const (
	qcow2ExtEnd           = 0x00000000
	qcow2ExtBackingFormat = 0xE2792ACA
	qcow2ExtDataFile      = 0x44415441
	qcow2ExtFeatureNames  = 0x6803F857
	qcow2ExtLUKS          = 0x0537BE77
	qcow2ExtBitmaps       = 0x23852875
)

// qcow2Ext is the content of the header extensions.
type qcow2Ext struct {
	format   []byte     // the backing image's format; nil if none is recorded
	dataFile *Reference // nil if none is named
	luks     bool       // a LUKS header is pointed to
	bitmaps  bool       // there is a bitmaps extension
	unknown  bool       // there is an extension of another type
}

// qcow2Extensions reads the extension area: from the end of the header to the
// backing file name, or, without one, to the end of the first cluster. Each
// extension starts with its type and length, four bytes each, and is padded to
// a multiple of 8 bytes; type 0 ends the area, and may be missing.
func (m *image) qcow2Extensions(f *qcow2Fields) (*qcow2Ext, error) {
	var ext qcow2Ext
	end := f.clusterSize
	if f.backingOffset != 0 {
		end = f.backingOffset
	}
	seen := make(map[uint32]bool)
	for off := uint64(f.headerLength); off < end; {
		at := int64(off)
		if end-off < 8 {
			return nil, m.corrupt("header extension", at, "%d bytes are left for it", end-off)
		}
		b, err := m.prefix(off+8, "header extension")
		if err != nil {
			return nil, err
		}
		kind := binary.BigEndian.Uint32(b[off:])
		n := uint64(binary.BigEndian.Uint32(b[off+4:]))
		off += 8
		if n > end-off {
			return nil, m.corrupt("header extension", at, "%d bytes do not fit in the %d that are left", n, end-off)
		}

		switch kind {
		case qcow2ExtEnd:
			return &ext, nil
		case qcow2ExtBackingFormat, qcow2ExtDataFile, qcow2ExtFeatureNames, qcow2ExtLUKS, qcow2ExtBitmaps:
			// The specification allows each type once. QEMU uses the last one, but
			// other programs may not, so a repeated one is refused.
			if seen[kind] {
				return nil, tolerated(m.corrupt("header extension", at, "a second one of type %#08x", kind))
			}
			seen[kind] = true
			if err := m.qcow2Extension(f, &ext, kind, off, n); err != nil {
				return nil, err
			}
		default:
			ext.unknown = true
		}
		off += (n + 7) &^ 7
	}
	return &ext, nil
}

// qcow2Extension reads the n bytes at off, which are within the first cluster.
func (m *image) qcow2Extension(f *qcow2Fields, ext *qcow2Ext, kind uint32, off, n uint64) error {
	at := int64(off)
	switch kind {
	case qcow2ExtBackingFormat:
		if n > 15 {
			return m.corrupt("backing file format name", at, "%d bytes are more than 15", n)
		}
		b, err := m.prefix(off+n, "backing file format name")
		if err != nil {
			return err
		}
		ext.format = b[off:]
		return nil

	case qcow2ExtDataFile:
		if f.incompat&qcow2IncompatDataFile == 0 {
			// QEMU ignores it then, and libvirt 11.3 does not find it.
			return nil
		}
		_, err := m.prefix(off+n, "external data file name")
		if err == nil {
			ext.dataFile, err = m.name("external data file name", off, n)
		}
		return err

	case qcow2ExtLUKS:
		return m.qcow2LUKS(f, ext, off, n)

	case qcow2ExtBitmaps:
		ext.bitmaps = true
		return m.qcow2Bitmaps(f, off, n)
	}
	return nil
}

// qcow2LUKS checks the pointer to the LUKS header: its offset and its length.
func (m *image) qcow2LUKS(f *qcow2Fields, ext *qcow2Ext, off, n uint64) error {
	at := int64(off)
	if f.crypt != qcow2CryptLUKS {
		return m.corrupt("full disk encryption header pointer", at, "crypt_method is %d", f.crypt)
	}
	if n != 16 {
		return m.corrupt("full disk encryption header pointer", at, "%d bytes long, not 16", n)
	}
	b, err := m.prefix(off+n, "full disk encryption header pointer")
	if err != nil {
		return err
	}
	offset, length := binary.BigEndian.Uint64(b[off:]), binary.BigEndian.Uint64(b[off+8:])
	if offset%f.clusterSize != 0 {
		return m.corrupt("full disk encryption header pointer", at, "%#x is not at a cluster", offset)
	}
	if offset > m.size || length > m.size-offset {
		return m.fail(ErrTruncated, "full disk encryption header", at, "%d bytes at %#x, the image ends at %d", length, offset, m.size)
	}
	ext.luks = true
	return nil
}

// qcow2Bitmaps checks the bitmaps extension. Without its autoclear bit the
// extension is stale and QEMU looks at no more than its length.
func (m *image) qcow2Bitmaps(f *qcow2Fields, off, n uint64) error {
	const (
		maxBitmaps   = 65535
		maxDirectory = 1024 * maxBitmaps
	)
	at := int64(off)
	if n != 24 {
		return m.corrupt("bitmaps extension", at, "%d bytes long, not 24", n)
	}
	if f.autoclear&qcow2AutoclearBitmaps == 0 {
		return nil
	}
	b, err := m.prefix(off+n, "bitmaps extension")
	if err != nil {
		return err
	}
	var (
		count    = binary.BigEndian.Uint32(b[off:])
		reserved = binary.BigEndian.Uint32(b[off+4:])
		size     = binary.BigEndian.Uint64(b[off+8:])
		offset   = binary.BigEndian.Uint64(b[off+16:])
	)
	switch {
	case reserved != 0:
		return m.corrupt("bitmaps extension", at+4, "reserved field is %#x", reserved)
	case count == 0 || count > maxBitmaps:
		return m.corrupt("nb_bitmaps", at, "%d is not 1 to %d", count, maxBitmaps)
	case offset%f.clusterSize != 0:
		return m.corrupt("bitmap_directory_offset", at+16, "%#x is not at a cluster", offset)
	case size == 0 || size > maxDirectory:
		return m.corrupt("bitmap_directory_size", at+8, "%d is not 1 to %d", size, maxDirectory)
	}
	return nil
}
