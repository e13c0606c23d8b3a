package chain_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// someImage writes an image over one of names, whichever record it has.
func (f *files) someImage(draw *rapid.T, name string, names []string) {
	one := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(draw, label) }
	if one("kind", "qcow2", "qcow2", "qcow2", "raw") == "raw" {
		f.raw(name, 1<<20)
		return
	}
	img := mkimage.Qcow2{VirtualSize: overlaySize}
	switch one("reference", "backing", "backing", "backing", "none", "data file") {
	case "backing":
		img.Backing, img.BackingFormat = one("name", names...), one("format", "", "", "raw", "qcow2", "vmdk")
	case "data file":
		img.DataFile = f.path(one("name", names...))
	}
	f.write(name, img)
}

// TestExplicitChainOpensNoDoor: a chain is made explicit, and then the headers
// are rewritten, as a guest might. Whatever they say, a run on the explicit
// chain touches no file that a run on the same disk without it would not
// touch, but for those that the XML itself names, and what an image names of
// which the operator says what it is.
func TestExplicitChainOpensNoDoor(t *testing.T) {
	explicit, more := 0, 0
	rapid.Check(t, func(draw *rapid.T) {
		f := newFiles(t)
		names := []string{"i0", "i1", "i2", "i3", "c0", "c1"}
		for _, name := range names {
			f.raw(name, 1<<20)
		}
		for i, name := range names[:4] {
			f.someImage(draw, name, names[i+1:5])
		}
		policy := chain.Policy{
			Rule:   rapid.SampledFrom([]chain.Rule{chain.Leaf, chain.Leaf, chain.Strict, chain.Declared}).Draw(draw, "rule"),
			Target: rapid.SampledFrom([]libvirt.Version{{}, {Major: 11, Minor: 3}}).Draw(draw, "target"),
		}
		if rapid.Bool().Draw(draw, "trust") {
			policy.Trust = []chain.Statement{{Path: f.path("i1"), Format: probe.Qcow2}}
		}
		disk := f.top("i0")
		found := f.walk(t, policy, disk)
		if found.Verdict != chain.Fixable {
			return
		}
		explicit++
		stated, named := disk, []string{}
		stated.Layers, stated.Terminated = slices.Clone(found.Layers), true
		for i := range stated.Layers {
			layer := &stated.Layers[i]
			layer.From, layer.ID, layer.Header = chain.XML, storage.FileID{}, nil
			path, _ := storage.LocalPath(layer.Source)
			named = append(named, path)
			if store := layer.Source.DataStore; store != nil {
				path, _ := storage.LocalPath(store.Source)
				named = append(named, path)
			}
		}
		for _, name := range names[:4] {
			if rapid.Bool().Draw(draw, "rewritten") {
				f.someImage(draw, name, names)
			}
		}
		if rapid.Bool().Draw(draw, "the operator says no more") {
			policy.Trust = nil
		}
		f.walk(t, policy, disk)
		without := f.touched
		if policy.Trust != nil {
			// What the operator calls by its format may be followed from wherever
			// the XML names it.
			f.walk(t, policy, f.top("i1"))
			maps.Copy(without, f.touched)
		}
		for _, policy.Disagreement = range []chain.Disagreement{chain.RefuseDisagreement, chain.HeadersWin, chain.XMLWins} {
			got := f.walk(t, policy, stated)
			for path := range f.touched {
				if !without[path] && !slices.Contains(named, path) {
					draw.Fatalf("%v: %q is touched because the chain is explicit: %s", policy.Disagreement, path, fmt.Sprintf("%+v", got))
				}
			}
			if len(f.touched) > len(without) {
				more++
			}
		}
	})
	if explicit == 0 || more == 0 {
		t.Errorf("%d chains were made explicit, %d touch more: that is no good sample", explicit, more)
	}
}
