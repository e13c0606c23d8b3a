package storage

import (
	"context"
	"math"

	"libvirt.org/go/libvirtxml"
)

// Extent is the place of an image's bytes: a part of a file or block device, or
// the whole of it. Two images share bytes if their extents overlap, by whatever
// names they go.
type Extent struct {
	File FileID
	// Start is the first byte. Length is the number of bytes; [ToTheEnd]
	// means all that there are from Start on.
	Start, Length uint64
}

// ToTheEnd is the length of an [Extent] that ends where its file ends.
const ToTheEnd = math.MaxUint64

// Overlaps reports whether a byte of one is a byte of the other.
func (e Extent) Overlaps(other Extent) bool {
	return e.File == other.File && max(e.Start, other.Start) < min(e.end(), other.end())
}

// end is the first byte after the extent.
func (e Extent) end() uint64 {
	if e.Length > math.MaxUint64-e.Start {
		return math.MaxUint64
	}
	return e.Start + e.Length
}

// within returns the part of outer that e is, e being counted from the start of
// outer.
func (e Extent) within(outer Extent) Extent {
	if e.Start > math.MaxUint64-outer.Start {
		return Extent{File: outer.File, Start: math.MaxUint64}
	}
	inner := Extent{File: outer.File, Start: outer.Start + e.Start, Length: e.Length}
	if outer.Length != ToTheEnd {
		left := outer.Length - min(outer.Length, e.Start)
		inner.Length = min(inner.Length, left)
	}
	return inner
}

// Mapper is an [Opener] that knows which block devices only stand for bytes of
// something else: a loop device for those of its file. An Opener that wraps
// another should pass it on.
type Mapper interface {
	// Map returns the extent that a block device stands for, of whatever
	// that is a part of in turn; ok is false where it stands for itself, or
	// where that cannot be told.
	Map(ctx context.Context, device FileID) (e Extent, ok bool)
}

// maxMapped is how often one device may stand for another before that is taken
// for a circle. (A partition of a loop device over a partition is three.)
const maxMapped = 8

// ExtentOf returns the extent of an image that src names and whose file or
// device is known.
func ExtentOf(ctx context.Context, opener Opener, src *libvirtxml.DomainDiskSource, id FileID) Extent {
	e := Extent{File: id, Length: ToTheEnd}
	if part, ok := SliceOf(src); ok {
		e.Start, e.Length = part.Offset, part.Size
	}
	mapper, ok := opener.(Mapper)
	for range maxMapped {
		if !ok || !e.File.Block {
			break
		}
		outer, mapped := mapper.Map(ctx, e.File)
		if !mapped {
			break
		}
		e = e.within(outer)
	}
	return e
}
