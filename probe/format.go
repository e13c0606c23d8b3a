package probe

// Format is the name by which QEMU knows an image format (its block driver's
// name), with two additions that QEMU has no driver for: [ISO], which libvirt
// recognises and then treats as raw, and [COW], which QEMU dropped in 2.2 and
// libvirt still recognises and then refuses.
type Format string

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

// formats pairs each format with the name that libvirt's domain XML has for
// it; "" where there is none that a disk may carry (virStorageFileFormat of
// libvirt 9.0: luks passes its schema but not its parser, iso is refused in a
// chain, cow is refused for QEMU).
var formats = []struct {
	format  Format
	libvirt string
}{
	{Raw, "raw"},
	{Qcow, "qcow"},
	{Qcow2, "qcow2"},
	{QED, "qed"},
	{VMDK, "vmdk"},
	{VDI, "vdi"},
	{VPC, "vpc"},
	{VHDX, "vhd"},
	{Parallels, "ploop"},
	{LUKS, ""},
	{Bochs, "bochs"},
	{Cloop, "cloop"},
	{DMG, "dmg"},
	{ISO, ""},
	{COW, ""},
}

// Formats returns every Format, raw first, in a stable order.
func Formats() []Format {
	all := make([]Format, len(formats))
	for i, f := range formats {
		all[i] = f.format
	}
	return all
}

// LibvirtName returns the name that libvirt's domain XML has for f, or "" if
// a disk cannot name it there: luks (written as raw with an <encryption>),
// iso (written as raw), cow, and what is no Format at all.
func (f Format) LibvirtName() string {
	for _, known := range formats {
		if known.format == f {
			return known.libvirt
		}
	}
	return ""
}

// FromLibvirt returns the Format that libvirt's domain XML calls name, case
// and all. "aio", which libvirt reads as raw, is included; ok is false for
// any other word, and for those libvirt knows but no disk of QEMU's may carry
// (none, auto, dir, fat, iso, cow, luks).
func FromLibvirt(name string) (f Format, ok bool) {
	if name == "aio" {
		return Raw, true
	}
	for _, known := range formats {
		if known.libvirt == name && name != "" {
			return known.format, true
		}
	}
	return "", false
}

// CanHaveBacking reports whether libvirt lets an image of format f have a
// backing image: cow, qcow, qcow2, qed and vmdk, the formats from number 12 on
// in libvirt's virStorageFileFormat (9.0 and 11.3).
func (f Format) CanHaveBacking() bool {
	switch f {
	case COW, Qcow, Qcow2, QED, VMDK:
		return true
	}
	return false
}
