package probe

// Every format that QEMU 7.2-10.2 or libvirt 9.0-11.3 can recognise.
const (
	Raw       Format = "raw"
	Qcow      Format = "qcow"
	Qcow2     Format = "qcow2"
	QED       Format = "qed"
	VMDK      Format = "vmdk"
	VDI       Format = "vdi"
	VPC       Format = "vpc"       // Microsoft VHD
	VHDX      Format = "vhdx"      // libvirt: vhd
	Parallels Format = "parallels" // libvirt: ploop
	LUKS      Format = "luks"      // libvirt: raw with an <encryption>
	Bochs     Format = "bochs"
	Cloop     Format = "cloop"
	DMG       Format = "dmg"
	ISO       Format = "iso"
	COW       Format = "cow"
)

// row has the facts about a format, which the methods of [Format],
// [Signatures] and [Read] use. To add a format, add a constant, a row, a file
// with its reader and, if libvirt has a name for it, that name in
// docs/schema/policy.json.
type row struct {
	format Format

	// libvirt is the name in libvirt's domain XML; "" if a QEMU disk cannot have
	// it.
	libvirt string
	// number is the value in libvirt's enum virStorageFileFormat (libvirt 9.0 and
	// 11.3), or 0. libvirt tries the signatures in that order.
	number int

	noDriver  bool // QEMU cannot open it
	readOnly  bool // QEMU opens it for reading only
	checkable bool // "qemu-img check" knows it (QEMU 7.2)

	// agreed: every QEMU and every libvirt since 6.0 read the name in an
	// overlay's format field alike.
	agreed bool
	// qemuOnly: QEMU writes the name in an overlay's format field, and libvirt
	// does not know it.
	qemuOnly bool
	// records says what an overlay of this format can record.
	records recording

	// extensions are the file name extensions of the format.
	extensions []string
	marks      []mark
	read       func(*image) (*Header, error)
}

// recording is which formats of its backing image an overlay can record.
type recording int

const (
	recordsNone recording = iota
	recordsRaw            // it has a flag for raw
	recordsAny            // it has a field for a name
)

// firstWithBacking is the first number of a format that can have a backing
// image in libvirt (VIR_STORAGE_FILE_BACKING, libvirt 9.0 and 11.3).
const firstWithBacking = 12

// formats has a row for each format, in the order of [Formats] and of what
// [Signatures] returns.
//
// Signatures: QEMU 7.2, 10.0 and 10.2 have the same probe functions, libvirt
// 9.0 and 11.3 the same table (fileTypeInfo). libvirt opens a LUKS image as
// raw (version 1 as encrypted raw), and has no signature for vhdx, bochs,
// cloop and dmg. Names: in virStorageFileFormat, luks passes libvirt's schema
// but not its parser, iso is refused in a chain, and cow is refused for QEMU
// (libvirt 9.0).
var formats = []row{
	{format: Raw, libvirt: "raw", number: 1, agreed: true,
		extensions: []string{".raw", ".iso"},
		read:       readRaw},
	{format: Qcow, libvirt: "qcow", number: 13, agreed: true,
		extensions: []string{".qcow"},
		marks: []mark{{
			qemu:    both(bytesAt(0, qcowMagic), be32At(4, 1)),
			libvirt: both(bytesAt(0, "QFI"), be32At(4, 1)),
		}},
		read: readQcow},
	{format: Qcow2, libvirt: "qcow2", number: 14, agreed: true, checkable: true, records: recordsAny,
		extensions: []string{".qcow2", ".qcow"}, // the latter is much used for it
		marks: []mark{{
			qemu:    both(bytesAt(0, qcowMagic), be32AtLeast(4, 2)),
			libvirt: both(bytesAt(0, "QFI"), be32At(4, 2, 3)),
		}},
		read: readQcow2},
	{format: QED, libvirt: "qed", number: 15, agreed: true, checkable: true, records: recordsRaw,
		extensions: []string{".qed"},
		marks: []mark{{
			qemu:    bytesAt(0, qedMagic),
			libvirt: bytesAt(0, "QED"),
		}},
		read: readQED},
	{format: VMDK, libvirt: "vmdk", number: 16, agreed: true, checkable: true,
		extensions: []string{".vmdk"},
		marks: []mark{{ // sparse
			qemu:    either(bytesAt(0, vmdkSparse), bytesAt(0, vmdkCOWD)),
			libvirt: both(bytesAt(0, vmdkSparse), le32At(4, 1, 2, 3)),
		}, { // text descriptor
			qemu: vmdkDescriptor,
		}},
		read: readVMDK},
	{format: VPC, libvirt: "vpc", number: 7, agreed: true,
		extensions: []string{".vhd", ".vpc"},
		marks: []mark{{ // dynamic and differencing
			qemu:    bytesAt(0, vpcCookie),
			libvirt: both(bytesAt(0, vpcCookie), be32At(12, 0x10000)),
		}, { // fixed: a footer, without the copy of it that others have in front
			tail: bytesAt(0, vpcCookie),
		}},
		read: readVPC},
	{format: VHDX, libvirt: "vhd", number: 10, qemuOnly: true, checkable: true,
		extensions: []string{".vhdx"},
		marks:      []mark{{qemu: bytesAt(0, vhdxMagic)}},
		read:       readVHDX},
	{format: VDI, libvirt: "vdi", number: 8, agreed: true, checkable: true,
		extensions: []string{".vdi"},
		marks: []mark{{
			qemu:    le32At(64, vdiSignature),
			libvirt: both(le32At(64, vdiSignature), le32At(68, vdiVersion)),
		}},
		read: readVDI},
	{format: Parallels, libvirt: "ploop", number: 11, qemuOnly: true, checkable: true,
		extensions: []string{".hds"},
		marks: []mark{{ // old
			qemu: both(bytesAt(0, parallelsMagic), le32At(16, parallelsVersion)),
		}, { // extended
			qemu:    both(bytesAt(0, parallelsExtMagic), le32At(16, parallelsVersion)),
			libvirt: bytesAt(0, parallelsExtMagic),
		}},
		read: readParallels},
	{format: LUKS,
		extensions: []string{".luks"},
		marks: []mark{{ // version 1
			qemu: bytesAt(0, luksMagic+"\x00\x01"),
		}, { // version 2
			head: bytesAt(0, luksMagic+"\x00\x02"),
		}},
		read: readLUKS},
	{format: Bochs, libvirt: "bochs", number: 3, agreed: true, readOnly: true,
		marks: []mark{{
			qemu: both(bytesAt(0, bochsMagic), bytesAt(32, "Redolog\x00"), bytesAt(48, "Growing\x00"), le32At(64, bochsVersion1, bochsVersion2)),
		}},
		read: readBochs},
	{format: Cloop, libvirt: "cloop", number: 4, agreed: true, readOnly: true,
		marks: []mark{{qemu: bytesAt(0, cloopMagic)}},
		read:  readCloop},
	{format: DMG, libvirt: "dmg", number: 5, agreed: true, readOnly: true,
		extensions: []string{".dmg"},
		marks:      []mark{{tail: bytesAt(0, dmgMagic)}},
		read:       readDMG},
	{format: ISO, number: 6, noDriver: true, // the extension .iso means raw
		marks: []mark{{iso: bytesAt(0, isoMark)}},
		read:  readISO},
	{format: COW, number: 12, noDriver: true,
		extensions: []string{".cow"},
		marks:      []mark{{libvirt: both(bytesAt(0, "OOOM"), be32At(4, 2))}},
		read:       readCOW},
}
