package image

import (
	"errors"
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// ErrNotCached is returned for an image that is not cached, by methods that
// make no request.
var ErrNotCached = errors.New("image was not read before")

// LookCached is [Cache.Look] without a request: the error is [ErrNotCached]
// if the image is not cached.
func (c *Cache) LookCached(src *libvirtxml.DomainDiskSource, claim probe.Format) (*View, error) {
	key := cacheKey{name: storage.Name(src), how: howOf(src)}
	key.slice, key.part = storage.SliceOf(src)
	entry, ok := c.images.get(key)
	if entry.err != nil {
		return nil, entry.err
	}
	if v, read := entry.info.as(claim); ok && read {
		return v, nil
	}
	return nil, fmt.Errorf("open %s: %w", storage.Describe(src), ErrNotCached)
}

// Remembered returns what is cached about an image, without a request: its
// Info, or at least its file or device, and the error of the last attempt to
// read it, or [ErrNotCached] if there was none.
func (c *Cache) Remembered(src *libvirtxml.DomainDiskSource) (id storage.FileID, info *Info, err error) {
	key := cacheKey{name: storage.Name(src), how: howOf(src)}
	key.slice, key.part = storage.SliceOf(src)
	if entry, ok := c.images.get(key); ok && entry.err != nil {
		return storage.FileID{}, nil, entry.err
	} else if ok {
		return entry.info.ID.File, entry.info, nil
	}
	id, err = c.IdentifyCached(src)
	return id, nil, err
}

// IdentifyCached is [Cache.Identify] without a request: the error is
// [ErrNotCached] if the source is not cached.
func (c *Cache) IdentifyCached(src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	entry, ok := c.stamps.get(stampKey{storage.Name(src), howOf(src)})
	if !ok {
		return storage.FileID{}, fmt.Errorf("%s: %w", storage.Describe(src), ErrNotCached)
	}
	return entry.file, entry.err
}
