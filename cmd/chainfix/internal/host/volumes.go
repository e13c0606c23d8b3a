package host

import (
	"context"
	"sync"

	"github.com/digitalocean/go-libvirt"

	"github.com/chainfix/chainfix/chain"
)

var _ chain.VolumeFinder = (*Daemon)(nil)

// FindVolume returns the daemon's path of a volume; ok is false if the pool is
// inactive or unknown, did not have the volume at its last refresh, or if the
// daemon does not answer. See [chain.VolumeFinder].
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

// foundVolumes caches the results of a finder: thousands of guests may share
// one backing image. It is safe for concurrent use.
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
		if ctx.Err() == nil { // otherwise the call may have failed
			f.known[key] = found
		}
	}
	return found.path, found.ok
}
