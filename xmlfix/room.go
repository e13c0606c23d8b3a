package xmlfix

import (
	"strconv"

	"github.com/chainfix/chainfix/chain"
)

// Room reports whether the chains that were found for disks of the document leave
// room for another one. A disk takes fifty bytes of XML, but may have a chain of
// two hundred layers, of each of which there is something to say.
//
// The error is an [*Error] that wraps [ErrLimit]: the disk is not to be looked at.
func (k *Disk) Room() error {
	if k.doc.chains <= MaxChains {
		return nil
	}
	return k.fail(k.Pos(), ErrLimit, "the chains of the disks above take more than "+strconv.Itoa(MaxChains>>20)+" MiB")
}

// Count counts a chain that was found for the disk, whatever its verdict.
func (k *Disk) Count(c *chain.Chain) {
	const layer, extent, finding = 320, 64, 80 // bytes, without texts
	for _, l := range c.Layers {
		path, _ := chain.LocalPath(l.Source)
		k.doc.chains += layer + len(path)
		if l.Source != nil && l.Source.Network != nil {
			k.doc.chains += len(l.Source.Network.Name) + len(l.Source.Network.Query)
		}
		if l.Header == nil {
			continue
		}
		for _, e := range l.Header.Extents {
			k.doc.chains += extent + len(e.Name)
		}
	}
	for _, f := range c.Findings {
		k.doc.chains += finding + len(f.Text) + len(f.Hint)
	}
}
