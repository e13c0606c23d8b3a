package chain

import (
	"context"
	"slices"

	"libvirt.org/go/libvirtxml"
)

// These bound the sights that a Walker has at hand, so that its memory does not
// grow with the number of documents: each takes about a KiB, unless it has the
// names of thousands of extents. With [Walker.Foresight] those of one chain, of
// [MaxLayers] at most, are enough: all but the failures are packed.
const (
	maxSeen     = 1024
	maxUnpacked = 256
	maxFailed   = 1024
	maxHeld     = 16 << 20 // bytes that all take, roughly
)

// sightKey is how a source is remembered. How one on the network is to be
// reached, its cookies for one, may decide what is there.
type sightKey struct {
	name  string
	part  bool // slice is the image; a part of 0 bytes is not the whole
	slice slice
	how   string
}

// weight is what a key takes, in bytes, roughly.
func (k sightKey) weight() int { return 64 + len(k.name) + len(k.how) }

type seen struct {
	sight *sight
	err   error
}

func (s seen) failed() bool { return s.err != nil || s.sight.failed() }

// failed reports that something of the image could not be read, which may be
// better the next time.
func (s *sight) failed() bool {
	return s.signaturesErr != nil || slices.ContainsFunc(s.readings, func(r reading) bool { return r.err != nil && !isProbeError(r.err) })
}

// weight is what the memory of an image takes, in bytes, roughly.
func (s seen) weight() int {
	if s.sight == nil {
		return 1 << 10
	}
	return s.sight.weight()
}

func (s *sight) weight() int {
	weight := 1 << 10
	for _, r := range s.readings {
		if r.header == nil {
			continue
		}
		for _, extent := range r.header.Extents {
			weight += 64 + len(extent.Name)
		}
	}
	return weight
}

// dated is what a [Dater] tells of an image.
type dated struct {
	file    FileID
	changed int64
}

// date tells what src names now, and from when that is if the Opener knows; nil
// if that is of no use, or cannot be told: opening it says why.
func (w *Walker) date(ctx context.Context, src *libvirtxml.DomainDiskSource) *dated {
	if !w.Foresight {
		return nil
	}
	var d dated
	var err error
	if dater, ok := w.Opener.(Dater); ok {
		d.file, d.changed, err = dater.Date(ctx, src)
	} else {
		d.file, err = w.Opener.Identify(ctx, src)
	}
	if err != nil {
		return nil
	}
	return &d
}

// recall returns what an image showed when it was opened by this name or
// another; nil if it was not, or has changed since.
func (w *Walker) recall(key sightKey, now *dated) *sight {
	if now == nil {
		return nil
	}
	s := w.packed.get(key.packed(now.file))
	if s == nil || s.changed != now.changed {
		return nil
	}
	return s
}

// remembered returns what was seen of an image, or why not.
func (w *Walker) remembered(key sightKey) (what seen, ok bool) {
	if what, ok = w.failed[key]; !ok {
		what, ok = w.seen[key]
	}
	return what, ok
}

func (w *Walker) remember(key sightKey, what seen) {
	into, other, limit := &w.seen, w.failed, maxSeen
	switch {
	case what.failed():
		// A server that does not answer is waited for: this is not forgotten
		// for what is soon read again.
		into, other, limit = &w.failed, w.seen, maxFailed
	case w.Foresight:
		limit = maxUnpacked
	}
	if what.sight != nil && (*into)[key].sight == what.sight {
		return
	}
	w.forget(other, key)
	w.forget(*into, key)
	if *into == nil {
		*into = make(map[sightKey]seen)
	}
	if len(*into) >= limit {
		for key := range *into {
			w.forget(*into, key)
		}
	}
	weight := key.weight() + what.weight()
	if w.held += weight; w.held > maxHeld {
		clear(w.seen)
		clear(w.failed)
		w.held = weight
	}
	(*into)[key] = what
}

// forget takes a sight out of one of the two maps.
func (w *Walker) forget(from map[sightKey]seen, key sightKey) {
	if before, ok := from[key]; ok {
		w.held -= key.weight() + before.weight()
		delete(from, key)
	}
}
