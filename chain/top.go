package chain

import (
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// topWithoutType walks a disk without a <driver type>. libvirt opens it as
// raw, whatever it contains, and libvirt 9.0 even writes raw into the stored
// definition. So the XML means raw, and nothing that the guest writes changes
// that. Only the operator can state another format.
func (k *walk) topWithoutType(top Layer) {
	k.chain.Layers = k.stated.Layers[:1:1] // for a refusal because of the operator's statements
	statement, trusted := k.trusted(top.At())
	if k.refused() {
		return
	}
	if trusted {
		top.Format, top.From = statement.Format, Trust
		k.incomplete = true
		k.chain.Layers = nil
		k.follow(top)
		return
	}
	top.Format, top.From = probe.Raw, XML
	k.topWithoutBacking(top)
}

// topWithoutBacking walks a disk with a format that cannot have a backing
// image: it is explicit already. A raw image is still read, for a warning,
// because libvirt also writes raw where the XML stated no format; the verdict
// does not depend on the content.
func (k *walk) topWithoutBacking(top Layer) {
	k.chain.Layers = []Layer{top}
	k.noteTopSharing(top, k.factsOf(top))
	if further := k.stated.Layers[1:]; len(further) > 0 {
		switch kept := k.chainTooLong(top); {
		case kept.Source != nil:
			k.chain.Layers = append(k.chain.Layers, further...)
		case k.rewriting:
			k.chain.Layers = k.stated.Layers[:1:1] // does not get a <driver type>
		}
		return
	}
	typeless := k.stated.Layers[0].From == Unstated
	if _, local := top.LocalPath(); !local || top.Format != probe.Raw {
		if typeless {
			k.assumedRaw(top, nil)
		}
		return
	}
	l, err := k.Look(k.ctx, top.At(), top.HeaderFormat())
	switch {
	case err != nil && typeless:
		k.assumedRaw(top, nil)
		return
	case err != nil:
		return
	}
	k.chain.Layers[0].Header = l.Header
	switch {
	case top.HeaderFormat() != probe.Raw && l.HeaderErr != nil:
		k.note(finding.FormatMismatch, finding.Warn, storage.Describe(top.Source)+" is stated to be encrypted, but its header cannot be used: "+l.HeaderErr.Error())
	case top.HeaderFormat() != probe.Raw:
	case typeless:
		k.assumedRaw(top, l)
	default:
		k.noteMarks(top, l)
	}
}

// assumedRaw reports that a disk is raw because no format is stated. If its
// image looks like another format, it warns: the guest may keep an image on
// its disk, or somebody forgot the <driver type>. l is nil for an image that
// was not read.
func (k *walk) assumedRaw(top Layer, l *image.View) {
	text := "no <driver type> is stated for " + storage.Describe(top.Source) + ": libvirt opens it as raw"
	say := finding.Say("state that in the XML: %s", driverElement(probe.Raw))
	switch {
	case l == nil:
		k.find(finding.DriverTypeMissing, finding.Warn, text+", and it was not read", say)
	case l.SignaturesErr != nil:
		k.find(finding.DriverTypeMissing, finding.Warn, text+", and it cannot be read: "+strconv.Quote(storage.Reason(l.SignaturesErr)), say)
	case len(l.UnexpectedMarks()) > 0:
		k.find(finding.DriverTypeMissing, finding.Warn, text+", but it has the signature of "+strings.Join(l.UnexpectedMarks(), " and "),
			trustRemedy(top.At(), probe.Format(l.UnexpectedMarks()[0])))
	default:
		k.note(finding.DriverTypeMissing, finding.Info, text+", and it has no signature")
	}
}
