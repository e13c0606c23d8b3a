package xmlfix

import (
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
)

// Apply makes a disk of a libvirtxml.Domain state the chain c, as
// [Disk.SetChain] does in a document. [FixDomain] uses it; it is exported for
// programs that walk the chains themselves. On error the disk is unchanged;
// the error wraps [ErrDisk], [ErrRefused] or [ErrChain].
func Apply(disk *libvirtxml.DomainDisk, c *chain.Chain) error {
	stated, err := StatedBy(disk)
	if err != nil {
		return err
	}
	p, err := planFor(stated, c)
	if err != nil {
		return err
	}
	p.apply(disk)
	return nil
}

// apply applies the plan to a disk.
func (p plan) apply(disk *libvirtxml.DomainDisk) {
	if p.driverType != "" {
		if disk.Driver == nil {
			disk.Driver = &libvirtxml.DomainDiskDriver{Name: "qemu"}
		}
		disk.Driver.Type = p.driverType
	}
	for _, i := range p.dataStores {
		sourceOf(disk, i).DataStore = p.layers[i].Source.DataStore
	}
	if p.rewrite {
		store := p.stores(disk)
		*placeOf(disk, p.keep) = store
	}
}

// placeOf returns the pointer to a disk's i-th layer, from 1, or to the end of
// its chain.
func placeOf(disk *libvirtxml.DomainDisk, i int) **libvirtxml.DomainDiskBackingStore {
	place := &disk.BackingStore
	for range i - 1 {
		place = &(*place).BackingStore
	}
	return place
}

func sourceOf(disk *libvirtxml.DomainDisk, i int) *libvirtxml.DomainDiskSource {
	if i == 0 {
		return disk.Source
	}
	return (*placeOf(disk, i)).Source
}

// stores builds the <backingStore> of the rewritten layers; without any it is
// the empty one that ends a chain. A layer that the disk had keeps the other
// content of its <format>.
func (p plan) stores(disk *libvirtxml.DomainDisk) *libvirtxml.DomainDiskBackingStore {
	store := &libvirtxml.DomainDiskBackingStore{}
	for i := len(p.lower()) - 1; i >= 0; i-- {
		above := storeOf(p.lower()[i])
		above.BackingStore = store
		if from := p.copies[i]; from > 0 {
			if old := (*placeOf(disk, from)).Format; old.Type == above.Format.Type {
				above.Format = old
			}
		}
		store = above
	}
	return store
}

// storeOf builds the <backingStore> of one layer.
func storeOf(layer chain.Layer) *libvirtxml.DomainDiskBackingStore {
	return &libvirtxml.DomainDiskBackingStore{
		Format: &libvirtxml.DomainDiskFormat{Type: layer.Format.LibvirtName()},
		Source: plainSource(layer.Source),
	}
}
