package probe

// The formats of this file have no header that says more than that it is there.

// readRaw: a raw image is what it is. QEMU shows the guest whole sectors and
// fills the last one up with zeros (QEMU 7.2, bdrv_refresh_total_sectors).
func readRaw(m *image) (*Header, error) {
	return &Header{
		Format:      Raw,
		VirtualSize: wholeSectors(m.size),
	}, nil
}

// readISO: QEMU has no driver for ISO 9660 and shows the guest the image as it
// is, like raw. Only the mark by which libvirt tells the format is asked for.
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
// QEMU dropped its driver in 2.2 and libvirt refuses it for QEMU, so no more is
// read of it than what it is.
func readCOW(m *image) (*Header, error) {
	if err := m.magic("OOOM"); err != nil {
		return nil, err
	}
	return nil, m.unsupported("magic", 0, "QEMU has had no driver for cow since version 2.2")
}
