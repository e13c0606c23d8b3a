package chain_test

import (
	"errors"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// TestPredictionFollowsNoGuess: of an image whose format only a <backingStore>
// states, a prediction touches nothing that a walk does not touch, and says so
// where that decides. With the record of the overlay it looks.
func TestPredictionFollowsNoGuess(t *testing.T) {
	f := newFiles(t)
	f.raw("secret", 1<<20)
	f.raw("next.raw", 1<<20)
	vmdk := mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Sectors: 2048, Name: f.path("secret")}}}
	qcow2 := func(q mkimage.Qcow2) func() {
		return func() { q.VirtualSize = 1 << 20; f.write("base.img", q) }
	}
	backing := qcow2(mkimage.Qcow2{Backing: f.path("secret"), BackingFormat: "raw"})
	for name, c := range map[string]struct {
		base       func()
		format     probe.Format
		below      string
		terminated bool
		unseen     bool
	}{
		"backing image below a chain without an end": {base: backing, format: probe.Qcow2, unseen: true},
		"backing image, and the XML goes on":         {base: backing, format: probe.Qcow2, below: "next.raw", terminated: true, unseen: true},
		"backing image, and the XML goes on to it":   {base: backing, format: probe.Qcow2, below: "secret", terminated: true},
		"backing image, and the XML ends":            {base: backing, format: probe.Qcow2, terminated: true},
		"backing image of a qed image": {base: func() { f.write("base.img", mkimage.QED{VirtualSize: 1 << 20, Backing: f.path("secret")}) },
			format: probe.QED, unseen: true},
		"data file": {base: qcow2(mkimage.Qcow2{DataFile: f.path("secret")}), format: probe.Qcow2, terminated: true, unseen: true},
		"extent":    {base: func() { f.write("base.img", vmdk) }, format: probe.VMDK, terminated: true, unseen: true},
		"nothing":   {base: qcow2(mkimage.Qcow2{}), format: probe.Qcow2},
	} {
		t.Run(name, func(t *testing.T) {
			c.base()
			layers := []chain.Layer{f.layer("top.qcow2", probe.Qcow2), f.layer("base.img", c.format)}
			if c.below != "" {
				layers = append(layers, f.layer(c.below, probe.Raw))
			}
			disk := diskOf("asks", layers...)
			disk.Terminated = c.terminated
			ask := func(record string, evidence *chain.Evidence) error {
				t.Helper()
				f.qcow2("top.qcow2", img{backing: "base.img", backingFormat: record})
				f.touched, f.opened = map[string]bool{}, map[string]int{}
				w := &chain.Walker{Images: image.NewCache(f), Evidence: evidence}
				_, err := predict.Disk(t.Context(), w, disk, libvirt.Pair{Libvirt: libvirt.Version{Major: 9}})
				return err
			}
			for _, record := range []string{"", "raw"} {
				err := ask(record, nil)
				if errors.Is(err, predict.ErrUnseen) != c.unseen || err != nil && !c.unseen {
					t.Errorf("recorded %q: %v", record, err)
				}
				if f.touched[f.path("secret")] && c.below != "secret" {
					t.Errorf("recorded %q: what the image names is touched", record)
				}
			}
			if err := ask(string(c.format), nil); err != nil {
				t.Errorf("recorded: %v", err)
			}
			if err := ask("", f.said(diskOf("other", f.layer("base.img", c.format)))); err != nil {
				t.Errorf("stated by another disk: %v", err)
			}
		})
	}
}
