package probe

// readRaw: a raw image is what it is. QEMU shows the guest whole sectors and
// fills the last one up with zeros (7.2: bdrv_refresh_total_sectors).
func readRaw(m *image) (*Header, error) {
	return &Header{
		Format:      Raw,
		VirtualSize: wholeSectors(m.size),
	}, nil
}
