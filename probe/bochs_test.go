package probe_test

import "github.com/chainfix/chainfix/probe"

// bochs is a growing redolog of 1 MiB in extents of 64 KiB, none of which it
// holds.
func bochs(edits ...edit) []byte {
	return apply(nil, append([]edit{
		put(0, "Bochs Virtual HD Image"), put(32, "Redolog"), put(48, "Growing"),
		le32(64, 0x20000), le32(68, 512), le32(72, 16), le32(76, 512), le32(80, 65536), le64(88, 1<<20),
		put(512, "\xff\xff\xff\xff\xff\xff\xff\xff"), end(1024),
	}, edits...)...)
}

func bochsHeader(change func(h *probe.Header)) *probe.Header {
	h := &probe.Header{Format: probe.Bochs, Version: 0x20000, VirtualSize: 1 << 20, ClusterSize: 65536}
	if change != nil {
		change(h)
	}
	return h
}

var bochsCases = []readCase{
	{name: "plain", image: bochs(), want: bochsHeader(nil)},
	{name: "header only", image: bochs(end(512)), want: bochsHeader(nil)},
	{name: "truncated header", image: bochs(end(511)), err: probe.ErrTruncated, field: "header", differs: "truncated"},
	{name: "magic", image: bochs(byteAt(22, 's')), err: probe.ErrSignature, field: "magic"},
	{name: "magic with more behind its NUL", image: bochs(byteAt(23, 's')), want: bochsHeader(nil)},
	{name: "type", image: bochs(put(32, "Redologs")), err: probe.ErrUnsupported, field: "type"},
	{name: "subtype", image: bochs(put(48, "Undoable")), err: probe.ErrUnsupported, field: "subtype"},
	{name: "no subtype", image: bochs(byteAt(48, 0)), err: probe.ErrUnsupported, field: "subtype"},
	{name: "first version", image: bochs(le32(64, 0x10000), le64(84, 1<<19)), want: bochsHeader(func(h *probe.Header) { h.Version, h.VirtualSize = 0x10000, 1<<19 })},
	{name: "third version", image: bochs(le32(64, 0x30000)), err: probe.ErrUnsupported, field: "version"},

	{name: "catalog of nothing", image: bochs(le32(72, 0), le64(88, 511)), want: bochsHeader(func(h *probe.Header) { h.VirtualSize = 0 })},
	{name: "catalog that is too small", image: bochs(le64(88, 1<<20+512)), err: probe.ErrCorrupt, field: "catalog"},
	{name: "catalog over the image's end", image: bochs(le32(72, 1<<20), le64(88, 1<<36)), want: bochsHeader(func(h *probe.Header) { h.VirtualSize = 1 << 36 })},
	{name: "largest disk", image: bochs(le32(72, 1<<20), le32(80, 1<<23), le64(88, 1<<43)), want: bochsHeader(func(h *probe.Header) { h.VirtualSize, h.ClusterSize = 1<<43, 1<<23 })},
	{name: "catalog of more than 2^20 entries", image: bochs(le32(72, 1<<20+1)), err: probe.ErrCorrupt, field: "catalog"},
	{name: "catalog of 2^32-1 entries", image: bochs(le32(72, 1<<32-1)), err: probe.ErrCorrupt, field: "catalog"},
	{name: "catalog at 2^32-1", image: bochs(le32(68, 1<<32-1)), want: bochsHeader(nil)},
	{name: "bitmap is not looked at", image: bochs(le32(76, 0)), want: bochsHeader(nil)},

	{name: "extent of nothing", image: bochs(le32(80, 0)), err: probe.ErrCorrupt, field: "extent"},
	{name: "extent of 256 bytes", image: bochs(le32(80, 256)), err: probe.ErrCorrupt, field: "extent"},
	{name: "extent of 512 bytes", image: bochs(le32(80, 512), le64(88, 8192)), want: bochsHeader(func(h *probe.Header) { h.VirtualSize, h.ClusterSize = 8192, 512 })},
	{name: "extent of 5000 bytes", image: bochs(le32(80, 5000)), err: probe.ErrCorrupt, field: "extent"},
	{name: "extent of 16 MiB", image: bochs(le32(80, 1<<24)), err: probe.ErrCorrupt, field: "extent"},

	{name: "disk of broken sectors", image: bochs(le64(88, 1023)), want: bochsHeader(func(h *probe.Header) { h.VirtualSize = 512 })},
	{name: "disk of one sector more, broken", image: bochs(le64(88, 1<<20+511)), want: bochsHeader(nil)},
	{name: "disk of 2^64-1 bytes", image: bochs(le64(88, 1<<64-1)), err: probe.ErrCorrupt, field: "catalog"},
}
