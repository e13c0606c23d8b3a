package chain

import (
	"errors"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
)

// At returns the source that leads to the image: that of a volume is what its
// pool says.
func (l Layer) At() *libvirtxml.DomainDiskSource {
	if l.Located != nil {
		return l.Located
	}
	return l.Source
}

// LocalPath returns the path of an image that is a local file or block device.
func (l Layer) LocalPath() (path string, ok bool) { return storage.LocalPath(l.At()) }

// Locate finds out where a volume is. A volume that cannot be found is an
// image that is not read.
func (w *Walker) Locate(layer Layer) (Layer, error) {
	if layer.Source == nil || layer.Source.Volume == nil || layer.Located != nil {
		return layer, nil
	}
	if w.Volumes == nil {
		return layer, errNoPools
	}
	at, err := w.Volumes.Locate(layer.Source)
	if err != nil {
		return layer, err
	}
	located := *at
	located.Slices, located.Encryption = layer.Source.Slices, layer.Source.Encryption
	layer.Located = &located
	return layer, nil
}

var errNoPools = errors.New("no storage pool is known")
