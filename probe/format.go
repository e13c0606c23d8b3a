package probe

import "slices"

// Format is QEMU's name of an image format (its block driver's name), with two
// additions without a QEMU driver: [ISO], which libvirt recognises and then
// treats as raw, and [COW], which QEMU dropped in 2.2 and libvirt still
// recognises and then refuses.
//
// A Format may be any string. The methods treat one that is not a constant as
// an unknown format.
type Format string

// Formats returns every Format, raw first, in a stable order.
func Formats() []Format {
	all := make([]Format, len(formats))
	for i := range formats {
		all[i] = formats[i].format
	}
	return all
}

// FromLibvirt returns the Format with this name in libvirt's domain XML
// (case-sensitive). "aio", which libvirt reads as raw, is included; ok is
// false for unknown names, and for those that libvirt knows but a QEMU disk
// cannot have (none, auto, dir, fat, iso, cow, luks).
func FromLibvirt(name string) (f Format, ok bool) {
	if name == "aio" {
		return Raw, true
	}
	for i := range formats {
		if formats[i].libvirt == name && name != "" {
			return formats[i].format, true
		}
	}
	return "", false
}

// FromExtension returns the formats of a file name extension, such as qcow2
// for ".qcow2"; ext is in lower case and begins with the dot. An extension
// without a meaning (.img, .bin, a number, a snapshot's name, "") has none.
//
// A guest can rewrite every byte of its disk, but not its name.
func FromExtension(ext string) []Format {
	var all []Format
	for i := range formats {
		if slices.Contains(formats[i].extensions, ext) {
			all = append(all, formats[i].format)
		}
	}
	return all
}

// row returns the table row of f; an empty one if it is not a constant.
func (f Format) row() *row {
	for i := range formats {
		if formats[i].format == f {
			return &formats[i]
		}
	}
	return &row{}
}

// Known reports whether f is one of [Formats].
func (f Format) Known() bool { return f.row().format != "" }

// LibvirtName returns the name of f in libvirt's domain XML, or "" if a disk
// cannot have it: luks (written as raw with an <encryption>), iso (written as
// raw), cow, and unknown formats.
func (f Format) LibvirtName() string { return f.row().libvirt }

// CanHaveBacking reports whether libvirt allows an image of format f to have a
// backing image: cow, qcow, qcow2, qed and vmdk (libvirt 9.0 and 11.3).
func (f Format) CanHaveBacking() bool { return f.row().number >= firstWithBacking }

// HasDriver reports whether QEMU 7.2 knows a block driver called f.
func (f Format) HasDriver() bool { return f.Known() && !f.row().noDriver }

// ReadOnly reports whether QEMU opens images of format f for reading only, so
// that no guest can have one as a writable disk.
func (f Format) ReadOnly() bool { return f.row().readOnly }

// Checkable reports whether "qemu-img check" supports format f (QEMU 7.2). For
// the others only "qemu-img info" helps.
func (f Format) Checkable() bool { return f.row().checkable }

// IsAgreedName reports whether every QEMU and every libvirt since 6.0 read f
// in an overlay's format field alike.
func (f Format) IsAgreedName() bool { return f.row().agreed }

// IsQEMUsName reports whether f is a name that only QEMU writes into an
// overlay's format field: libvirt has another name for the format and does not
// know this one.
func (f Format) IsQEMUsName() bool { return f.row().qemuOnly }

// CanRecord reports whether the header of an overlay of format f can record
// that its backing image is of the given format: qcow2 can, qed has a flag for
// raw, and no other overlay has a field for it (qemu-img 7.2 fails, or
// silently drops it). A format without a [Format.LibvirtName] is never
// recorded.
func (f Format) CanRecord(backing Format) bool {
	if backing.LibvirtName() == "" {
		return false
	}
	records := f.row().records
	return records == recordsAny || records == recordsRaw && backing == Raw
}

// CanRename reports whether "qemu-img rebase -u" can write another name of a
// backing image into an overlay of format f (QEMU 7.2). These are the formats
// that can record a format.
func (f Format) CanRename() bool { return f.row().records != recordsNone }

// MarkedAtEnd reports whether an image of format f may have its signature only
// at its end, where neither QEMU nor libvirt looks for it.
func (f Format) MarkedAtEnd() bool {
	return slices.ContainsFunc(f.row().marks, func(m mark) bool { return m.tail != nil })
}
