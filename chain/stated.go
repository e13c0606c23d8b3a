package chain

import (
	"slices"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
)

// statedImage returns the XML's backing image that is the image src of a
// header: the one with this name, or else another name of the same file.
func (k *walk) statedImage(src *libvirtxml.DomainDiskSource) (Layer, bool) {
	lower := k.stated.Layers[1:]
	if len(lower) == 0 {
		return Layer{}, false
	}
	name := storage.Name(src)
	part, _ := storage.SliceOf(src)
	id, err := k.Identify(k.ctx, src)
	var other Layer
	for _, layer := range lower {
		if located, err := k.Locate(k.ctx, layer); err == nil {
			layer = located
		}
		its, _ := storage.SliceOf(layer.Source)
		if its != part || name == "" {
			continue
		}
		if storage.Name(layer.At()) == name {
			return layer, true
		}
		if err != nil || other.Source != nil {
			continue
		}
		if otherID, err := k.Identify(k.ctx, layer.At()); err == nil && otherID == id {
			other = layer
		}
	}
	return other, other.Source != nil
}

// states reports whether a source comes from the XML.
func (k *walk) states(src *libvirtxml.DomainDiskSource) bool {
	return slices.ContainsFunc(k.stated.Layers, func(l Layer) bool { return l.Source == src })
}
