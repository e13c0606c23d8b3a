package probe_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// v1image is a qcow image of 1 MiB in clusters of 4 KiB.
func v1image(edits ...edit) []byte {
	return apply(must(mkimage.Qcow{VirtualSize: 1 << 20}.Bytes()), edits...)
}

// v1name puts a backing name into a qcow or qcow2 image.
func v1name(off int, name string) edit {
	return func(b []byte) []byte {
		return apply(b, be64(8, uint64(off)), be32(16, uint32(len(name))), put(off, name))
	}
}

func v1(change func(h *probe.Header)) *probe.Header {
	h := &probe.Header{Format: probe.Qcow, Version: 1, VirtualSize: 1 << 20, ClusterSize: 4096}
	if change != nil {
		change(h)
	}
	return h
}

var qcowCases = []readCase{
	{name: "plain", image: v1image(), want: v1(nil)},
	{name: "header only", image: v1image(end(48)), want: v1(nil)},
	{name: "truncated header", image: v1image(end(47)), err: probe.ErrTruncated, field: "header", differs: "truncated"},
	{name: "magic", image: v1image(byteAt(3, 0xfa)), err: probe.ErrSignature, field: "magic"},
	{name: "version 2", image: v1image(be32(4, 2)), err: probe.ErrUnsupported, field: "version"},
	{name: "version 0", image: v1image(be32(4, 0)), err: probe.ErrUnsupported, field: "version"},

	{name: "size 0", image: v1image(be64(24, 0)), err: probe.ErrCorrupt, field: "size"},
	{name: "size 1", image: v1image(be64(24, 1)), err: probe.ErrCorrupt, field: "size"},
	{name: "size 2", image: v1image(be64(24, 2)), want: v1(func(h *probe.Header) { h.VirtualSize = 0 })},
	{name: "size 1000", image: v1image(be64(24, 1000)), want: v1(func(h *probe.Header) { h.VirtualSize = 512 })},
	{name: "size 2^64-1", image: v1image(be64(24, 1<<64-1)), err: probe.ErrCorrupt, field: "size"},
	{name: "size 2^63", image: v1image(be64(24, 1<<63), byteAt(32, 16), byteAt(33, 13)), err: probe.ErrCorrupt, field: "size"},
	{name: "L1 table over 2 GiB", image: v1image(be64(24, 1<<57-1<<29), byteAt(32, 16), byteAt(33, 13)), err: probe.ErrCorrupt, field: "size"},
	{name: "2^36 bytes in the smallest clusters", image: v1image(be64(24, 1<<36), byteAt(32, 9), byteAt(33, 6)),
		want: v1(func(h *probe.Header) { h.VirtualSize, h.ClusterSize = 1<<36, 512 })},

	{name: "cluster_bits 0", image: v1image(byteAt(32, 0)), err: probe.ErrCorrupt, field: "cluster_bits"},
	{name: "cluster_bits 8", image: v1image(byteAt(32, 8)), err: probe.ErrCorrupt, field: "cluster_bits"},
	{name: "cluster_bits 9", image: v1image(byteAt(32, 9)), want: v1(func(h *probe.Header) { h.ClusterSize = 512 })},
	{name: "cluster_bits 16", image: v1image(byteAt(32, 16)), want: v1(func(h *probe.Header) { h.ClusterSize = 65536 })},
	{name: "cluster_bits 17", image: v1image(byteAt(32, 17)), err: probe.ErrCorrupt, field: "cluster_bits"},
	{name: "cluster_bits 63", image: v1image(byteAt(32, 63)), err: probe.ErrCorrupt, field: "cluster_bits"},
	{name: "cluster_bits 255", image: v1image(byteAt(32, 255)), err: probe.ErrCorrupt, field: "cluster_bits"},
	{name: "l2_bits 5", image: v1image(byteAt(33, 5)), err: probe.ErrCorrupt, field: "l2_bits"},
	{name: "l2_bits 6", image: v1image(byteAt(33, 6)), want: v1(nil)},
	{name: "l2_bits 13", image: v1image(byteAt(33, 13)), want: v1(nil)},
	{name: "l2_bits 14", image: v1image(byteAt(33, 14)), err: probe.ErrCorrupt, field: "l2_bits"},
	{name: "padding is not looked at", image: v1image(put(34, "xx")), want: v1(nil)},

	{name: "crypt 1", image: v1image(be32(36, 1)), want: v1(func(h *probe.Header) { h.Encryption = probe.AES })},
	{name: "crypt 2", image: v1image(be32(36, 2)), err: probe.ErrUnsupported, field: "crypt_method"},

	{name: "L1 table behind the end", image: v1image(be64(40, 1<<62)), want: v1(nil)},
	{name: "L1 table offset 2^63", image: v1image(be64(40, 1<<63)), err: probe.ErrCorrupt, field: "l1_table_offset"},
	{name: "L1 table at the last byte", image: v1image(be64(40, 1<<63-1<<30-8)), want: v1(nil)},
	{name: "L1 table over the last byte", image: v1image(be64(40, 1<<63-1<<30-7)), err: probe.ErrCorrupt, field: "l1_table_offset"},

	{name: "backing", image: v1image(v1name(48, "/base")),
		want: v1(func(h *probe.Header) { h.Backing = &probe.Reference{Name: "/base", Offset: 48} })},
	{name: "backing outside the first cluster", image: v1image(v1name(100000, "/base")),
		want: v1(func(h *probe.Header) { h.Backing = &probe.Reference{Name: "/base", Offset: 100000} })},
	{name: "backing name at the image's end", image: v1image(v1name(100000, "/base"), end(100005)),
		want: v1(func(h *probe.Header) { h.Backing = &probe.Reference{Name: "/base", Offset: 100000} })},
	{name: "backing name over the image's end", image: v1image(v1name(100000, "/base"), end(100004)),
		err: probe.ErrTruncated, field: "backing file name", differs: "truncated"},
	{name: "backing name with a NUL", image: v1image(v1name(48, "/b\x00se")),
		want: v1(func(h *probe.Header) { h.Backing = &probe.Reference{Name: "/b", Offset: 48, CutAtNUL: true} })},
	{name: "backing name padded with NULs", image: v1image(v1name(48, "/b\x00\x00\x00")),
		want: v1(func(h *probe.Header) { h.Backing = &probe.Reference{Name: "/b", Offset: 48} })},
	{name: "backing name of NULs", image: v1image(v1name(48, "\x00\x00")), differs: "backing name of nothing",
		want: v1(func(h *probe.Header) { h.Backing = &probe.Reference{Name: "", Offset: 48} })},
	{name: "backing name behind a NUL", image: v1image(v1name(48, "\x00/b")), differs: "backing name of nothing",
		want: v1(func(h *probe.Header) { h.Backing = &probe.Reference{Name: "", Offset: 48, CutAtNUL: true} })},
	{name: "backing name of 1023 bytes", image: v1image(v1name(48, strings.Repeat("a", 1023))),
		want: v1(func(h *probe.Header) { h.Backing = &probe.Reference{Name: strings.Repeat("a", 1023), Offset: 48} })},
	{name: "backing name of 1024 bytes", image: v1image(v1name(48, strings.Repeat("a", 1024))), err: probe.ErrCorrupt, field: "backing_file_size"},
	{name: "backing name of 2^32-1 bytes", image: v1image(be64(8, 48), be32(16, 1<<32-1)), err: probe.ErrCorrupt, field: "backing_file_size"},
	{name: "no backing: length 0", image: v1image(be64(8, 48)), want: v1(nil)},
	{name: "no backing: offset 0", image: v1image(be32(16, 5)), want: v1(nil)},
	{name: "backing name in the header", image: v1image(be64(8, 47), be32(16, 5)),
		err: probe.ErrCorrupt, field: "backing_file_offset", differs: "backing name in the header"},
	{name: "backing offset 2^63", image: v1image(be64(8, 1<<63), be32(16, 5)), err: probe.ErrCorrupt, field: "backing_file_offset"},
	{name: "backing offset 2^64-1", image: v1image(be64(8, 1<<64-1), be32(16, 5)), err: probe.ErrCorrupt, field: "backing_file_offset"},
	{name: "backing offset 2^63, length 0", image: v1image(be64(8, 1<<63)), err: probe.ErrCorrupt, field: "backing_file_offset"},
}

// TestQcowLargestL1Table: qemu-img would take minutes for the one that is
// just small enough.
func TestQcowLargestL1Table(t *testing.T) {
	const perEntry = 1 << (16 + 13)
	largest := uint64((1<<31-512)/8) * perEntry
	for size, want := range map[uint64]error{largest: nil, largest + 1: probe.ErrCorrupt} {
		image := v1image(be64(24, size), byteAt(32, 16), byteAt(33, 13))
		if _, err := read(t, bytes.NewReader(image), int64(len(image)), probe.Qcow); !errors.Is(err, want) {
			t.Errorf("size %d: %v, want %v", size, err, want)
		}
	}
}
