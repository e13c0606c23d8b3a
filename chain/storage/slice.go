package storage

import (
	"io"
	"math"
	"strconv"

	"libvirt.org/go/libvirtxml"
)

// Slice is the part of a file or device that is the image, in bytes.
type Slice struct{ Offset, Size uint64 }

// String returns a suffix for the name of the file in messages, such as " (512
// bytes at 1024)"; "" for the zero Slice, which is the whole file.
func (s Slice) String() string {
	if s == (Slice{}) {
		return ""
	}
	return " (" + strconv.FormatUint(s.Size, 10) + " bytes at " + strconv.FormatUint(s.Offset, 10) + ")"
}

// SliceOf returns the slice that libvirt passes to QEMU: the first of type
// "storage" (virDomainStorageSourceParseSlices, libvirt 9.0). ok is false for
// the whole file.
func SliceOf(src *libvirtxml.DomainDiskSource) (s Slice, ok bool) {
	if src.Slices == nil {
		return Slice{}, false
	}
	for _, one := range src.Slices.Slices {
		if one.Type == "storage" {
			return Slice{uint64(one.Offset), uint64(one.Size)}, true
		}
	}
	return Slice{}, false
}

// SliceError is the error of [Slice.Cut] for a slice that does not lie within its
// file or device. QEMU refuses such a slice (raw driver, QEMU 7.2).
type SliceError struct {
	Slice
	size int64 // of the whole
}

// Error gives the slice and the length of the file.
func (e *SliceError) Error() string {
	return "the slice of " + strconv.FormatUint(e.Slice.Size, 10) + " bytes at " + strconv.FormatUint(e.Offset, 10) +
		" does not fit into the " + strconv.FormatInt(e.size, 10) + " bytes of the file"
}

// Cut returns the slice of an open image. Closing it closes whole. The error
// is a [*SliceError], also for a slice of 0 bytes.
func (s Slice) Cut(whole Image) (Image, error) {
	size := whole.Size()
	if size < 0 || s.Size == 0 || s.Size > math.MaxInt64 || s.Offset > uint64(size) || s.Size > uint64(size)-s.Offset {
		return nil, &SliceError{s, size}
	}
	return &slicedImage{Image: whole, Slice: s}, nil
}

// slicedImage is a slice of an open image.
type slicedImage struct {
	Image
	Slice
}

func (i *slicedImage) Size() int64 { return int64(i.Slice.Size) }

// ReadAt implements [io.ReaderAt].
func (i *slicedImage) ReadAt(p []byte, off int64) (int, error) {
	return io.NewSectionReader(i.Image, int64(i.Offset), int64(i.Slice.Size)).ReadAt(p, off)
}
