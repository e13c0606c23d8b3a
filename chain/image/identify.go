package image

import (
	"context"
	"errors"
	"sync/atomic"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
)

// Identify identifies the file of a source, like [storage.Opener], without
// opening it. It caches the first result of each name; [Cache.IdentifyNow]
// always asks the system.
func (c *Cache) Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	key := stampKey{storage.Name(src), howOf(src)}
	entry, ok := c.stamps.get(key)
	if !ok {
		var err error
		entry.stamp, err = limit.Share(ctx, c.requests, "stat\x00"+key.name+"\x00"+key.how, storage.ShownName(src), func(ctx context.Context) (stamp, error) {
			if entry, ok := c.stamps.get(key); ok {
				return entry.stamp, entry.err // another goroutine has just asked
			}
			return stampOf(ctx, c.opener, src)
		}, func(s stamp, err error) { c.stamps.put(key, stampEntry{s, err}) })
		return entry.file, err
	}
	return entry.file, entry.err
}

// Opened is an image that was opened.
type Opened struct {
	Source *libvirtxml.DomainDiskSource
	File   storage.FileID
}

// FirstReplaced identifies images again and returns the index of the first
// that is now another file or missing, or -1. The error is a
// [*limit.UnansweredError] about the image with that index, or the cause of
// ctx.
func (c *Cache) FirstReplaced(ctx context.Context, images []Opened) (int, error) {
	paths := make([]string, len(images))
	for i, o := range images {
		paths[i] = storage.ShownName(o.Source)
	}
	replaced := errors.New("replaced")
	var at atomic.Int64
	err := limit.Each(ctx, c.requests, paths, func(ctx context.Context, i int) error {
		at.Store(int64(i))
		if now, err := c.opener.Identify(ctx, images[i].Source); err != nil || now != images[i].File {
			return replaced
		}
		return nil
	})
	switch err {
	case nil:
		return -1, nil
	case replaced:
		err = nil
	}
	return int(at.Load()), err
}

// IdentifyNow identifies the file of a source without the cache.
func (c *Cache) IdentifyNow(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	return limit.Do(ctx, c.requests, storage.ShownName(src), func(ctx context.Context) (storage.FileID, error) { return c.opener.Identify(ctx, src) })
}

// Resolve follows symlinks; see [storage.Resolver]. The error is
// [storage.ErrNoResolver] if the cache's opener does not support that.
func (c *Cache) Resolve(ctx context.Context, path string) (string, error) {
	resolver, ok := c.opener.(storage.Resolver)
	if !ok {
		return "", storage.ErrNoResolver
	}
	return limit.Do(ctx, c.requests, path, func(ctx context.Context) (string, error) { return resolver.Resolve(ctx, path) })
}

// Extent returns the extent of the image src in its known file or device; see
// [storage.ExtentOf].
func (c *Cache) Extent(ctx context.Context, src *libvirtxml.DomainDiskSource, id storage.FileID) (storage.Extent, error) {
	if !id.Block {
		return storage.ExtentOf(ctx, c.opener, src, id), nil
	}
	return limit.Do(ctx, c.requests, storage.ShownName(src), func(ctx context.Context) (storage.Extent, error) {
		return storage.ExtentOf(ctx, c.opener, src, id), nil
	})
}

// Alike reports whether two sources have the same inode number and the same
// time of their last change on different file systems: probably one file in
// two mounts, or its unchanged copy in a file system snapshot.
func (c *Cache) Alike(ctx context.Context, a, b *libvirtxml.DomainDiskSource) bool {
	first, known := c.stamp(ctx, a)
	second, knownToo := c.stamp(ctx, b)
	return known && knownToo && first.file.Device != second.file.Device && first.file.Inode != 0 &&
		first.file.Inode == second.file.Inode && first.changed == second.changed
}

// stamp is the file that a name refers to, and the time of its last change if
// a [storage.ChangeTimer] knows it.
type stamp struct {
	file    storage.FileID
	changed int64
}

// stampKey is the key of a cached stamp.
type stampKey struct{ name, how string }

func (k stampKey) sizeWith(stampEntry) int { return 192 + len(k.how) }

type stampEntry struct {
	stamp
	err error
}

// howOf returns the part of a source that says how its image on the network is
// reached.
func howOf(src *libvirtxml.DomainDiskSource) string {
	if src == nil || src.Network == nil {
		return ""
	}
	return storage.Fragment(src, "source")
}

// stamp returns the stamp of src; ok is false if it is unknown: opening the
// image then returns the reason.
func (c *Cache) stamp(ctx context.Context, src *libvirtxml.DomainDiskSource) (s stamp, ok bool) {
	key := stampKey{storage.Name(src), howOf(src)}
	if entry, known := c.stamps.get(key); known {
		return entry.stamp, entry.err == nil
	}
	s, err := stampOf(ctx, c.opener, src)
	c.stamps.put(key, stampEntry{s, err})
	return s, err == nil
}

func stampOf(ctx context.Context, opener storage.Opener, src *libvirtxml.DomainDiskSource) (s stamp, err error) {
	if timer, knows := opener.(storage.ChangeTimer); knows {
		s.file, s.changed, err = timer.ChangeTime(ctx, src)
	} else {
		s.file, err = opener.Identify(ctx, src)
	}
	return s, err
}
