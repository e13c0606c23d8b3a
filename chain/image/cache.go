// Package image examines images: their headers, their signatures, and the
// formats that QEMU and libvirt would probe.
//
//	images := image.NewCache(storage.FileOpener{})
//	view, err := images.Look(ctx, source, "") // nobody claims a format
//	if err == nil {
//		fmt.Println(view.Candidate(), view.Header)
//	}
//
// A [Cache] opens each image once and keeps the result, for any number of
// concurrent walks and predictions. A [View] is the result for one image.
// Packages chain and predict use the rest of this package.
//
// What an image says about itself is only a claim. Package chain decides which
// claims to accept.
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

// maxCached bounds the memory of a [Cache], roughly, in bytes. An image takes
// one to two KiB, unless it names thousands of extents.
const maxCached = 256 << 20

// Cache opens images and keeps what was read, including failures. It is safe
// for concurrent use. An image is opened once, whatever its name and however
// many goroutines ask for it, and once more for each stated format that its
// header contradicts. The time of the last change distinguishes a file from an
// earlier one with the same inode.
//
// A name is not read again, even if its file changes: make a new cache for
// each run.
type Cache struct {
	opener   storage.Opener
	requests *limit.Requests
	flights  singleflight.Group
	heads    sync.Pool

	images generations[cacheKey, cacheEntry]
	stamps generations[stampKey, stampEntry]
}

// maxFlights bounds the number of concurrent requests if nothing else does.
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

// SetLimit bounds the memory of the cache, roughly, in bytes, instead of 256
// MiB. It must be called before the cache is used.
func (c *Cache) SetLimit(bytes int) {
	c.stamps.limit = bytes / 8
	c.images.limit = bytes/2 - c.stamps.limit
}

// SetRequests limits the requests for images. An image that does not answer in
// time fails with a [*limit.UnansweredError] and is not requested again.
// SetRequests must be called before the cache is used; without it, or with
// nil, requests have no time limit.
func (c *Cache) SetRequests(r *limit.Requests) {
	if r != nil {
		c.requests = r
	}
}

// Requests returns the limits set by SetRequests.
func (c *Cache) Requests() *limit.Requests { return c.requests }

// cacheKey is the key of a cached image: its name or, if it may have other
// names, the file that contains it. For an image on the network the key
// includes how it is reached (cookies, for example), which may select another
// image.
type cacheKey struct {
	name, how string
	slice     storage.Slice
	part      bool // the image is only slice; a slice of 0 bytes is not the whole file
}

// inFile returns the key of the same image by its file. It cannot collide with
// a name.
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

// Look opens a source and reads it as claim. With claim "" it uses the format
// of the image's signature; if that is not exactly one format, the View has no
// header. If ctx ends, other callers that wait for the same image still get
// it.
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

// fetch reads an image that was not read as claim before. known is its cached
// Info, or nil.
func (c *Cache) fetch(ctx context.Context, src *libvirtxml.DomainDiskSource, key cacheKey, known *Info, claim probe.Format) cacheEntry {
	if entry, _ := c.images.get(key); entry.err != nil || entry.info != known {
		return entry // another request has just ended
	}
	// Before opening: an image that changes from now on counts as another.
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

// open opens an image. It keeps what an earlier opening of the same image
// found.
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
