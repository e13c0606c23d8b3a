package chain

import (
	"errors"
	"io"
	"math"
	"strconv"

	"libvirt.org/go/libvirtxml"
)

// at returns the source that leads to the image: that of a volume is what its
// pool says.
func (l Layer) at() *libvirtxml.DomainDiskSource {
	if l.Located != nil {
		return l.Located
	}
	return l.Source
}

// local returns the path of an image that is a local file or block device.
func (l Layer) local() (path string, ok bool) { return LocalPath(l.at()) }

// locate finds out where a volume is. A volume that cannot be found is an
// image that is not read.
func (w *Walker) locate(layer Layer) (Layer, error) {
	if layer.Source == nil || layer.Source.Volume == nil || layer.Located != nil {
		return layer, nil
	}
	if w.Volumes == nil {
		return layer, errNoPools
	}
	at, err := w.Volumes.Locate(layer.Source)
	if err != nil {
		return layer, err
	}
	located := *at
	located.Slices, located.Encryption = layer.Source.Slices, layer.Source.Encryption
	layer.Located = &located
	return layer, nil
}

var errNoPools = errors.New("no storage pool is known")

// slice is the part of a file or device that is the image.
type slice struct{ offset, size uint64 }

// String returns what is added to the name of the whole; "" for that itself.
func (s slice) String() string {
	if s == (slice{}) {
		return ""
	}
	return " (" + strconv.FormatUint(s.size, 10) + " bytes at " + strconv.FormatUint(s.offset, 10) + ")"
}

// sliceOf returns the slice that libvirt gives to QEMU: the first of type
// "storage" (virDomainStorageSourceParseSlices, 9.0). ok is false for the
// whole.
func sliceOf(src *libvirtxml.DomainDiskSource) (s slice, ok bool) {
	if src.Slices == nil {
		return slice{}, false
	}
	for _, one := range src.Slices.Slices {
		if one.Type == "storage" {
			return slice{uint64(one.Offset), uint64(one.Size)}, true
		}
	}
	return slice{}, false
}

// sliceError: a slice does not lie within its file or device. QEMU refuses
// such a slice (raw driver, 7.2).
type sliceError struct {
	slice
	size int64 // of the whole
}

func (e *sliceError) Error() string {
	return "the slice of " + strconv.FormatUint(e.slice.size, 10) + " bytes at " + strconv.FormatUint(e.offset, 10) +
		" does not lie within the " + strconv.FormatInt(e.size, 10) + " bytes that are there"
}

// cut returns the slice of an open image.
func (s slice) cut(whole Image) (Image, error) {
	size := whole.Size()
	if size < 0 || s.size == 0 || s.size > math.MaxInt64 || s.offset > uint64(size) || s.size > uint64(size)-s.offset {
		return nil, &sliceError{s, size}
	}
	return &slicedImage{Image: whole, slice: s}, nil
}

// slicedImage is a slice of an open image.
type slicedImage struct {
	Image
	slice
}

func (i *slicedImage) Size() int64 { return int64(i.slice.size) }

// ReadAt implements [io.ReaderAt].
func (i *slicedImage) ReadAt(p []byte, off int64) (int, error) {
	return io.NewSectionReader(i.Image, int64(i.offset), int64(i.slice.size)).ReadAt(p, off)
}
