package chain

import (
	"github.com/chainfix/chainfix/probe"
)

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
	if _, local := top.local(); local && top.Format == probe.Raw {
		if l, err := k.look(k.ctx, top.at(), top.header()); err == nil {
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
