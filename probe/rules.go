package probe

// rule is how one mark of a format is found. A test that is nil finds nothing.
type rule struct {
	format  Format
	qemu    test // QEMU's probe function, on the first sector
	libvirt test // libvirt's table of formats, on the first bytes

	// The rest is looked for elsewhere, or by neither program.
	iso  test // libvirt's, on the bytes at 32769
	head test // neither's, on the first sector
	tail test // neither's, on the last sector
}

// rules has a line for every mark: QEMU 7.2, 10.0 and 10.2 share their probe
// functions, libvirt 9.0 and 11.3 their table (fileTypeInfo).
//
// Two formats that libvirt knows have no libvirt test here: it takes a LUKS
// image for raw (version 1 for an encrypted raw), and has no mark for bochs,
// cloop and dmg.
var rules = []rule{
	{format: Qcow,
		qemu:    both(bytesAt(0, "QFI\xfb"), be32At(4, 1)),
		libvirt: both(bytesAt(0, "QFI"), be32At(4, 1))},
	{format: Qcow2,
		qemu:    both(bytesAt(0, "QFI\xfb"), be32AtLeast(4, 2)),
		libvirt: both(bytesAt(0, "QFI"), be32At(4, 2, 3))},
	{format: QED,
		qemu:    bytesAt(0, "QED\x00"),
		libvirt: bytesAt(0, "QED")},
	{format: VMDK, // sparse
		qemu:    either(bytesAt(0, "KDMV"), bytesAt(0, "COWD")),
		libvirt: both(bytesAt(0, "KDMV"), le32At(4, 1, 2, 3))},
	{format: VMDK, // text descriptor
		qemu: vmdkDescriptor},
	{format: VPC, // dynamic and differencing
		qemu:    bytesAt(0, "conectix"),
		libvirt: both(bytesAt(0, "conectix"), be32At(12, 0x10000))},
	{format: VPC, // fixed: a footer, without the copy of it that others have in front
		tail: bytesAt(0, "conectix")},
	{format: VHDX,
		qemu: bytesAt(0, "vhdxfile")},
	{format: VDI,
		qemu:    le32At(64, 0xBEDA107F),
		libvirt: both(le32At(64, 0xBEDA107F), le32At(68, 0x10001))},
	{format: Parallels, // old
		qemu: both(bytesAt(0, "WithoutFreeSpace"), le32At(16, 2))},
	{format: Parallels, // extended
		qemu:    both(bytesAt(0, "WithouFreSpacExt"), le32At(16, 2)),
		libvirt: bytesAt(0, "WithouFreSpacExt")},
	{format: LUKS, // version 1
		qemu: bytesAt(0, "LUKS\xba\xbe\x00\x01")},
	{format: LUKS, // version 2
		head: bytesAt(0, "LUKS\xba\xbe\x00\x02")},
	{format: Bochs,
		qemu: both(bytesAt(0, "Bochs Virtual HD Image\x00"), bytesAt(32, "Redolog\x00"), bytesAt(48, "Growing\x00"), le32At(64, 0x10000, 0x20000))},
	{format: Cloop,
		qemu: bytesAt(0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n")},
	{format: DMG,
		tail: bytesAt(0, "koly")},
	{format: ISO,
		iso: bytesAt(0, isoMark)},
	{format: COW,
		libvirt: both(bytesAt(0, "OOOM"), be32At(4, 2))},
}
