package probe_test

import (
	"strings"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// v3image is a qcow2 image of version 3, of 1 MiB in clusters of 64 KiB.
func v3image(edits ...edit) []byte {
	return apply(must(mkimage.Qcow2{VirtualSize: 1 << 20}.Bytes()), edits...)
}

func v2image(edits ...edit) []byte {
	return apply(must(mkimage.Qcow2{Version: 2, VirtualSize: 1 << 20}.Bytes()), edits...)
}

// clusters is v3image in clusters of another size.
func clusters(bits uint, edits ...edit) []byte {
	return apply(must(mkimage.Qcow2{ClusterBits: bits, VirtualSize: 1 << 20}.Bytes()), edits...)
}

// version3 is the Header of v3image.
func version3(change func(h *probe.Header)) *probe.Header {
	h := &probe.Header{Format: probe.Qcow2, Version: 3, VirtualSize: 1 << 20, ClusterSize: 65536}
	if change != nil {
		change(h)
	}
	return h
}

func version3Backing(name string, off int64) *probe.Header {
	return version3(func(h *probe.Header) { h.Backing = &probe.Reference{Name: name, Offset: off} })
}

func version2(h *probe.Header) { h.Version = 2 }

var qcow2Cases = []readCase{
	{name: "plain", image: v3image(), want: version3(nil)},
	{name: "version 2", image: v2image(), want: version3(version2)},
	{name: "version 0", image: v3image(be32(4, 0)), err: probe.ErrUnsupported, field: "version"},
	{name: "version 1", image: v3image(be32(4, 1)), err: probe.ErrUnsupported, field: "version"},
	{name: "version 4", image: v3image(be32(4, 4)), err: probe.ErrUnsupported, field: "version"},
	{name: "version 2^32-1", image: v3image(be32(4, 1<<32-1)), err: probe.ErrUnsupported, field: "version"},
	{name: "QFIx", image: v3image(byteAt(3, 'x')), err: probe.ErrSignature, field: "magic"},
	{name: "raw", image: make([]byte, 65536), err: probe.ErrSignature, field: "magic"},
	{name: "empty", image: nil, err: probe.ErrSignature, field: "magic"},
	{name: "three bytes", image: []byte("QFI"), err: probe.ErrSignature, field: "magic"},

	{name: "version 2 truncated", image: v2image(end(71)), err: probe.ErrTruncated, field: "header", differs: "truncated"},
	{name: "version 2 without extension area", image: v2image(end(72)), err: probe.ErrTruncated, field: "header extension", differs: "truncated"},
	{name: "version 3 truncated", image: v3image(end(103)), err: probe.ErrTruncated, field: "header"},
	{name: "version 3 truncated at header_length", image: v3image(end(111)), err: probe.ErrTruncated, field: "header", differs: "truncated"},
	{name: "version 3 truncated at an extension", image: v3image(end(119)), err: probe.ErrTruncated, field: "header extension", differs: "truncated"},
	{name: "version 3, header and end", image: v3image(end(120)), want: version3(nil)},
	{name: "version 2 with feature bits in the extension area", image: v2image(be64(72, 0), be64(80, 1<<63)), want: version3(version2)},

	{name: "header_length 103", image: v3image(be32(100, 103)), err: probe.ErrCorrupt, field: "header_length"},
	{name: "header_length 104", image: v3image(be32(100, 104)), want: version3(nil)},
	{name: "header_length 105", image: v3image(be32(100, 105)), want: version3(nil)},
	{name: "header_length of a cluster", image: clusters(9, be32(100, 512)), want: version3(func(h *probe.Header) { h.ClusterSize = 512 })},
	{name: "header_length over a cluster", image: clusters(9, be32(100, 513)), err: probe.ErrCorrupt, field: "header_length"},
	{name: "header_length 2^32-1", image: v3image(be32(100, 1<<32-1)), err: probe.ErrCorrupt, field: "header_length"},

	{name: "cluster_bits 0", image: v3image(be32(20, 0)), err: probe.ErrCorrupt, field: "cluster_bits"},
	{name: "cluster_bits 8", image: v3image(be32(20, 8)), err: probe.ErrCorrupt, field: "cluster_bits"},
	{name: "cluster_bits 9", image: clusters(9), want: version3(func(h *probe.Header) { h.ClusterSize = 512 })},
	{name: "cluster_bits 21", image: clusters(21), want: version3(func(h *probe.Header) { h.ClusterSize = 2 << 20 })},
	{name: "cluster_bits 22", image: v3image(be32(20, 22)), err: probe.ErrCorrupt, field: "cluster_bits"},
	{name: "cluster_bits 63", image: v3image(be32(20, 63)), err: probe.ErrCorrupt, field: "cluster_bits"},
	{name: "cluster_bits 2^32-1", image: v3image(be32(20, 1<<32-1)), err: probe.ErrCorrupt, field: "cluster_bits"},

	{name: "dirty", image: v3image(be64(72, 1)), want: version3(func(h *probe.Header) { h.Dirty = true })},
	{name: "corrupt", image: v3image(be64(72, 2)), want: version3(func(h *probe.Header) { h.Corrupt = true })},
	{name: "extended L2 entries", image: v3image(be64(72, 1<<4)), want: version3(nil)},
	{name: "extended L2 entries, 16 KiB", image: clusters(14, be64(72, 1<<4)), want: version3(func(h *probe.Header) { h.ClusterSize = 16384 })},
	{name: "extended L2 entries, 8 KiB", image: clusters(13, be64(72, 1<<4)), err: probe.ErrCorrupt, field: "cluster_bits"},
	{name: "unknown incompatible bit 5", image: v3image(be64(72, 1<<5)), err: probe.ErrUnsupported, field: "incompatible_features"},
	{name: "unknown incompatible bit 63", image: v3image(be64(72, 1<<63)), err: probe.ErrUnsupported, field: "incompatible_features"},
	{name: "lazy refcounts", image: v3image(be64(80, 1)), want: version3(nil)},
	{name: "unknown compatible bit", image: v3image(be64(80, 1<<63)), want: version3(hasUnknown)},
	{name: "unknown autoclear bit", image: v3image(be64(88, 1<<63)), want: version3(hasUnknown)},

	{name: "compression bit without type", image: v3image(be64(72, 1<<3)), err: probe.ErrCorrupt, field: "compression_type"},
	{name: "compression bit, header without type", image: v3image(be64(72, 1<<3), be32(100, 104), be64(104, 0)), err: probe.ErrCorrupt, field: "compression_type"},
	{name: "compression type without bit", image: v3image(byteAt(104, 1)), err: probe.ErrCorrupt, field: "compression_type"},
	{name: "compression zstd", image: v3image(byteAt(104, 1), be64(72, 1<<3)), want: version3(func(h *probe.Header) { h.Zstd = true })},
	{name: "compression unknown", image: v3image(byteAt(104, 2), be64(72, 1<<3)), err: probe.ErrUnsupported, field: "compression_type"},

	{name: "AES", image: v3image(be32(32, 1)), want: version3(func(h *probe.Header) { h.Encryption = probe.AES })},
	{name: "AES, version 2", image: v2image(be32(32, 1)), want: version3(func(h *probe.Header) { h.Version, h.Encryption = 2, probe.AES })},
	{name: "LUKS without a header", image: v3image(be32(32, 2)), err: probe.ErrCorrupt, field: "crypt_method"},
	{name: "crypt 3", image: v3image(be32(32, 3)), err: probe.ErrUnsupported, field: "crypt_method"},

	{name: "refcount_order 6", image: v3image(be32(96, 6)), want: version3(nil)},
	{name: "refcount_order 7", image: v3image(be32(96, 7)), err: probe.ErrCorrupt, field: "refcount_order"},
	{name: "refcount table of 0 clusters", image: v3image(be32(56, 0)), err: probe.ErrCorrupt, field: "refcount_table_clusters"},
	{name: "refcount table of 8 MiB", image: v3image(be32(56, 128)), want: version3(nil)},
	{name: "refcount table over 8 MiB", image: v3image(be32(56, 129)), err: probe.ErrCorrupt, field: "refcount_table_clusters"},
	{name: "refcount table of 2^32-1 clusters", image: v3image(be32(56, 1<<32-1)), err: probe.ErrCorrupt, field: "refcount_table_clusters"},
	{name: "refcount table within a cluster", image: v3image(be64(48, 5)), err: probe.ErrCorrupt, field: "refcount_table_offset"},
	{name: "refcount table at 2^63", image: v3image(be64(48, 1<<63)), err: probe.ErrCorrupt, field: "refcount_table_offset"},
	{name: "refcount table at 2^63-65536", image: v3image(be64(48, 1<<63-65536)), err: probe.ErrCorrupt, field: "refcount_table_offset"},
	{name: "refcount table before QEMU's end", image: v3image(be64(48, 1<<63-1<<30-65536)), want: version3(nil)},
	{name: "refcount table over QEMU's end", image: v3image(be64(48, 1<<63-1<<30)), err: probe.ErrCorrupt, field: "refcount_table_offset"},

	{name: "a snapshot", image: v3image(be32(60, 1), be64(64, 1<<20)), want: version3(func(h *probe.Header) { h.Snapshots = true })},
	{name: "a snapshot, broken", image: v3image(be32(60, 1), be64(64, 1<<20), be32(1<<20+36, 1<<20)), want: version3(func(h *probe.Header) { h.Snapshots = true }), differs: "snapshot table"},
	{name: "65537 snapshots", image: v3image(be32(60, 65537)), err: probe.ErrCorrupt, field: "nb_snapshots"},
	{name: "snapshots within a cluster", image: v3image(be32(60, 1), be64(64, 5)), err: probe.ErrCorrupt, field: "snapshots_offset"},
	{name: "no snapshots within a cluster", image: v3image(be64(64, 5)), err: probe.ErrCorrupt, field: "snapshots_offset"},
	{name: "no snapshots before 2^63", image: v3image(be64(64, 1<<63-65536)), want: version3(nil)},
	{name: "no snapshots at 2^63", image: v3image(be64(64, 1<<63)), err: probe.ErrCorrupt, field: "snapshots_offset"},

	{name: "L1 table of 32 MiB", image: v3image(be32(36, 4<<20)), want: version3(nil)},
	{name: "L1 table over 32 MiB", image: v3image(be32(36, 4<<20+1)), err: probe.ErrCorrupt, field: "l1_size"},
	{name: "L1 table of 2^32-1 entries", image: v3image(be32(36, 1<<32-1)), err: probe.ErrCorrupt, field: "l1_size"},
	{name: "L1 table within a cluster", image: v3image(be64(40, 5)), err: probe.ErrCorrupt, field: "l1_table_offset"},
	{name: "L1 table behind the end", image: v3image(be64(40, 1<<40)), want: version3(nil)},
	{name: "L1 table at 2^63-65536", image: v3image(be64(40, 1<<63-65536)), err: probe.ErrCorrupt, field: "l1_table_offset"},
	{name: "L1 table over QEMU's end", image: v3image(be64(40, 1<<63-1<<30)), err: probe.ErrCorrupt, field: "l1_table_offset"},
	{name: "L1 table too small", image: v3image(be64(24, 1<<29+1)), err: probe.ErrCorrupt, field: "l1_size"},
	{name: "L1 table just large enough", image: v3image(be64(24, 1<<29)), want: version3(func(h *probe.Header) { h.VirtualSize = 1 << 29 })},
	{name: "L1 table too small for extended entries", image: v3image(be64(72, 1<<4), be64(24, 1<<29)), err: probe.ErrCorrupt, field: "l1_size"},
	{name: "no L1 table", image: v3image(be32(36, 0)), err: probe.ErrCorrupt, field: "l1_size"},
	{name: "no L1 table, size 0", image: v3image(be32(36, 0), be64(24, 0)), want: version3(func(h *probe.Header) { h.VirtualSize = 0 })},
	{name: "no L1 table, size 0, within a cluster", image: v3image(be32(36, 0), be64(24, 0), be64(40, 5)), err: probe.ErrCorrupt, field: "l1_table_offset"},
	{name: "size 1000", image: v3image(be64(24, 1000)), want: version3(func(h *probe.Header) { h.VirtualSize = 512 })},
	{name: "size 2^63", image: v3image(be64(24, 1<<63)), err: probe.ErrCorrupt, field: "l1_size"},
	{name: "size 2^64-1, whose tables wrap around", image: v3image(be64(24, 1<<64-1), be32(36, 0)), err: probe.ErrCorrupt, field: "l1_size"},
	{name: "size 2^64-512, largest table", image: clusters(21, be64(24, 1<<64-512), be32(36, 4<<20)), err: probe.ErrCorrupt, field: "l1_size"},
	{name: "size 2^61, largest table", image: clusters(21, be64(24, 1<<61), be32(36, 4<<20)),
		want: version3(func(h *probe.Header) { h.VirtualSize, h.ClusterSize = 1<<61, 2<<20 })},
	{name: "size 2^61+1, largest table", image: clusters(21, be64(24, 1<<61+1), be32(36, 4<<20)), err: probe.ErrCorrupt, field: "l1_size"},

	{name: "backing", image: v3image(v1name(120, "/base")), want: version3Backing("/base", 120)},
	{name: "backing, version 2", image: v2image(v1name(80, "base.img")), want: version3(func(h *probe.Header) {
		h.Version, h.Backing = 2, &probe.Reference{Name: "base.img", Offset: 80}
	})},
	{name: "backing name behind the first 4 KiB", image: v3image(v1name(5000, "/base")), want: version3Backing("/base", 5000)},
	{name: "2 MiB clusters, name at 0x9000", image: clusters(21, v1name(0x9000, "/base")), want: version3(func(h *probe.Header) {
		h.ClusterSize, h.Backing = 2<<20, &probe.Reference{Name: "/base", Offset: 0x9000}
	})},
	{name: "2 MiB clusters, name at the end", image: clusters(21, v1name(2<<20-5, "/base")), want: version3(func(h *probe.Header) {
		h.ClusterSize, h.Backing = 2<<20, &probe.Reference{Name: "/base", Offset: 2<<20 - 5}
	})},
	{name: "backing name at the cluster's end", image: v3image(v1name(65536-5, "/base")), want: version3Backing("/base", 65536-5)},
	{name: "backing name over the cluster's end", image: v3image(v1name(65536-4, "/base")), err: probe.ErrCorrupt, field: "backing_file_size"},
	{name: "backing name behind the cluster", image: v3image(v1name(65537, "/base")), err: probe.ErrCorrupt, field: "backing_file_offset"},
	{name: "backing offset of a cluster, length 0", image: v3image(be64(8, 65536)), want: version3(nil)},
	{name: "backing offset of a cluster, length 1", image: v3image(be64(8, 65536), be32(16, 1)), err: probe.ErrCorrupt, field: "backing_file_size"},
	{name: "backing offset 2^64-1", image: v3image(be64(8, 1<<64-1), be32(16, 5)), err: probe.ErrCorrupt, field: "backing_file_offset"},
	{name: "backing name behind the image's end", image: v3image(v1name(5000, "/base"), end(5004)),
		err: probe.ErrTruncated, field: "backing file name", differs: "truncated"},
	{name: "backing name in the header", image: v3image(be64(8, 72), be32(16, 5)),
		err: probe.ErrCorrupt, field: "backing_file_offset", differs: "backing name in the header"},
	{name: "backing offset in the header, length 0", image: v3image(be64(8, 8)),
		err: probe.ErrCorrupt, field: "backing_file_offset", differs: "backing name in the header"},
	{name: "backing name where the header ends", image: v3image(v1name(112, "/base")), want: version3Backing("/base", 112)},
	{name: "backing name of 1023 bytes", image: v3image(v1name(120, strings.Repeat("a", 1023))), want: version3Backing(strings.Repeat("a", 1023), 120)},
	{name: "backing name of 1024 bytes", image: v3image(v1name(120, strings.Repeat("a", 1024))), err: probe.ErrCorrupt, field: "backing_file_size"},
	{name: "backing name of 2^32-1 bytes", image: v3image(be64(8, 120), be32(16, 1<<32-1)), err: probe.ErrCorrupt, field: "backing_file_size"},
	{name: "no backing: length 0", image: v3image(be64(8, 120)), want: version3(nil)},
	{name: "no backing: offset 0", image: v3image(be32(16, 5)), want: version3(nil)},
	{name: "no backing: offset 0, length 1024", image: v3image(be32(16, 1024)), want: version3(nil)},
	{name: "backing name with a NUL", image: v3image(v1name(120, "/b\x00se")), want: version3(func(h *probe.Header) {
		h.Backing = &probe.Reference{Name: "/b", Offset: 120, CutAtNUL: true}
	})},
	{name: "backing name behind a NUL", image: v3image(v1name(120, "\x00/base")), differs: "backing name of nothing", want: version3(func(h *probe.Header) {
		h.Backing = &probe.Reference{Offset: 120, CutAtNUL: true}
	})},
	{name: "backing name with a newline", image: v3image(v1name(120, "a\n\x1b[2J")), want: version3Backing("a\n\x1b[2J", 120)},
	{name: "backing name that is no UTF-8", image: v3image(v1name(120, "\xff\xfe/\xc3")), want: version3Backing("\xff\xfe/\xc3", 120)},
	{name: "backing name json:", image: v3image(v1name(120, `json:{"x"`)), want: version3Backing(`json:{"x"`, 120)},
	{name: "backing name of a protocol", image: v3image(v1name(120, "nbd://h/x:y")), want: version3Backing("nbd://h/x:y", 120)},
}
