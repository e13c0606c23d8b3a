package probe_test

import (
	"strings"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// vdi is a dynamic image of 1 MiB: a sector of header, and one of block map.
func vdi(edits ...edit) []byte {
	return apply(must(mkimage.VDI{VirtualSize: 1 << 20}.Bytes()), edits...)
}

func vdiHeader(change func(h *probe.Header)) *probe.Header {
	h := &probe.Header{Format: probe.VDI, Version: 0x10001, Subformat: "dynamic", VirtualSize: 1 << 20, ClusterSize: 1 << 20}
	if change != nil {
		change(h)
	}
	return h
}

func vdiSize(size uint64) *probe.Header {
	return vdiHeader(func(h *probe.Header) { h.VirtualSize = size })
}

var vdiDifferencing = vdiHeader(func(h *probe.Header) {
	h.Subformat, h.Parent = "differencing", &probe.Reference{Offset: -1}
})

var vdiCases = []readCase{
	{name: "dynamic", image: vdi(), want: vdiHeader(nil)},
	{name: "dynamic, without a block", image: must(mkimage.VDI{}.Bytes()), want: vdiSize(0)},
	{name: "fixed", image: vdi(le32(76, 2)), want: vdiHeader(func(h *probe.Header) { h.Subformat = "fixed" })},
	{name: "empty", image: nil, err: probe.ErrSignature, field: "u32Signature"},
	{name: "truncated signature", image: vdi(end(67)), err: probe.ErrSignature, field: "u32Signature"},
	{name: "truncated header", image: vdi(end(511)), err: probe.ErrTruncated, field: "header", differs: "truncated"},
	{name: "signature", image: vdi(byteAt(64, 0)), err: probe.ErrSignature, field: "u32Signature"},
	{name: "text of anybody", image: vdi(put(0, strings.Repeat("x", 64))), want: vdiHeader(nil)},

	{name: "version 1.0", image: vdi(le32(68, 0x10000)), err: probe.ErrUnsupported, field: "u32Version"},
	{name: "version 0.1", image: vdi(le32(68, 1)), err: probe.ErrUnsupported, field: "u32Version"},
	{name: "header size 0", image: vdi(le32(72, 0)), want: vdiHeader(nil)},
	{name: "type 0", image: vdi(le32(76, 0)), err: probe.ErrUnsupported, field: "u32Type", differs: "vdi of unknown type"},
	{name: "type 5", image: vdi(le32(76, 5)), err: probe.ErrUnsupported, field: "u32Type", differs: "vdi of unknown type"},
	{name: "undo, without a UUID", image: vdi(le32(76, 3)), want: vdiDifferencing},
	{name: "differencing, without a UUID", image: vdi(le32(76, 4)), want: vdiDifferencing},
	{name: "differencing", image: must(mkimage.VDI{VirtualSize: 1 << 20, Differencing: true}.Bytes()), want: vdiDifferencing, differs: "differencing vdi"},
	{name: "link UUID, last byte", image: vdi(byteAt(439, 1)), want: vdiDifferencing, differs: "differencing vdi"},
	{name: "parent UUID, first byte", image: vdi(byteAt(440, 1)), want: vdiDifferencing, differs: "differencing vdi"},
	{name: "parent UUID, last byte", image: vdi(byteAt(455, 1)), want: vdiDifferencing, differs: "differencing vdi"},
	{name: "byte behind the parent UUID", image: vdi(byteAt(456, 1)), want: vdiHeader(nil)},
	{name: "differencing and broken", image: vdi(byteAt(440, 1), le32(360, 4096)), err: probe.ErrUnsupported, field: "cbSector"},

	{name: "block map within a sector", image: vdi(le32(340, 513)), err: probe.ErrUnsupported, field: "offBlocks"},
	{name: "block map over the end", image: vdi(le32(340, 1024)), err: probe.ErrTruncated, field: "offBlocks", differs: "truncated"},
	{name: "block map to the last, broken sector", image: vdi(end(513)), want: vdiHeader(nil)},
	{name: "block map in the header", image: vdi(le32(340, 0)), want: vdiHeader(nil)},
	{name: "data within a sector", image: vdi(le32(344, 1025)), err: probe.ErrUnsupported, field: "offData"},
	{name: "data behind the end", image: vdi(le32(344, 1<<30)), want: vdiHeader(nil)},
	{name: "sectors of 4096 bytes", image: vdi(le32(360, 4096)), err: probe.ErrUnsupported, field: "cbSector"},
	{name: "blocks of 512 KiB", image: vdi(le32(376, 1<<19)), err: probe.ErrUnsupported, field: "cbBlock"},
	{name: "blocks of 2 MiB", image: vdi(le32(376, 1<<21)), err: probe.ErrUnsupported, field: "cbBlock"},

	{name: "size 0", image: vdi(le64(368, 0)), want: vdiSize(0)},
	{name: "size 1000", image: vdi(le64(368, 1000)), want: vdiSize(1024)},
	{name: "size over the blocks", image: vdi(le64(368, 1<<20+1)), err: probe.ErrCorrupt, field: "cbDisk"},
	{name: "size 2^64-1", image: vdi(le64(368, 1<<64-1)), err: probe.ErrCorrupt, field: "cbDisk"},
	{name: "no blocks", image: vdi(le32(384, 0)), err: probe.ErrCorrupt, field: "cbDisk"},
	{name: "blocks that the map has room for", image: vdi(le32(384, 128), le64(368, 128<<20)), want: vdiSize(128 << 20)},
	{name: "blocks that it has not", image: vdi(le32(384, 129), le64(368, 128<<20)), err: probe.ErrTruncated, field: "offBlocks", differs: "truncated"},
	{name: "too many blocks", image: vdi(le32(384, 0x1fffff81)), err: probe.ErrUnsupported, field: "cBlocks"},
	{name: "2^32-1 blocks", image: vdi(le32(384, 1<<32-1)), err: probe.ErrUnsupported, field: "cBlocks"},
}
