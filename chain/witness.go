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
	marked    bool         // it bears a format's mark, though it may be raw to QEMU and libvirt
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
	if s.nameSpeaksAgainst() && (s.format != probe.Raw || s.marked) {
		found = append(found, Finding{Code: NameContradicts, Severity: Refuse,
			Text: s.bears() + ", but its name ends in " + strconv.Quote(s.extension)})
	}
	return append(found, s.besidesName()...)
}

// besidesName are the witnesses other than the name of the image, of which only
// QEMU takes notice, where it probes by itself and that is *.dmg.
func (s suspect) besidesName() []Finding {
	var found []Finding
	against := func(code Code, text string) {
		found = append(found, Finding{Code: code, Severity: Refuse, Text: text})
	}
	bears := s.bears()
	if s.record.meant != "" && s.record.meant != s.format {
		against(RecordContradicts, bears+", but its overlay "+s.record.says())
	}
	if s.format != probe.Raw && s.hasOverlay && s.size >= 0 && uint64(s.size) == s.overlaySize {
		against(SizeContradicts, bears+", but is "+strconv.FormatInt(s.size, 10)+
			" bytes long, exactly the virtual size of its overlay, as a raw disk would be")
	}
	return found
}

// lostHeader warns of an image that bears no mark of a format and so is raw,
// whatever it is called, and whose name speaks for a format. Its header may have
// been lost: then the guest would see what is left of a container.
func (s suspect) lostHeader() (Finding, bool) {
	if s.format != probe.Raw || s.marked || !s.nameSpeaksAgainst() {
		return Finding{}, false
	}
	return Finding{Code: NameContradicts, Severity: Warn, ByName: true,
		Text: s.bears() + " and is raw, but its name ends in " + strconv.Quote(s.extension) + ": its header may have been lost"}, true
}

// nameSpeaksAgainst reports whether the name of the image speaks for another
// format.
func (s suspect) nameSpeaksAgainst() bool {
	speaksFor, ok := extensions[s.extension]
	return ok && !slices.Contains(speaksFor, s.format)
}

// bears says what the header of the image speaks for.
func (s suspect) bears() string {
	switch {
	case s.format != probe.Raw:
		return s.name + " bears the header of " + string(s.format)
	case s.marked:
		return s.name + " bears no signature that QEMU or libvirt looks for"
	}
	return s.name + " bears no format's signature"
}

// extensionOf returns the ending of an image's name, in lower case.
func extensionOf(src *libvirtxml.DomainDiskSource) string {
	name, local := LocalPath(src)
	if !local && src.Network != nil {
		name = src.Network.Name
	}
	return strings.ToLower(path.Ext(name))
}
