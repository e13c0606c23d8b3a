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

// ProbeCheck is an image whose header would have to choose its format.
type ProbeCheck struct {
	Name      string // of the image, quoted
	Extension string // of its file name, in lower case
	Size      int64
	Format    probe.Format   // what the header speaks for
	marked    bool           // it bears a format's mark, though it may be raw to QEMU and libvirt
	Record    storage.Record // what the overlay's header says, if in dispute
	// OverlaySize is the virtual size of the overlay in bytes; valid only if
	// hasOverlay.
	OverlaySize uint64
	HasOverlay  bool
}

// Contradictions returns what speaks against taking s.format from the header: facts
// that a guest who wrote the image as a raw disk could not have arranged.
func (s ProbeCheck) Contradictions() []finding.Finding {
	var found []finding.Finding
	if s.nameSpeaksAgainst() && (s.Format != probe.Raw || s.marked) {
		found = append(found, finding.Finding{Code: finding.NameContradicts, Severity: finding.Refuse,
			Text: s.bears() + ", but its name ends in " + strconv.Quote(s.Extension)})
	}
	return append(found, s.BesidesName()...)
}

// BesidesName are the witnesses other than the name of the image, of which only
// QEMU takes notice, where it probes by itself and that is *.dmg.
func (s ProbeCheck) BesidesName() []finding.Finding {
	var found []finding.Finding
	against := func(code finding.Code, text string) {
		found = append(found, finding.Finding{Code: code, Severity: finding.Refuse, Text: text})
	}
	bears := s.bears()
	if s.Record.Meant != "" && s.Record.Meant != s.Format {
		against(finding.RecordContradicts, bears+", but its overlay "+s.Record.Says())
	}
	if s.Format != probe.Raw && s.HasOverlay && s.Size >= 0 && uint64(s.Size) == s.OverlaySize {
		against(finding.SizeContradicts, bears+", but is "+strconv.FormatInt(s.Size, 10)+
			" bytes long, exactly the virtual size of its overlay, as a raw disk would be")
	}
	return found
}

// lostHeader warns of an image that bears no mark of a format and so is raw,
// whatever it is called, and whose name speaks for a format. Its header may have
// been lost: then the guest would see what is left of a container.
func (s ProbeCheck) lostHeader() (finding.Finding, bool) {
	if s.Format != probe.Raw || s.marked || !s.nameSpeaksAgainst() {
		return finding.Finding{}, false
	}
	return finding.Finding{Code: finding.NameContradicts, Severity: finding.Warn, ByName: true,
		Text: s.bears() + " and is raw, but its name ends in " + strconv.Quote(s.Extension) + ": its header may have been lost"}, true
}

// nameSpeaksAgainst reports whether the name of the image speaks for another
// format.
func (s ProbeCheck) nameSpeaksAgainst() bool {
	speaksFor := probe.FromExtension(s.Extension)
	return len(speaksFor) > 0 && !slices.Contains(speaksFor, s.Format)
}

// bears says what the header of the image speaks for.
func (s ProbeCheck) bears() string {
	switch {
	case s.Format != probe.Raw:
		return s.Name + " bears the header of " + string(s.Format)
	case s.marked:
		return s.Name + " bears no signature that QEMU or libvirt looks for"
	}
	return s.Name + " bears no format's signature"
}

// extensionOf returns the ending of an image's name, in lower case.
func extensionOf(src *libvirtxml.DomainDiskSource) string {
	name, local := storage.LocalPath(src)
	if !local && src.Network != nil {
		name = src.Network.Name
	}
	return strings.ToLower(path.Ext(name))
}
