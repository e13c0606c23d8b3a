package xmlfix

import (
	"errors"
	"fmt"
	"reflect"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
)

// plan is what has to change for a disk to state a chain.
type plan struct {
	driverType string // for the <driver>; "" leaves it alone
	// keep is the number of layers, the top included, that stay as they
	// are. What is below them becomes store; nil leaves it alone.
	keep  int
	store *libvirtxml.DomainDiskBackingStore
}

// Apply makes a disk of a libvirtxml.Domain state the chain c, as
// [Disk.SetChain] does in a document. On an error nothing was changed; it
// wraps [ErrDisk], [ErrRefused] or [ErrChain].
func Apply(disk *libvirtxml.DomainDisk, c *chain.Chain) error {
	stated, err := StatedBy(disk)
	if err != nil {
		return err
	}
	p, err := planFor(stated, c)
	if err != nil {
		return err
	}
	if p.driverType != "" {
		if disk.Driver == nil {
			disk.Driver = &libvirtxml.DomainDiskDriver{Name: "qemu"}
		}
		disk.Driver.Type = p.driverType
	}
	if p.store != nil {
		place := &disk.BackingStore
		for range p.keep - 1 {
			place = &(*place).BackingStore
		}
		*place = p.store
	}
	return nil
}

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
	if len(c.Layers) == 0 {
		return plan{}, fmt.Errorf("%w: it has no layers", ErrChain)
	}
	var p plan
	top, is := c.Layers[0], stated.Layers[0]
	switch {
	case !reflect.DeepEqual(top.Source, is.Source):
		return plan{}, fmt.Errorf("%w: its top is another image", ErrChain)
	case is.From == chain.Unstated && is.Source.Dir != nil:
		// The <driver type> may be there: fat, which is no image format.
		return plan{}, fmt.Errorf("%w: its top is a directory", ErrChain)
	case is.From == chain.Unstated:
		if p.driverType = top.Format.LibvirtName(); p.driverType == "" {
			return plan{}, fmt.Errorf("%w: its top has no format", ErrChain)
		}
	case top.Format != is.Format:
		return plan{}, fmt.Errorf("%w: its top is %s, but the XML states %s", ErrChain, top.Format, is.Format)
	}
	p.keep = 1
	for p.keep < min(len(c.Layers), len(stated.Layers)) && sameLayer(c.Layers[p.keep], stated.Layers[p.keep]) {
		p.keep++
	}
	if p.keep == len(c.Layers) && p.keep == len(stated.Layers) && ends(c.Layers, stated.Terminated) {
		return p, nil
	}
	store, err := storeOf(c.Layers[p.keep:])
	if err != nil {
		return plan{}, fmt.Errorf("%w: %w", ErrChain, err)
	}
	p.store = store
	return p, nil
}

// ends reports whether the XML says where a chain of these layers ends. Of a
// top that can have no backing image that goes without saying (libvirt 9.0 and
// 11.3).
func ends(layers []chain.Layer, terminated bool) bool {
	return terminated || len(layers) == 1 && !layers[0].Format.CanHaveBacking()
}

// sameLayer reports whether the XML's layer is what a lower layer should be.
func sameLayer(want, is chain.Layer) bool {
	return want.Format == is.Format && reflect.DeepEqual(plainSource(want.Source), plainSource(is.Source))
}

// plainSource returns src as it is written below the top: libvirt takes no
// index from a definition, and reads startupPolicy of the top only.
func plainSource(src *libvirtxml.DomainDiskSource) *libvirtxml.DomainDiskSource {
	if src == nil {
		return nil
	}
	plain := *src
	plain.Index, plain.StartupPolicy = 0, ""
	return &plain
}

// storeOf builds the <backingStore> of layers; of none it is the empty one
// that ends a chain.
func storeOf(layers []chain.Layer) (*libvirtxml.DomainDiskBackingStore, error) {
	store := &libvirtxml.DomainDiskBackingStore{}
	for i := len(layers) - 1; i >= 0; i-- {
		layer := layers[i]
		name := layer.Format.LibvirtName()
		if name == "" {
			return nil, fmt.Errorf("%s has no format that a <backingStore> can state", chain.Describe(layer.Source))
		}
		if err := writable(layer.Source); err != nil {
			return nil, err
		}
		store = &libvirtxml.DomainDiskBackingStore{
			Format:       &libvirtxml.DomainDiskFormat{Type: name},
			Source:       plainSource(layer.Source),
			BackingStore: store,
		}
	}
	return store, nil
}

// writable refuses a source that libvirtxml v1.12001.0 would drop when it
// writes it.
func writable(src *libvirtxml.DomainDiskSource) error {
	switch {
	case sourceType(src) == "":
		return errors.New("a layer has no source that a <backingStore> can have")
	case src.File != nil && src.File.File == "", src.Block != nil && src.Block.Dev == "",
		src.Volume != nil && (src.Volume.Pool == "" || src.Volume.Volume == ""):
		return errors.New("a layer has a source without a name")
	}
	return nil
}

// states reports whether a disk says exactly what c does.
func states(stated chain.Stated, c *chain.Chain) bool {
	if len(stated.Layers) != len(c.Layers) || !ends(stated.Layers, stated.Terminated) {
		return false
	}
	for i, layer := range stated.Layers {
		want := c.Layers[i]
		if layer.From != chain.XML || layer.Format != want.Format {
			return false
		}
		if i > 0 && !sameLayer(want, layer) {
			return false
		}
	}
	return reflect.DeepEqual(stated.Layers[0].Source, c.Layers[0].Source)
}
