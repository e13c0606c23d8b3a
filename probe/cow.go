package probe

// readCOW: user-mode Linux's copy-on-write format names a backing image, but
// QEMU dropped its driver in 2.2 and libvirt refuses it for QEMU, so no more is
// read of it than what it is.
func readCOW(m *image) (*Header, error) {
	if err := m.magic("OOOM"); err != nil {
		return nil, err
	}
	return nil, m.unsupported("magic", 0, "QEMU has had no driver for cow since version 2.2")
}
