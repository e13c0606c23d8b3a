package probe_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/probe"
)

// pieces is an image of zeros with bytes at some offsets.
type pieces []struct {
	off int64
	b   []byte
}

func (p pieces) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	for _, piece := range p {
		at := piece.off - off
		switch {
		case at >= int64(len(b)) || -at >= int64(len(piece.b)):
		case at >= 0:
			copy(b[at:], piece.b)
		default:
			copy(b, piece.b[-at:])
		}
	}
	return len(b), nil
}

// FuzzReadVHDX puts an image together from the parts that Read looks at. Most
// checksums are made right, or hardly anything would be reached.
func FuzzReadVHDX(f *testing.F) {
	const most = 2048
	for _, c := range vhdxCases {
		// What stands at off, without the zeros after it.
		cut := func(off, n int) []byte {
			if off >= len(c.image) {
				return nil
			}
			return bytes.TrimRight(c.image[off:min(off+n, len(c.image))], "\x00")
		}
		f.Add(cut(vhdxHeader1, 128), cut(vhdxHeader2, 128), cut(vhdxRegions, most), cut(vhdxMetadata, most), cut(vhdxItems, most), cut(vhdxBAT, most), uint32(len(c.image)), true)
	}
	f.Fuzz(func(t *testing.T, header1, header2, regions, metadata, items, bat []byte, size uint32, sum bool) {
		part := func(b []byte, n int) []byte {
			b = apply(bytes.Clone(b), end(n))
			if sum {
				vhdxSum(b, 0, n)
			}
			return b
		}
		image := pieces{
			{0, []byte("vhdxfile")},
			{vhdxHeader1, part(header1, 4096)},
			{vhdxHeader2, part(header2, 4096)},
			{vhdxRegions, part(regions, 64<<10)},
			{vhdxMetadata, metadata},
			{vhdxItems, items},
			{vhdxBAT, bat},
		}
		h, err := read(t, image, int64(size), probe.VHDX)
		if err != nil {
			return
		}
		longer, err := probe.Read(image, int64(size)+1<<32, probe.VHDX)
		if diff := cmp.Diff(h, longer); diff != "" || err != nil {
			t.Errorf("with zeros behind it: %s\n%v", diff, err)
		}
	})
}
