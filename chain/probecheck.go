package chain

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"libvirt.org/go/libvirtxml"
)

// ProbeCheck compares the format that an image's header suggests with facts
// that a guest cannot change. Walks and package predict make one for each
// image without a stated format.
type ProbeCheck struct {
	Name      string         // of the image, quoted
	Extension string         // of its file name, in lower case and with its dot
	Size      int64          // of the image in bytes; negative if unknown
	Format    probe.Format   // the format that the header suggests
	marked    bool           // the image has a format's signature, though QEMU and libvirt may treat it as raw
	Record    storage.Record // the format in the overlay's header, if programs read it differently
	// OverlaySize is the virtual size of the overlay in bytes. It is valid only
	// if HasOverlay is set.
	OverlaySize uint64
	HasOverlay  bool
}

// Contradictions returns the facts that contradict c.Format, as refusals
// without a remedy. A guest that wrote the image as a raw disk could not have
// changed these facts.
func (c ProbeCheck) Contradictions() []finding.Finding {
	var found []finding.Finding
	if c.nameContradicts() && (c.Format != probe.Raw || c.marked) {
		found = append(found, finding.Finding{Code: finding.NameContradicts, Severity: finding.Refuse,
			Text: c.describe() + ", but its name ends in " + strconv.Quote(c.Extension)})
	}
	return append(found, c.ExceptName()...)
}

// ExceptName returns all contradictions but those of the image's name. QEMU
// ignores the name when it probes, except for *.dmg.
func (c ProbeCheck) ExceptName() []finding.Finding {
	var found []finding.Finding
	against := func(code finding.Code, text string) {
		found = append(found, finding.Finding{Code: code, Severity: finding.Refuse, Text: text})
	}
	is := c.describe()
	if c.Record.Meant != "" && c.Record.Meant != c.Format {
		against(finding.RecordContradicts, is+", but its overlay "+c.Record.Says())
	}
	if c.Format != probe.Raw && c.HasOverlay && c.Size >= 0 && uint64(c.Size) == c.OverlaySize {
		against(finding.SizeContradicts, is+", but is "+strconv.FormatInt(c.Size, 10)+
			" bytes long, exactly the virtual size of its overlay, as a raw disk would be")
	}
	return found
}

// lostHeader warns of an image without a signature, which is raw, that has the
// file name extension of another format. If its header was lost, the guest
// would see the rest of a container file.
func (c ProbeCheck) lostHeader() (finding.Finding, bool) {
	if c.Format != probe.Raw || c.marked || !c.nameContradicts() {
		return finding.Finding{}, false
	}
	return finding.Finding{Code: finding.NameContradicts, Severity: finding.Warn, ByName: true,
		Text: c.describe() + " and is raw, but its name ends in " + strconv.Quote(c.Extension) + ": its header may have been lost"}, true
}

// nameContradicts reports whether the extension of the image's name belongs to
// another format.
func (c ProbeCheck) nameContradicts() bool {
	formats := probe.FromExtension(c.Extension)
	return len(formats) > 0 && !slices.Contains(formats, c.Format)
}

// describe says which format the image's header suggests.
func (c ProbeCheck) describe() string {
	switch {
	case c.Format != probe.Raw:
		return c.Name + " has the header of " + string(c.Format)
	case c.marked:
		return c.Name + " has no signature that QEMU or libvirt looks for"
	}
	return c.Name + " has no signature of any format"
}

// extensionOf returns the extension of an image's name, in lower case.
func extensionOf(src *libvirtxml.DomainDiskSource) string {
	name, local := storage.LocalPath(src)
	if !local && src.Network != nil {
		name = src.Network.Name
	}
	return strings.ToLower(path.Ext(name))
}
