package probe_test

import (
	"strings"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// qed is a qed image of 1 MiB in clusters of 64 KiB: one of header, four of
// L1 table.
func qed(edits ...edit) []byte {
	return apply(must(mkimage.QED{VirtualSize: 1 << 20}.Bytes()), edits...)
}

func qedName(features, off int, name string) edit {
	return func(b []byte) []byte {
		return apply(b, le64(16, uint64(features)), le32(56, uint32(off)), le32(60, uint32(len(name))), put(off, name))
	}
}

func qedHeader(change func(h *probe.Header)) *probe.Header {
	h := &probe.Header{Format: probe.QED, VirtualSize: 1 << 20, ClusterSize: 65536}
	if change != nil {
		change(h)
	}
	return h
}

func qedBacking(name string, off int64) *probe.Header {
	return qedHeader(func(h *probe.Header) { h.Backing = &probe.Reference{Name: name, Offset: off} })
}

var qedCases = []readCase{
	{name: "plain", image: qed(), want: qedHeader(nil)},
	{name: "truncated header", image: qed(end(63)), err: probe.ErrTruncated, field: "header"},
	{name: "magic", image: qed(byteAt(3, 'x')), err: probe.ErrSignature, field: "magic"},

	{name: "cluster size 2 KiB", image: qed(le32(4, 1<<11)), err: probe.ErrCorrupt, field: "cluster_size"},
	{name: "cluster size 4 KiB", image: qed(le32(4, 1<<12), le64(40, 1<<12)), want: qedHeader(func(h *probe.Header) { h.ClusterSize = 4096 })},
	{name: "cluster size 5000", image: qed(le32(4, 5000)), err: probe.ErrCorrupt, field: "cluster_size"},
	{name: "cluster size 0", image: qed(le32(4, 0)), err: probe.ErrCorrupt, field: "cluster_size"},
	{name: "cluster size 128 MiB", image: qed(le32(4, 1<<27)), err: probe.ErrCorrupt, field: "cluster_size"},
	{name: "cluster size 2^31", image: qed(le32(4, 1<<31)), err: probe.ErrCorrupt, field: "cluster_size"},
	{name: "table size 0", image: qed(le32(8, 0)), err: probe.ErrCorrupt, field: "table_size"},
	{name: "table size 1, which QEMU never opens", image: qed(le32(8, 1)), err: probe.ErrCorrupt, field: "l1_table_offset"},
	{name: "table size 2", image: qed(le32(8, 2)), want: qedHeader(nil)},
	{name: "table size 3", image: qed(le32(8, 3)), err: probe.ErrCorrupt, field: "table_size"},
	{name: "table size 16", image: qed(le32(8, 16), end(17*65536)), want: qedHeader(nil)},
	{name: "table size 32", image: qed(le32(8, 32), end(33*65536)), err: probe.ErrCorrupt, field: "table_size"},

	{name: "size 0", image: qed(le64(48, 0)), want: qedHeader(func(h *probe.Header) { h.VirtualSize = 0 })},
	{name: "size 1000", image: qed(le64(48, 1000)), err: probe.ErrCorrupt, field: "image_size"},
	{name: "size that the tables map", image: qed(le64(48, 1<<46)), want: qedHeader(func(h *probe.Header) { h.VirtualSize = 1 << 46 })},
	{name: "size that they do not", image: qed(le64(48, 1<<46+512)), err: probe.ErrCorrupt, field: "image_size"},
	{name: "size 2^63", image: qed(le32(4, 1<<21), le32(8, 8), le64(40, 1<<21), le64(48, 1<<63), end(9<<21)), err: probe.ErrCorrupt, field: "image_size", differs: "qed of 2^63 bytes"},
	{name: "capacity wraps around to 0", image: qed(le32(4, 1<<26), le32(8, 2)), err: probe.ErrCorrupt, field: "image_size"},

	{name: "unknown feature", image: qed(le64(16, 8)), err: probe.ErrUnsupported, field: "features"},
	{name: "unknown feature, high", image: qed(le64(16, 1<<63)), err: probe.ErrUnsupported, field: "features"},
	{name: "unknown compatible feature", image: qed(le64(24, 1<<50)), want: qedHeader(nil)},
	{name: "unknown autoclear feature", image: qed(le64(32, 1<<50)), want: qedHeader(nil)},
	{name: "needs a check", image: qed(le64(16, 2)), want: qedHeader(func(h *probe.Header) { h.Dirty = true }), differs: "qed that needs a check"},

	{name: "L1 table at 0", image: qed(le64(40, 0)), err: probe.ErrCorrupt, field: "l1_table_offset"},
	{name: "L1 table at 0, header of 0 clusters", image: qed(le64(40, 0), le32(12, 0)), want: qedHeader(nil)},
	{name: "L1 table within a cluster", image: qed(le64(40, 65537)), err: probe.ErrCorrupt, field: "l1_table_offset"},
	{name: "L1 table in the header", image: qed(le32(12, 2)), err: probe.ErrCorrupt, field: "l1_table_offset"},
	{name: "L1 table over the end", image: qed(end(4 * 65536)), err: probe.ErrCorrupt, field: "l1_table_offset"},
	{name: "L1 table to the last, broken sector", image: qed(end(5*65536 - 1)), want: qedHeader(nil)},
	{name: "L1 table over the last whole cluster", image: qed(end(5*65536 - 512)), err: probe.ErrCorrupt, field: "l1_table_offset"},
	{name: "L1 table at 2^64-65536", image: qed(le64(40, 1<<64-65536)), err: probe.ErrCorrupt, field: "l1_table_offset"},
	{name: "header of 2^32-1 clusters", image: qed(le32(12, 1<<32-1)), err: probe.ErrCorrupt, field: "l1_table_offset"},

	{name: "backing", image: qed(qedName(1, 64, "/base")), want: qedBacking("/base", 64)},
	{name: "backing, not probed", image: qed(qedName(5, 64, "/base")), want: qedHeader(func(h *probe.Header) {
		h.Backing = &probe.Reference{Name: "/base", Offset: 64, FormatRecorded: true, Format: "raw"}
	})},
	{name: "no-probe without backing", image: qed(qedName(4, 64, "/base")), want: qedHeader(nil)},
	{name: "backing name without its feature", image: qed(qedName(0, 64, "/base")), want: qedHeader(nil)},
	{name: "backing name of 0 bytes", image: qed(qedName(5, 64, "")), want: qedHeader(nil)},
	{name: "backing name at the header's end", image: qed(qedName(1, 65536-6, "/base1")), want: qedBacking("/base1", 65536-6)},
	{name: "backing name over the header's end", image: qed(qedName(1, 65536-6, "/base12")), err: probe.ErrCorrupt, field: "backing_filename_offset"},
	{name: "backing name at 2^32-1", image: qed(qedName(1, 64, "/base"), le32(56, 1<<32-1)), err: probe.ErrCorrupt, field: "backing_filename_offset"},
	{name: "backing name of 2^32-1 bytes", image: qed(qedName(1, 64, "/base"), le32(60, 1<<32-1)), err: probe.ErrCorrupt, field: "backing_filename_offset"},
	{name: "backing name of 4095 bytes", image: qed(qedName(1, 64, strings.Repeat("a", 4095))), want: qedBacking(strings.Repeat("a", 4095), 64)},
	{name: "backing name of 4096 bytes", image: qed(qedName(1, 64, strings.Repeat("a", 4096))), err: probe.ErrCorrupt, field: "backing_filename_size"},
	{name: "backing name in the header", image: qed(le64(16, 1), le32(56, 63), le32(60, 5)),
		err: probe.ErrCorrupt, field: "backing_filename_offset", differs: "backing name in the header"},
	{name: "backing name at 0", image: qed(le64(16, 1), le32(56, 0), le32(60, 3)),
		err: probe.ErrCorrupt, field: "backing_filename_offset", differs: "backing name in the header"},
	{name: "backing name with a NUL", image: qed(qedName(1, 64, "/b\x00se")), want: qedHeader(func(h *probe.Header) {
		h.Backing = &probe.Reference{Name: "/b", Offset: 64, CutAtNUL: true}
	})},
	{name: "backing name behind a NUL", image: qed(qedName(5, 64, "\x00/b")), differs: "backing name of nothing", want: qedHeader(func(h *probe.Header) {
		h.Backing = &probe.Reference{Offset: 64, CutAtNUL: true, FormatRecorded: true, Format: "raw"}
	})},
}
