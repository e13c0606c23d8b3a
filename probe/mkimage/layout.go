// Package mkimage makes small, real disk images, for the demo and for tests:
// qcow2, qcow, qed, vmdk, vdi, vpc, vhdx and parallels, with references to
// other files, and the header of luks.
//
// Each format has a struct. Zero fields mean QEMU's defaults, and Bytes and
// WriteTo return the image:
//
//	image, err := mkimage.Qcow2{VirtualSize: 1 << 30, Backing: "base.img", BackingFormat: "raw"}.Bytes()
//
// "qemu-img check" finds no errors in the images, and a guest reads the given
// data from them. They are built in memory, so the data should be small; the
// virtual size may be as large as the format allows. Names of other files are
// written unchanged, and neither opened nor checked.
package mkimage

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// maxImage bounds the size of an image in memory.
const maxImage = 1 << 30

// layout is an image under construction, in clusters.
type layout struct {
	format  string
	cluster uint64 // bytes
	size    uint64 // allocated bytes, a multiple of cluster
	b       []byte
}

func newLayout(format string, clusterBits, least, most uint) (*layout, error) {
	if clusterBits < least || clusterBits > most {
		return nil, fmt.Errorf("%s: cluster bits %d are not %d to %d", format, clusterBits, least, most)
	}
	return &layout{format: format, cluster: 1 << clusterBits}, nil
}

// take reserves n bytes in whole clusters and returns their offset.
func (l *layout) take(n uint64) uint64 {
	at := l.size
	l.size += ceil(n, l.cluster) * l.cluster
	return at
}

// alloc allocates the reserved bytes, all zeros.
func (l *layout) alloc() error {
	if l.size > maxImage {
		return fmt.Errorf("%s: the image would take %d bytes, more than %d", l.format, l.size, maxImage)
	}
	l.b = make([]byte, l.size)
	return nil
}

func (l *layout) put(at uint64, b []byte)              { copy(l.b[at:], b) }
func (l *layout) be64(at, v uint64)                    { binary.BigEndian.PutUint64(l.b[at:], v) }
func (l *layout) le64(at, v uint64)                    { binary.LittleEndian.PutUint64(l.b[at:], v) }
func (l *layout) errorf(format string, a ...any) error { return fmt.Errorf(l.format+": "+format, a...) }

// guest is the guest's disk of size bytes, which begins with data.
type guest struct {
	size uint64
	data []byte
}

// check compares the guest's disk with the capacity of the format's tables.
func (g guest) check(l *layout, capacity uint64) error {
	if uint64(len(g.data)) > g.size {
		return l.errorf("%d bytes of data do not fit in %d", len(g.data), g.size)
	}
	if g.size > capacity {
		return l.errorf("virtual size %d is more than %d", g.size, capacity)
	}
	return nil
}

// clusters returns the number of clusters of the data.
func (g guest) clusters(l *layout) uint64 { return ceil(uint64(len(g.data)), l.cluster) }

func ceil(n, unit uint64) uint64 {
	if n == 0 {
		return 0
	}
	return (n-1)/unit + 1
}

// product returns a*b, or the largest uint64 if that is too small.
func product(a, b uint64) uint64 {
	if b != 0 && a > math.MaxUint64/b {
		return math.MaxUint64
	}
	return a * b
}

func writeTo(w io.Writer, b []byte, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	n, err := w.Write(b)
	return int64(n), err
}
