package host

import (
	"context"
	"sync"

	"github.com/digitalocean/go-libvirt"

	"github.com/chainfix/chainfix/chain"
)

var _ chain.VolumeFinder = (*Daemon)(nil)

// FindVolume returns the path that the daemon has for a volume now; ok is false if the
// pool is not active, did not have the volume when it was last refreshed, or is none,
// and if the daemon does not answer. See [chain.VolumeFinder].
func (d *Daemon) FindVolume(ctx context.Context, pool, volume string) (path string, ok bool) {
	var in libvirt.StoragePool
	err := d.call(ctx, "virStoragePoolLookupByName", func() (err error) {
		in, err = d.rpc.StoragePoolLookupByName(pool)
		return err
	})
	if err != nil {
		return "", false
	}
	var found libvirt.StorageVol
	err = d.call(ctx, "virStorageVolLookupByName", func() (err error) {
		found, err = d.rpc.StorageVolLookupByName(in, volume)
		return err
	})
	if err != nil {
		return "", false
	}
	text, err := d.text(ctx, "virStorageVolGetPath", func() (string, error) { return d.rpc.StorageVolGetPath(found) })
	return string(text), err == nil
}

// foundVolumes remembers what a finder has answered: thousands of guests may have one
// base. Guests ask at the same time.
type foundVolumes struct {
	chain.VolumeFinder

	mu    sync.Mutex
	known map[[2]string]foundVolume
}

type foundVolume struct {
	path string
	ok   bool
}

// FindVolume implements [chain.VolumeFinder].
func (f *foundVolumes) FindVolume(ctx context.Context, pool, volume string) (path string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock() // libvirt takes one call at a time anyway
	key := [2]string{pool, volume}
	found, known := f.known[key]
	if !known {
		found.path, found.ok = f.VolumeFinder.FindVolume(ctx, pool, volume)
		if ctx.Err() == nil { // or it may have been asked in vain
			f.known[key] = found
		}
	}
	return found.path, found.ok
}
