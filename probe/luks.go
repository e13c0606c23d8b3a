package probe

import (
	"encoding/binary"
	"fmt"
)

// Sizes of the LUKS On-Disk Format Specification 1.2.3, in bytes if not in
// sectors.
const (
	luksMagic       = "LUKS\xba\xbe"
	luksHeaderSize  = 592
	luksSlotsAt     = 208
	luksSlotSize    = 48
	luksSlots       = 8
	luksHeaderArea  = 4096 / sectorSize // sectors that belong to the header
	luksStripes     = 4000
	luksSlotEnabled = 0x00AC71F3
	luksSlotDead    = 0x0000DEAD
)

// luksFields is what the checks need of the header, big-endian in the image.
type luksFields struct {
	payload    uint32 // sectors
	keyBytes   uint32
	iterations uint32
	slots      [luksSlots]luksSlot
}

type luksSlot struct {
	at         int64 // offset in the header
	active     uint32
	iterations uint32
	material   uint64 // the sector at which the key material begins
	stripes    uint32
}

// readLUKS reads version 1 with the checks of crypto/block-luks.c (7.2 and
// later), big-endian. Version 2 is another format, which QEMU does not open. A
// detached header, which newer QEMUs can join with another file, is not a LUKS
// image here.
//
// It derives no key and does not check the key material and the payload: an
// image that no passphrase opens is not an error.
func readLUKS(m *image) (*Header, error) {
	if err := m.magic(luksMagic); err != nil {
		return nil, err
	}
	b, err := m.prefix(8, "version")
	if err != nil {
		return nil, err
	}
	if version := binary.BigEndian.Uint16(b[6:]); version != 1 {
		return nil, m.unsupported("version", 6, "%d", version)
	}
	if b, err = m.prefix(luksHeaderSize, "header"); err != nil {
		return nil, err
	}
	f := luksFields{
		payload:    binary.BigEndian.Uint32(b[104:]),
		keyBytes:   binary.BigEndian.Uint32(b[108:]),
		iterations: binary.BigEndian.Uint32(b[164:]),
	}
	if err := m.luksCipher(b, f.keyBytes); err != nil {
		return nil, err
	}
	switch {
	case f.payload < luksHeaderArea:
		return nil, m.corrupt("payload-offset", 104, "sector %d is inside the header", f.payload)
	case f.iterations == 0:
		return nil, m.corrupt("mk-digest-iter", 164, "0")
	}
	if err := m.luksKeySlots(b, &f); err != nil {
		return nil, err
	}
	// The guest's disk is what is left of the file, in whole sectors.
	size, payload := wholeSectors(m.size), uint64(f.payload)*sectorSize
	if payload > size {
		return nil, m.fail(ErrTruncated, "payload-offset", 104, "the payload begins at %d, the image ends at %d", payload, m.size)
	}
	return &Header{
		Format:      LUKS,
		Version:     1,
		VirtualSize: size - payload,
		Encryption:  LUKSEnc,
	}, nil
}

// luksKeySlots checks the eight key slots: their key material is between the
// header and the payload, without overlaps. A disabled slot has its place too.
func (m *image) luksKeySlots(b []byte, f *luksFields) error {
	for i := range f.slots {
		at := luksSlotsAt + i*luksSlotSize
		s := b[at : at+luksSlotSize]
		f.slots[i] = luksSlot{
			at:         int64(at),
			active:     binary.BigEndian.Uint32(s),
			iterations: binary.BigEndian.Uint32(s[4:]),
			material:   uint64(binary.BigEndian.Uint32(s[40:])),
			stripes:    binary.BigEndian.Uint32(s[44:]),
		}
	}
	// Sectors of key material, in whole areas of 4 KiB.
	size := wholeSectors(uint64(f.keyBytes)*luksStripes) / sectorSize
	size = (size + luksHeaderArea - 1) / luksHeaderArea * luksHeaderArea
	for i, s := range f.slots {
		field := func(name string) string { return fmt.Sprintf("key-slot-%d %s", i+1, name) }
		switch {
		case s.active != luksSlotEnabled && s.active != luksSlotDead:
			return m.corrupt(field("active"), s.at, "%#x", s.active)
		case s.active == luksSlotEnabled && s.iterations == 0:
			return m.corrupt(field("iterations"), s.at+4, "0")
		case s.stripes != luksStripes:
			return m.corrupt(field("stripes"), s.at+44, "%d is not %d", s.stripes, luksStripes)
		case s.material < luksHeaderArea:
			return m.corrupt(field("key-material-offset"), s.at+40, "sector %d is inside the header", s.material)
		case s.material+size > uint64(f.payload):
			// In QEMU the sum wraps around at 2^32.
			return m.corrupt(field("key-material-offset"), s.at+40, "%d sectors at %d reach into the payload at %d", size, s.material, f.payload)
		}
		for j, other := range f.slots[:i] {
			if s.material+size > other.material && other.material+size > s.material {
				return m.corrupt(field("key-material-offset"), s.at+40, "sector %d overlaps the material of key-slot-%d", s.material, j+1)
			}
		}
	}
	return nil
}
