package image

import (
	"errors"
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// ErrNotAsked is returned for what a cache does not remember and was not to ask for.
var ErrNotAsked = errors.New("nobody has looked at it")

// LookRemembered is [Cache.Look] without a request: what is not remembered is an
// [ErrNotAsked].
func (c *Cache) LookRemembered(src *libvirtxml.DomainDiskSource, claim probe.Format) (*View, error) {
	key := cacheKey{name: storage.Name(src), how: howOf(src)}
	key.slice, key.part = storage.SliceOf(src)
	entry, ok := c.images.get(key)
	if entry.err != nil {
		return nil, entry.err
	}
	if v, read := entry.info.as(claim); ok && read {
		return v, nil
	}
	return nil, fmt.Errorf("open %s: %w", storage.Describe(src), ErrNotAsked)
}

// Remembered returns what is known of an image without a request: what it shows, whatever it is
// stated to be, or at least which file or device it is; and the error of whoever looked last,
// [ErrNotAsked] where nobody has.
func (c *Cache) Remembered(src *libvirtxml.DomainDiskSource) (id storage.FileID, info *Info, err error) {
	key := cacheKey{name: storage.Name(src), how: howOf(src)}
	key.slice, key.part = storage.SliceOf(src)
	if entry, ok := c.images.get(key); ok && entry.err != nil {
		return storage.FileID{}, nil, entry.err
	} else if ok {
		return entry.info.ID.File, entry.info, nil
	}
	id, err = c.IdentifyRemembered(src)
	return id, nil, err
}

// IdentifyRemembered is [Cache.Identify] without a request: what is not remembered is an
// [ErrNotAsked].
func (c *Cache) IdentifyRemembered(src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	entry, ok := c.stamps.get(stampKey{storage.Name(src), howOf(src)})
	if !ok {
		return storage.FileID{}, fmt.Errorf("%s: %w", storage.Describe(src), ErrNotAsked)
	}
	return entry.file, entry.err
}
