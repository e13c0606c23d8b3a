package chain

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/probe"
	"libvirt.org/go/libvirtxml"
)

// extensions are the file name endings that speak for formats. An ending that
// is not listed (.img, .bin, a number, a snapshot's name, none) says nothing.
// A guest can rewrite every byte of its disk, but not the name of it.
var extensions = map[string][]probe.Format{
	".raw":   {probe.Raw},
	".iso":   {probe.Raw},
	".qcow":  {probe.Qcow, probe.Qcow2}, // much used for qcow2
	".qcow2": {probe.Qcow2},
	".qed":   {probe.QED},
	".vmdk":  {probe.VMDK},
	".vdi":   {probe.VDI},
	".vhd":   {probe.VPC},
	".vpc":   {probe.VPC},
	".vhdx":  {probe.VHDX},
	".hds":   {probe.Parallels},
	".luks":  {probe.LUKS},
	".dmg":   {probe.DMG},
	".cow":   {probe.COW},
}

// suspect is an image whose header would have to choose its format.
type suspect struct {
	name      string // of the image, quoted
	extension string // of its file name, in lower case
	size      int64
	format    probe.Format // what the header speaks for
	record    record       // what the overlay's header says, if in dispute
	// overlaySize is the virtual size of the overlay in bytes; valid only if
	// hasOverlay.
	overlaySize uint64
	hasOverlay  bool
}

// witnesses returns what speaks against taking s.format from the header: facts
// that a guest who wrote the image as a raw disk could not have arranged.
func (s suspect) witnesses() []Finding {
	var found []Finding
	against := func(code Code, text string) {
		found = append(found, Finding{Code: code, Severity: Refuse, Text: text})
	}
	bears := s.name + " bears the header of " + string(s.format)
	if s.format == probe.Raw {
		bears = s.name + " bears no format's signature"
	}
	if speaksFor, ok := extensions[s.extension]; ok && !slices.Contains(speaksFor, s.format) {
		against(NameContradicts, bears+", but its name ends in "+strconv.Quote(s.extension))
	}
	if s.record.meant != "" && s.record.meant != s.format {
		against(RecordContradicts, bears+", but its overlay "+s.record.says())
	}
	if s.format != probe.Raw && s.hasOverlay && s.size >= 0 && uint64(s.size) == s.overlaySize {
		against(SizeContradicts, bears+", but is "+strconv.FormatInt(s.size, 10)+
			" bytes long, exactly the virtual size of its overlay, as a raw disk would be")
	}
	return found
}

// extensionOf returns the ending of an image's name, in lower case.
func extensionOf(src *libvirtxml.DomainDiskSource) string {
	name, local := LocalPath(src)
	if !local && src.Network != nil {
		name = src.Network.Name
	}
	return strings.ToLower(path.Ext(name))
}
