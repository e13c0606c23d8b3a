package chain

import (
	"context"
	"path"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
)

// VolumeFinder asks a libvirt for the volume of a storage pool that it has now. A pool
// that is not active, and a volume that it has not found yet, make a guest fail to
// start that names them, so the definition of a pool is no answer.
type VolumeFinder interface {
	// FindVolume returns the path that libvirt has for a volume; ok is false if the
	// pool does not have it.
	FindVolume(ctx context.Context, pool, volume string) (path string, ok bool)
}

// nameVolumes names the backing images that the chain has from headers as volumes,
// where the disk's own image is a volume, and libvirt has them in the same pool: so
// the chain is still right when the pool is somewhere else. Any other image keeps its
// path.
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

// asVolume returns layer as a volume of the pool, or as it is.
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
