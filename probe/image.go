package probe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

const (
	// headSize is the size of the first read: it nearly always contains the
	// header with its extensions and names.
	headSize = 4 << 10
	// maxRead bounds the bytes that are read of an image: qcow2's header area is
	// one cluster, of at most 2 MiB.
	maxRead = 2 << 20
	// maxName is the maximum length of a name: QEMU stores names in PATH_MAX
	// bytes, including the terminating NUL.
	maxName = 4095
	// maxLength is the maximum size in QEMU's block layer: the largest int64 that
	// is a multiple of 1 GiB (BDRV_MAX_LENGTH, QEMU 6.0). No request may go
	// beyond it, not even one past the end of the file.
	maxLength = math.MaxInt64 &^ (1<<30 - 1)
	// maxRequest is the most bytes that QEMU's block layer reads at once
	// (BDRV_REQUEST_MAX_BYTES).
	maxRequest = math.MaxInt32 &^ (sectorSize - 1)
	// sectorSize is the unit in which QEMU counts the guest's bytes.
	sectorSize = 512
)

// image is an image while it is read as one format.
type image struct {
	r      io.ReaderAt
	size   uint64
	format Format
	head   []byte // the first bytes of the image; results of readers must not share this memory
	spent  uint64 // bytes read so far, at most maxRead
}

// newImage reads the first bytes of an image into head, a buffer of headSize
// bytes.
func newImage(r io.ReaderAt, size int64, f Format, head []byte) (*image, error) {
	m := &image{r: r, size: uint64(max(size, 0)), format: f, head: head[:0]}
	return m, m.grow(min(m.size, headSize))
}

// prefix returns the first n bytes of the image. field is their last field,
// for the error.
func (m *image) prefix(n uint64, field string) ([]byte, error) {
	if n > m.size {
		return nil, m.fail(ErrTruncated, field, -1, "it ends at byte %d, the image at %d", n, m.size)
	}
	if n > maxRead {
		return nil, m.fail(ErrLimit, field, -1, "it ends at byte %d", n)
	}
	if n > uint64(len(m.head)) {
		// Doubling keeps the number of reads small for an image with thousands of
		// extensions.
		if err := m.grow(min(max(n, 2*uint64(len(m.head))), m.size, maxRead)); err != nil {
			return nil, err
		}
	}
	return m.head[:n], nil
}

// grow reads on until head has n bytes, which are within the image and at
// most maxRead.
func (m *image) grow(n uint64) error {
	have := uint64(len(m.head))
	head := m.head
	if n > uint64(cap(head)) {
		head = make([]byte, have, n)
		copy(head, m.head)
	}
	if err := m.readInto(head[have:n], have, "header"); err != nil {
		return err
	}
	m.head = head[:n]
	return nil
}

// at returns n bytes at off, anywhere in the image. field names them for the
// error.
func (m *image) at(off, n uint64, field string) ([]byte, error) {
	if off > m.size || n > m.size-off {
		return nil, m.fail(ErrTruncated, field, -1, "%d bytes at %d, the image ends at %d", n, off, m.size)
	}
	if off+n <= uint64(len(m.head)) {
		return m.head[off : off+n], nil
	}
	return m.read(off, n, field)
}

// padded is at with zeros after the end of the image, as in QEMU's block
// layer. The caller bounds n by a constant.
func (m *image) padded(off, n uint64, field string) ([]byte, error) {
	off = min(off, m.size)
	have := min(n, m.size-off)
	b, err := m.at(off, have, field)
	if err != nil || have == n {
		return b, err
	}
	return append(b[:have:have], make([]byte, n-have)...), nil
}

// read reads n bytes at off, which are within the image.
func (m *image) read(off, n uint64, field string) ([]byte, error) {
	if err := m.affords(off, n, field); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	return b, m.readInto(b, off, field)
}

// readInto fills b from off on, which is within the image.
func (m *image) readInto(b []byte, off uint64, field string) error {
	n := uint64(len(b))
	if err := m.affords(off, n, field); err != nil {
		return err
	}
	m.spent += n
	return readAt(m.r, b, int64(off))
}

// affords refuses a read if the total would exceed maxRead.
func (m *image) affords(off, n uint64, field string) error {
	if n > maxRead-m.spent {
		return m.fail(ErrLimit, field, -1, "%d bytes at %d, after %d have been read, are more than %d in all", n, off, m.spent, maxRead)
	}
	return nil
}

// name reads a name of n bytes at off and cuts it at the first NUL.
func (m *image) name(field string, off, n uint64) (*Reference, error) {
	if n > maxName {
		return nil, m.fail(ErrLimit, field, -1, "%d bytes are more than %d", n, maxName)
	}
	b, err := m.at(off, n, field)
	if err != nil {
		return nil, err
	}
	ref := &Reference{Offset: int64(off)}
	ref.Name, ref.CutAtNUL = cString(b)
	return ref, nil
}

// cString returns a copy of b up to its first NUL, and whether anything but
// NULs follows.
func cString(b []byte) (s string, cut bool) {
	name, rest, _ := bytes.Cut(b, []byte{0})
	return string(name), len(bytes.Trim(rest, "\x00")) > 0
}

func (m *image) fail(err error, field string, at int64, format string, args ...any) error {
	return &Error{Format: m.format, Field: field, Offset: at, Detail: fmt.Sprintf(format, args...), Err: err}
}

func (m *image) corrupt(field string, at int64, format string, args ...any) error {
	return m.fail(ErrCorrupt, field, at, format, args...)
}

func (m *image) unsupported(field string, at int64, format string, args ...any) error {
	return m.fail(ErrUnsupported, field, at, format, args...)
}

// tolerated marks an error of fail.
func tolerated(err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Tolerated = true
	}
	return err
}

// magic compares the start of the image with want.
func (m *image) magic(want string) error {
	if !m.begins(want) {
		return m.fail(ErrSignature, "magic", 0, "the image does not begin with %q", want)
	}
	return nil
}

// begins tells whether the image begins with these few bytes.
func (m *image) begins(with string) bool {
	return strings.HasPrefix(string(m.head[:min(len(with), len(m.head))]), with)
}

// sectors rounds a size down to whole sectors, as QEMU's qcow and qcow2
// drivers do with the guest's disk.
func sectors(size uint64) uint64 { return size &^ (sectorSize - 1) }

// wholeSectors rounds a size up, as QEMU does with the length of a file.
func wholeSectors(size uint64) uint64 { return sectors(size + sectorSize - 1) }

// readAt fills p from r at off.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		// The image is now shorter than the given size.
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading %d bytes at %d: %w", len(p), off, err)
}
