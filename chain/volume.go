package chain

import (
	"context"
	"path"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
)

// VolumeFinder asks a running libvirt for a volume of a storage pool. A guest
// that names a volume does not start if the pool is inactive or has not found
// the volume yet, so the pool's definition does not suffice.
type VolumeFinder interface {
	// FindVolume returns libvirt's path for a volume; ok is false if the pool
	// does not have the volume.
	FindVolume(ctx context.Context, pool, volume string) (path string, ok bool)
}

// nameVolumes replaces the paths of backing images from headers by volumes if
// the disk's own image is a volume and libvirt has them in the same pool: the
// chain then stays right if the pool moves. Other images keep their path.
func (k *walk) nameVolumes() {
	top := k.stated.Layers[0].Source
	if k.FindVolumes == nil || top.Volume == nil || !libvirt.BackingVolumes.Holds(k.Policy.Target) {
		return
	}
	for i := range k.chain.Layers[1:] {
		if layer := k.chain.Layers[i+1]; !k.states(layer.Source) {
			k.chain.Layers[i+1] = k.asVolume(layer, top.Volume.Pool)
		}
	}
}

// asVolume returns layer as a volume of the pool, or unchanged.
func (k *walk) asVolume(layer Layer, pool string) Layer {
	name, local := storage.LocalPath(layer.Source)
	if !local || layer.ID == (storage.FileID{}) || layer.Source.Slices != nil || layer.Source.DataStore != nil || layer.Source.Encryption != nil {
		return layer
	}
	volume := layer
	volume.Source = &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: pool, Volume: path.Base(name)}}
	volume, err := k.Locate(k.ctx, volume)
	if err != nil || (volume.Located.Block != nil) != layer.ID.Block {
		return layer
	}
	theirs, ok := k.FindVolumes.FindVolume(k.ctx, pool, path.Base(name))
	if !ok {
		return layer
	}
	for _, at := range []*libvirtxml.DomainDiskSource{volume.Located, storage.LocalSource(theirs, layer.ID.Block)} {
		if id, err := k.Identify(k.ctx, at); err != nil || id != layer.ID {
			return layer
		}
	}
	return volume
}
