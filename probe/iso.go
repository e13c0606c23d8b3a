package probe

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
