package storage

import (
	"context"
	"math"

	"libvirt.org/go/libvirtxml"
)

// Extent is where an image's bytes are: in a file or block device, or in a
// part of it. Two images share bytes if their extents overlap, whatever their
// names.
type Extent struct {
	File FileID
	// Start is the first byte. Length is the number of bytes; [ToTheEnd] means up
	// to the end of the file.
	Start, Length uint64
}

// ToTheEnd is the length of an [Extent] that ends at the end of its file.
const ToTheEnd = math.MaxUint64

// Overlaps reports whether e and other share a byte.
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

// within returns e, which is relative to the start of outer, as a part of
// outer's file.
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

// Mapper is an [Opener] that knows which block devices map to bytes of another
// file or device, as a loop device does to its file. An Opener that wraps
// another should pass it on.
type Mapper interface {
	// Map returns the extent that a block device maps to, which may be on a
	// mapped device too; ok is false if the device maps to itself, or if that is
	// unknown.
	Map(ctx context.Context, device FileID) (e Extent, ok bool)
}

// maxMapped bounds how many mapped devices may be stacked, in case of a loop.
// (A partition of a loop device on a partition is three.)
const maxMapped = 8

// ExtentOf returns the extent of the image src in its known file or device.
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
