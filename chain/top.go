package chain

import (
	"github.com/chainfix/chainfix/probe"
)

// topNotLocal deals with a source that cannot be opened here. libvirt, if the
// format can have a backing image, leaves the chain of such a disk to QEMU,
// which probes (9.0).
func (k *walk) topNotLocal(top Layer) {
	what := Describe(top.Source)
	k.chain.Layers = k.stated.Layers[:1:1]
	switch {
	case top.From == Unstated:
		k.find(DriverTypeMissing, Warn, "no <driver type> is stated for "+what+": libvirt takes it as raw",
			"say so in the XML: <driver name='qemu' type='raw'/>")
	case !top.Format.CanHaveBacking():
	case k.stated.Terminated:
		k.chain.Layers = k.stated.Layers
		k.find(ChainUnverified, Warn, what+" is no local file: its explicit chain is taken as it is", "")
	default:
		k.refuse(SourceNotLocal, what+" is no local file: its header is not read, and its chain is not explicit",
			"state the whole chain in the XML, with <backingStore/> at its end")
	}
}

// topWithoutBacking deals with a top whose stated format ends the chain: it is
// explicit as it is. A raw one gets a look all the same, because libvirt also
// writes raw where nobody said anything.
func (k *walk) topWithoutBacking(top Layer) {
	if len(k.stated.Layers) > 1 {
		k.chain.Layers = k.stated.Layers[:1:1]
		if kept := k.stale(top); kept.Source != nil {
			k.chain.Layers = k.stated.Layers
		}
		return
	}
	if top.Format == probe.Raw {
		if l, err := k.look(k.ctx, top.Source, top.header()); err == nil {
			top.Header = l.header
			k.chain.Layers = append(k.chain.Layers, top)
			if top.header() == probe.Raw {
				k.noteMarks(top, l)
			} else if l.headerErr != nil {
				k.find(FormatMismatch, Warn, Describe(top.Source)+" is stated to be encrypted, but its header cannot be used: "+l.headerErr.Error(), "")
			}
			return
		}
	}
	k.chain.Layers = append(k.chain.Layers, top)
}
