package xmlfix

import (
	"errors"
	"fmt"
	"reflect"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
)

// plan is what has to change so that a disk states a chain.
type plan struct {
	layers     []chain.Layer // the chain's
	driverType string        // for the <driver>; "" for no change
	// keep is the number of layers, including the top, that stay unchanged except
	// for their data stores.
	keep int
	// dataStores are the kept layers that get another data store, or lose theirs.
	dataStores []int
	// rewrite is set if the layers after the kept ones are rewritten. Then copies
	// has, for each of them, the index of the XML's layer with its source, or -1.
	rewrite bool
	copies  []int
}

// lower returns the rewritten layers.
func (p plan) lower() []chain.Layer { return p.layers[p.keep:] }

// planFor compares what a disk states with what it should. The error wraps
// ErrRefused or ErrChain.
func planFor(stated chain.Stated, c *chain.Chain) (plan, error) {
	switch c.Verdict {
	case chain.Explicit, chain.Skipped:
		return plan{}, nil
	case chain.Fixable:
	default:
		return plan{}, ErrRefused
	}
	switch {
	case len(c.Layers) == 0:
		return plan{}, fmt.Errorf("%w: it has no layers", ErrChain)
	case stated.Inexpressible != "":
		return plan{}, fmt.Errorf("%w: after its layers the XML has %s", ErrChain, stated.Inexpressible)
	}
	p := plan{layers: c.Layers, keep: 1}
	var err error
	if p.driverType, err = driverTypeFor(stated.Layers[0], c.Layers[0]); err != nil {
		return plan{}, fmt.Errorf("%w: %w", ErrChain, err)
	}
	for p.keep < min(len(c.Layers), len(stated.Layers)) && sameLayer(c.Layers[p.keep], stated.Layers[p.keep]) {
		p.keep++
	}
	for i, layer := range c.Layers[:p.keep] {
		if !sameDataStore(layer.Source, stated.Layers[i].Source) {
			p.dataStores = append(p.dataStores, i)
		}
	}
	p.rewrite = p.keep < len(c.Layers) || p.keep < len(stated.Layers) || !ends(c.Layers, stated.Terminated)
	for i, layer := range p.lower() {
		p.copies = append(p.copies, statedAs(layer, stated.Layers, p.keep+i))
	}
	if err := p.check(); err != nil {
		return plan{}, fmt.Errorf("%w: %w", ErrChain, err)
	}
	return p, nil
}

// driverTypeFor returns the type that the <driver> of a disk has to state for
// its own image; "" if it already does.
func driverTypeFor(is, want chain.Layer) (string, error) {
	switch {
	case !reflect.DeepEqual(withoutDataStore(want.Source), withoutDataStore(is.Source)):
		return "", errors.New("its top is another image")
	case is.From == chain.Protocol && want.Format != is.Format:
		return "", errors.New("its top is a directory")
	case is.Source.VHostUser != nil:
		return "", errors.New("its top is a vhost-user device") // cannot have a chain in libvirt
	case leftTypeless(is, want):
		return "", nil
	case is.From == chain.Unstated:
		name := want.Format.LibvirtName()
		if name == "" {
			return "", errors.New("its top has no format")
		}
		return name, nil
	case want.Format != is.Format:
		return "", fmt.Errorf("its top is %s, but the XML states %s", want.Format, is.Format)
	}
	return "", nil
}

// leftTypeless reports whether a disk stays without a <driver type>: nobody
// states a format, and libvirt opens it as raw.
func leftTypeless(is, want chain.Layer) bool {
	return is.From == chain.Unstated && want.From == chain.Unstated && want.Format == ""
}

// statedAs returns the index of the XML's layer with the source of layer,
// which is written as the i-th: i if that is one of several, otherwise the
// first; -1 for none.
func statedAs(layer chain.Layer, stated []chain.Layer, i int) int {
	if i < len(stated) && sameImage(layer.Source, stated[i].Source) {
		return i
	}
	for j, is := range stated {
		if sameImage(layer.Source, is.Source) {
			return j
		}
	}
	return -1
}

// check refuses layers that the XML cannot state.
func (p plan) check() error {
	for _, i := range p.dataStores {
		if err := checkDataStore(p.layers[i]); err != nil {
			return err
		}
	}
	for i, layer := range p.lower() {
		if layer.Format.LibvirtName() == "" {
			return fmt.Errorf("%s does not have a format that a <backingStore> can state", storage.Describe(layer.Source))
		}
		if sourceType(layer.Source) == "" {
			return errors.New("a layer has no source that a <backingStore> can have")
		}
		if err := writable(layer.Source); err != nil && (p.copies[i] < 0 || !isPassed(layer.Source)) {
			return err
		}
		if err := checkDataStore(layer); err != nil {
			return err
		}
	}
	return nil
}

// ends reports whether the XML terminates a chain of these layers. A top that
// cannot have a backing image needs no explicit end (libvirt 9.0 and 11.3).
func ends(layers []chain.Layer, terminated bool) bool {
	return terminated || len(layers) == 1 && !layers[0].Format.CanHaveBacking()
}

// sameLayer reports whether the XML's backing layer is as wanted, except for
// its data store.
func sameLayer(want, is chain.Layer) bool {
	return want.Format == is.Format && sameImage(want.Source, is.Source)
}

// sameImage reports whether two sources of backing images differ only in their
// data stores.
func sameImage(a, b *libvirtxml.DomainDiskSource) bool {
	return reflect.DeepEqual(withoutDataStore(plainSource(a)), withoutDataStore(plainSource(b)))
}

// sameDataStore reports whether sources of one image have the same data store.
func sameDataStore(a, b *libvirtxml.DomainDiskSource) bool {
	return reflect.DeepEqual(plainSource(a).DataStore, plainSource(b).DataStore)
}

func withoutDataStore(src *libvirtxml.DomainDiskSource) *libvirtxml.DomainDiskSource {
	if src == nil || src.DataStore == nil {
		return src
	}
	bare := *src
	bare.DataStore = nil
	return &bare
}

// plainSource returns src as the source of a backing image: libvirt ignores an
// index in a definition, and reads startupPolicy only in the top.
func plainSource(src *libvirtxml.DomainDiskSource) *libvirtxml.DomainDiskSource {
	if src == nil {
		return nil
	}
	plain := *src
	plain.Index, plain.StartupPolicy = 0, ""
	if src.DataStore != nil {
		store := *src.DataStore
		store.Source = plainSource(store.Source)
		plain.DataStore = &store
	}
	return &plain
}

// writable refuses a source that libvirtxml v1.12008.0 would not write, and
// one without a name.
func writable(src *libvirtxml.DomainDiskSource) error {
	switch {
	case src.File != nil && src.File.File == "", src.Block != nil && src.Block.Dev == "",
		src.Dir != nil && src.Dir.Dir == "", src.Network != nil && src.Network.Protocol == "",
		src.Volume != nil && (src.Volume.Pool == "" || src.Volume.Volume == ""):
		return errors.New("a layer has a source without a name")
	}
	return nil
}

// isPassed reports whether an image is passed to QEMU as a file descriptor,
// which needs no name. libvirtxml cannot write that, but it can be copied.
func isPassed(src *libvirtxml.DomainDiskSource) bool {
	return src.File != nil && src.File.FDGroup != ""
}

// states reports whether a disk states exactly the chain c.
func states(stated chain.Stated, c *chain.Chain) bool {
	if len(stated.Layers) != len(c.Layers) || !ends(stated.Layers, stated.Terminated) {
		return false
	}
	for i, is := range stated.Layers {
		want := c.Layers[i]
		stated := is.From != chain.Unstated && is.Format == want.Format || i == 0 && leftTypeless(is, want)
		if !stated || !reflect.DeepEqual(plainSource(want.Source), plainSource(is.Source)) {
			return false
		}
	}
	return reflect.DeepEqual(withoutDataStore(stated.Layers[0].Source), withoutDataStore(c.Layers[0].Source))
}
