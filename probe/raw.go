package probe

// The formats in this file have no header besides a signature.

// readRaw: QEMU shows the guest whole sectors and pads the last one with zeros
// (QEMU 7.2, bdrv_refresh_total_sectors).
func readRaw(m *image) (*Header, error) {
	return &Header{
		Format:      Raw,
		VirtualSize: wholeSectors(m.size),
	}, nil
}

// readISO: QEMU has no driver for ISO 9660 and shows the guest the bytes of
// the image, like raw. Only libvirt's signature is checked.
func readISO(m *image) (*Header, error) {
	if m.size < isoOffset+uint64(len(isoMark)) {
		return nil, m.fail(ErrSignature, "Standard Identifier", -1, "the image ends at %d", m.size)
	}
	b, err := m.at(isoOffset, uint64(len(isoMark)), "Standard Identifier")
	if err != nil {
		return nil, err
	}
	if string(b) != isoMark {
		return nil, m.fail(ErrSignature, "Standard Identifier", isoOffset, "no %q there", isoMark)
	}
	return &Header{
		Format:      ISO,
		VirtualSize: wholeSectors(m.size),
	}, nil
}

// readCOW: user-mode Linux's copy-on-write format names a backing image, but
// QEMU dropped its driver in 2.2 and libvirt refuses it for QEMU, so only its
// magic is read.
func readCOW(m *image) (*Header, error) {
	if err := m.magic("OOOM"); err != nil {
		return nil, err
	}
	return nil, m.unsupported("magic", 0, "QEMU has had no driver for cow since version 2.2")
}
