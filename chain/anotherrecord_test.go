package chain_test

import (
	"errors"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/probe"
)

// TestRecordOfAnotherImageConfirmsNothing: top.qcow2 names base.img and records
// qcow2 for it; the XML has other.img in its place, and its word counts. That
// other.img is qcow2 too is then said by the <backingStore> alone, so what it
// names is not touched. Of an image that is the same by another name, or that was
// moved, the record speaks.
func TestRecordOfAnotherImageConfirmsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		make    func(f *files)
		refused bool
	}{
		"both are there": {func(f *files) { f.qcow2("base.img", img{}) }, true},
		"one image":      {func(f *files) { f.symlink(f.path("other.img"), "base.img") }, false},
		"it was moved":   {func(*files) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			f.raw("secret", 1<<20)
			f.qcow2("other.img", img{backing: "secret", backingFormat: "raw"})
			f.qcow2("top.qcow2", img{backing: "base.img", backingFormat: "qcow2"})
			c.make(f)
			disk := diskOf("asks", f.layer("top.qcow2", probe.Qcow2), f.layer("other.img", probe.Qcow2))
			got := f.walk(t, chain.Policy{Disagreement: chain.XMLWins}, disk)
			if !c.refused {
				wantFixable(t, got, 3)
				return
			}
			wantRefused(t, got, finding.ProbedBacking)
			if f.touched[f.path("secret")] {
				t.Error("the walk touches what the image names")
			}
			f.touched = map[string]bool{}
			w := &chain.Walker{Images: image.NewCache(f)}
			if _, err := predict.Disk(t.Context(), w, disk, libvirt.Version{Major: 9}); !errors.Is(err, predict.ErrUnseen) {
				t.Errorf("predicted: %v", err)
			}
			if f.touched[f.path("secret")] {
				t.Error("the prediction touches what the image names")
			}
		})
	}
}
