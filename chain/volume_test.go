package chain_test

import (
	"context"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// finds is a libvirt that has one volume in one pool, at a path.
type finds struct{ pool, volume, path string }

func (f finds) FindVolume(_ context.Context, pool, volume string) (string, bool) {
	return f.path, pool == f.pool && volume == f.volume
}

// A backing image is called a volume only where libvirt has just that file under just
// that name in the pool of the disk's own image; else it keeps its path. That of a real
// libvirt is tested with the command.
func TestBackingImageAsAVolume(t *testing.T) {
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	f.raw("other.raw", 1<<20)
	f.qcow2("top.qcow2", img{backing: "base.raw", backingFormat: "raw"})
	volume := &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: "images", Volume: "top.qcow2"}}
	current := libvirt.Version{Major: 9}
	for name, c := range map[string]struct {
		finder chain.VolumeFinder
		target libvirt.Version
		top    chain.Layer
		want   string // the volume; "" for a path
	}{
		"volume":                       {finds{"images", "base.raw", f.path("base.raw")}, current, layerOf(volume, probe.Qcow2), "base.raw"},
		"no libvirt is asked":          {nil, current, layerOf(volume, probe.Qcow2), ""},
		"libvirt does not have it":     {finds{"images", "other.raw", f.path("base.raw")}, current, layerOf(volume, probe.Qcow2), ""},
		"in another pool":              {finds{"others", "base.raw", f.path("base.raw")}, current, layerOf(volume, probe.Qcow2), ""},
		"libvirt means another file":   {finds{"images", "base.raw", f.path("other.raw")}, current, layerOf(volume, probe.Qcow2), ""},
		"libvirt means an absent file": {finds{"images", "base.raw", f.path("absent")}, current, layerOf(volume, probe.Qcow2), ""},
		"the disk is no volume":        {finds{"images", "base.raw", f.path("base.raw")}, current, f.layer("top.qcow2", probe.Qcow2), ""},
		"libvirt is not known":         {finds{"images", "base.raw", f.path("base.raw")}, libvirt.Version{}, layerOf(volume, probe.Qcow2), ""},
		"libvirt is too old":           {finds{"images", "base.raw", f.path("base.raw")}, libvirt.Version{Major: 6}, layerOf(volume, probe.Qcow2), ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := &chain.Walker{Images: image.NewCache(f), Volumes: pools{f.dir}, FindVolumes: c.finder, Policy: chain.Policy{Target: c.target}}
			got, err := w.Walk(t.Context(), stated(c.top))
			if err != nil {
				t.Fatal(err)
			}
			wantFixable(t, got, 2)
			base := got.Layers[1]
			is := ""
			if base.Source.Volume != nil {
				is = base.Source.Volume.Volume
			}
			if path, _ := base.LocalPath(); is != c.want || path != f.path("base.raw") {
				t.Errorf("the volume %q at %q: %s", is, path, storage.Describe(base.Source))
			}
		})
	}
}
