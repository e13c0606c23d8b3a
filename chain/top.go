package chain

import (
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/probe"
)

// topWithoutType settles the format of a disk without a <driver type>. libvirt
// takes it as raw, whatever is in it (9.0: it even writes raw into the stored
// definition), so raw is what the XML means, and all is said. Nothing that the
// guest writes there changes that. Only the operator can state another format.
func (k *walk) topWithoutType(top Layer) {
	k.chain.Layers = k.stated.Layers[:1:1] // for a refusal of the operator's statements
	statement, told := k.trusted(top.at())
	if k.refused() {
		return
	}
	if told {
		top.Format, top.From = statement.Format, Trust
		k.incomplete = true
		k.chain.Layers = nil
		k.follow(top)
		return
	}
	top.Format, top.From = probe.Raw, XML
	k.topWithoutBacking(top)
}

// topWithoutBacking is for a top whose format ends the chain: it is explicit as
// it is. A raw one gets a look all the same, because libvirt also writes raw
// where nobody said anything; whatever that shows, and whether it succeeds, the
// verdict is the same.
func (k *walk) topWithoutBacking(top Layer) {
	k.chain.Layers = []Layer{top}
	k.noteTopSharing(top, k.factsOf(top))
	if further := k.stated.Layers[1:]; len(further) > 0 {
		switch kept := k.stale(top); {
		case kept.Source != nil:
			k.chain.Layers = append(k.chain.Layers, further...)
		case k.strayed:
			k.chain.Layers = k.stated.Layers[:1:1] // it gets no <driver type>
		}
		return
	}
	typeless := k.stated.Layers[0].From == Unstated
	if _, local := top.local(); !local || top.Format != probe.Raw {
		if typeless {
			k.assumedRaw(top, nil)
		}
		return
	}
	l, err := k.look(k.ctx, top.at(), top.header())
	switch {
	case err != nil && typeless:
		k.assumedRaw(top, nil)
		return
	case err != nil:
		return
	}
	k.chain.Layers[0].Header = l.header
	switch {
	case top.header() != probe.Raw && l.headerErr != nil:
		k.find(FormatMismatch, Warn, Describe(top.Source)+" is stated to be encrypted, but its header cannot be used: "+l.headerErr.Error(), "")
	case top.header() != probe.Raw:
	case typeless:
		k.assumedRaw(top, l)
	default:
		k.noteMarks(top, l)
	}
}

// assumedRaw says that a disk is raw because nobody stated anything. Where its
// image looks like something else, that is worth a warning: the guest may keep an
// image on its disk, or somebody has left the <driver type> out of the XML of
// another one. There is no look at an image that is not read.
func (k *walk) assumedRaw(top Layer, l *headerView) {
	text := "no <driver type> is stated for " + Describe(top.Source) + ": libvirt takes it as raw"
	say := "say so in the XML: <driver name='qemu' type='raw'/>"
	switch {
	case l == nil:
		k.find(DriverTypeMissing, Warn, text+", and it is not read here", say)
	case l.signaturesErr != nil:
		k.find(DriverTypeMissing, Warn, text+", and it cannot be read: "+strconv.Quote(reason(l.signaturesErr)), say)
	case len(l.oddities()) > 0:
		k.find(DriverTypeMissing, Warn, text+", but it bears the signature of "+strings.Join(l.oddities(), " and "), trustHint(top.at(), probe.Format(l.oddities()[0])))
	default:
		k.find(DriverTypeMissing, Info, text+", and it bears no signature", "")
	}
}
