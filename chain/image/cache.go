// Package image finds out what an image shows: its header, its marks, and what QEMU
// and libvirt would take it for.
//
//	images := image.NewCache(storage.FileOpener{})
//	view, err := images.Look(ctx, source, "") // nobody claims a format
//	if err == nil {
//		fmt.Println(view.Candidate(), view.Header)
//	}
//
// A [Cache] remembers what it saw, for any number of walks and predictions at the
// same time, so that each image is opened once. A [View] is the answer. The rest is
// what packages chain and predict ask of it.
//
// What an image shows is a claim. Which of its claims are taken is for package chain
// to say.
package image

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"golang.org/x/sync/singleflight"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// maxCached bounds what a [Cache] keeps, in bytes, roughly. An image takes one to two
// KiB, unless it names thousands of extents.
const maxCached = 256 << 20

// Cache opens images and remembers what they showed, failures too. Any number
// of walkers and goroutines may share one: an image is opened once, by whatever
// name and however many ask for it at the same moment, and once more for each
// format that somebody states for it and its header contradicts. A file is told
// from an earlier one of the same inode by the time of its last change.
//
// What was seen of a name is not looked at again: make a cache for each run.
type Cache struct {
	opener   storage.Opener
	requests *limit.Requests
	flights  singleflight.Group
	heads    sync.Pool

	images generations[cacheKey, cacheEntry]
	stamps generations[stampKey, stampEntry]
}

// maxFlights bounds how many images are asked for at the same time where nothing else
// does.
const maxFlights = 4096

// NewCache returns an empty cache of images that opener opens; nil means
// [storage.FileOpener].
func NewCache(opener storage.Opener) *Cache {
	if opener == nil {
		opener = storage.FileOpener{}
	}
	c := &Cache{opener: opener, requests: limit.New(maxFlights, 0)}
	c.images.size, c.stamps.size = cacheKey.sizeWith, stampKey.sizeWith
	c.SetLimit(maxCached)
	return c
}

// SetLimit bounds what is kept, in bytes, roughly, instead of 256 MiB. It must be
// called before the cache is used.
func (c *Cache) SetLimit(bytes int) {
	c.stamps.limit = bytes / 8
	c.images.limit = bytes/2 - c.stamps.limit
}

// SetRequests bounds how the images are asked for. An image that does not answer in
// time is a [*limit.UnansweredError], and is not asked again. SetRequests must be
// called before the cache is used; without it, or with nil, there is no limit of time.
func (c *Cache) SetRequests(r *limit.Requests) {
	if r != nil {
		c.requests = r
	}
}

// Requests returns what bounds how the images are asked for.
func (c *Cache) Requests() *limit.Requests { return c.requests }

// cacheKey is how an image is remembered: by its name or, with another name to be
// expected, by the file that it is in. How an image on the network is reached, its
// cookies for one, may decide what is there.
type cacheKey struct {
	name, how string
	slice     storage.Slice
	part      bool // slice is the image; a part of 0 bytes is not the whole
}

// inFile returns the key by which the same image is known in its file. No name begins
// like that.
func (k cacheKey) inFile(id storage.FileID) cacheKey {
	text := append(make([]byte, 0, 48), 0)
	text = append(strconv.AppendUint(text, id.Device, 10), ':')
	text = append(strconv.AppendUint(text, id.Inode, 10), ':')
	text = append(strconv.AppendBool(text, id.Block), ':')
	k.name = string(append(text, id.Remote...))
	return k
}

func (k cacheKey) String() string {
	text := k.name + "\x00" + k.how
	if k.part {
		text += fmt.Sprintf("\x00%d %d", k.slice.Offset, k.slice.Size)
	}
	return text
}

func (k cacheKey) sizeWith(entry cacheEntry) int {
	return 128 + len(k.name) + len(k.how) + entry.info.memSize()
}

type cacheEntry struct {
	info *Info
	err  error
}

// Look opens a source and reads it as claim, or, with claim "", as what it
// bears the signature of; then there is no header where that is not one format.
// A context that ends is the caller's alone: others who wait for the same image
// get it.
func (c *Cache) Look(ctx context.Context, src *libvirtxml.DomainDiskSource, claim probe.Format) (*View, error) {
	key := cacheKey{name: storage.Name(src), how: howOf(src)}
	if key.name == "" {
		return nil, fmt.Errorf("open %s: %w", storage.Describe(src), storage.ErrNotReadable)
	}
	key.slice, key.part = storage.SliceOf(src)
	entry, _ := c.images.get(key)
	for {
		if entry.err != nil {
			return nil, entry.err
		}
		if v, ok := entry.info.as(claim); ok {
			return v, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		known := entry.info
		var err error
		entry, err = limit.Share(ctx, c.requests, key.String(), storage.ShownName(src), func(ctx context.Context) (cacheEntry, error) {
			return c.fetch(ctx, src, key, known, claim), nil
		}, func(entry cacheEntry, err error) {
			if err != nil {
				entry = cacheEntry{err: fmt.Errorf("open %s: %w", storage.Describe(src), err)}
			}
			c.images.put(key, entry)
		})
		if err != nil {
			return nil, err
		}
	}
}

// fetch finds out what an image shows that is known by this name, if known is not
// nil, but was not read as claim.
func (c *Cache) fetch(ctx context.Context, src *libvirtxml.DomainDiskSource, key cacheKey, known *Info, claim probe.Format) cacheEntry {
	if entry, _ := c.images.get(key); entry.err != nil || entry.info != known {
		return entry // another flight has just ended
	}
	// Before the opening: what changes from then on is another image.
	stamp, stamped := c.stamp(ctx, src)
	if !stamped {
		return c.open(ctx, src, known, claim, stamp)
	}
	byFile := key.inFile(stamp.file)
	if known == nil {
		other, _ := c.images.get(byFile)
		if known = other.info; known != nil && known.changed != stamp.changed {
			known = nil
		}
		if _, ok := known.as(claim); ok {
			return cacheEntry{info: known}
		}
	}
	done, _, _ := c.flights.Do(byFile.String(), func() (any, error) {
		entry := c.open(ctx, src, known, claim, stamp)
		if entry.err == nil && entry.info.ID.File == stamp.file && !entry.info.failed() {
			c.images.put(byFile, entry)
		}
		return entry, nil
	})
	return done.(cacheEntry)
}

// open opens an image. What an earlier opening of the same image showed is kept.
func (c *Cache) open(ctx context.Context, src *libvirtxml.DomainDiskSource, known *Info, claim probe.Format, stamp stamp) cacheEntry {
	head, _ := c.heads.Get().(*[headSize]byte)
	if head == nil {
		head = new([headSize]byte)
	}
	defer c.heads.Put(head)
	info, err := openImage(ctx, c.opener, src, claim, head[:])
	if err != nil {
		return cacheEntry{err: err}
	}
	if stamp.file == info.ID.File {
		info.changed = stamp.changed
	}
	info.addHeaders(known)
	return cacheEntry{info: info}
}
