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

// ProbeCheck compares the format that an image's header suggests with what the guest
// cannot have changed. Walks and package predict make one for each image whose
// format was not stated.
type ProbeCheck struct {
	Name      string         // of the image, quoted
	Extension string         // of its file name, in lower case and with its dot
	Size      int64          // of the image in bytes; negative if it is not known
	Format    probe.Format   // the format that the header suggests
	marked    bool           // the image has a format's mark, though it may be raw to QEMU and libvirt
	Record    storage.Record // what the overlay's header says of the format, if that is in dispute
	// OverlaySize is the virtual size of the overlay in bytes. It is valid only
	// if HasOverlay is set.
	OverlaySize uint64
	HasOverlay  bool
}

// Contradictions returns, as refusals without a remedy, the facts that contradict
// taking c.Format from the header: those that a guest which wrote the image as a raw
// disk could not have arranged.
func (c ProbeCheck) Contradictions() []finding.Finding {
	var found []finding.Finding
	if c.nameContradicts() && (c.Format != probe.Raw || c.marked) {
		found = append(found, finding.Finding{Code: finding.NameContradicts, Severity: finding.Refuse,
			Text: c.describe() + ", but its name ends in " + strconv.Quote(c.Extension)})
	}
	return append(found, c.BesidesName()...)
}

// BesidesName returns the contradictions other than the name of the image. QEMU
// itself looks at no name when it probes, except for *.dmg.
func (c ProbeCheck) BesidesName() []finding.Finding {
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

// lostHeader warns of an image that has no mark of a format, and so is raw, but whose
// name is that of another format. If its header was lost, the guest would see what
// is left of a container.
func (c ProbeCheck) lostHeader() (finding.Finding, bool) {
	if c.Format != probe.Raw || c.marked || !c.nameContradicts() {
		return finding.Finding{}, false
	}
	return finding.Finding{Code: finding.NameContradicts, Severity: finding.Warn, ByName: true,
		Text: c.describe() + " and is raw, but its name ends in " + strconv.Quote(c.Extension) + ": its header may have been lost"}, true
}

// nameContradicts reports whether the name of the image is that of another format.
func (c ProbeCheck) nameContradicts() bool {
	formats := probe.FromExtension(c.Extension)
	return len(formats) > 0 && !slices.Contains(formats, c.Format)
}

// describe says which format the header of the image suggests.
func (c ProbeCheck) describe() string {
	switch {
	case c.Format != probe.Raw:
		return c.Name + " bears the header of " + string(c.Format)
	case c.marked:
		return c.Name + " bears no signature that QEMU or libvirt looks for"
	}
	return c.Name + " bears no format's signature"
}

// extensionOf returns the ending of an image's name, in lower case.
func extensionOf(src *libvirtxml.DomainDiskSource) string {
	name, local := storage.LocalPath(src)
	if !local && src.Network != nil {
		name = src.Network.Name
	}
	return strings.ToLower(path.Ext(name))
}
