package probe_test

import (
	"encoding/binary"
	"strings"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// vmdk is a sparse image of 1 MiB in grains of 64 KiB: a sector of header, 20
// of descriptor, one of grain directory.
func vmdk(edits ...edit) []byte {
	return apply(must(mkimage.VMDK{VirtualSize: 1 << 20}.Bytes()), edits...)
}

// vmdkOver is one with the given text in place of parentFileNameHint and the
// quotes.
func vmdkOver(hint string) []byte { return vmdk(embed(vmdkIDs + hint)) }

const (
	vmdkIDs = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
	// hintAt is where a parent's name stands that comes right after them.
	hintAt = 512 + len(vmdkIDs) + len(`parentFileNameHint="`)
)

// embed replaces the descriptor inside a sparse image.
func embed(text string) edit {
	return put(512, text+strings.Repeat("\x00", 20*512-len(text)))
}

// stream moves the header of a sparse image to its end.
func stream(edits ...edit) []byte {
	b := vmdk(le32(4, 3), le32(8, 0x30001), put(77, "\x01\x00"))
	header := string(b[:512])
	return apply(b, append([]edit{le64(12, 1), le64(56, 1<<64-1), le32(22*512+12, 3), put(23*512, header), end(25 * 512)}, edits...)...)
}

// vmdkStreamed tells whether the header at the end counts.
func vmdkStreamed(b []byte) bool {
	const gdOffset = 56
	return len(b) >= gdOffset+8 && binary.LittleEndian.Uint64(b[gdOffset:]) == 1<<64-1
}

// cowd is a sparse image of the older kind, with the same descriptor.
func cowd(edits ...edit) []byte {
	header := apply([]byte("COWD"), le32(4, 1), le32(8, 3), le32(12, 2048), le32(16, 1), le32(20, 21), le32(24, 1), end(512))
	return apply(vmdk(put(0, string(header))), edits...)
}

// holder is a sparse image of size 0, whose descriptor counts.
func holder(text string, edits ...edit) []byte {
	return apply(vmdk(le64(12, 0), embed(text)), edits...)
}

func vmdkHeader(change func(h *probe.Header)) *probe.Header {
	h := &probe.Header{Format: probe.VMDK, Version: 1, Subformat: "monolithicSparse", VirtualSize: 1 << 20, ClusterSize: 65536}
	if change != nil {
		change(h)
	}
	return h
}

func vmdkParent(name string, off int) *probe.Header {
	return vmdkHeader(func(h *probe.Header) { h.Backing = vmdkReference(name, off) })
}

func vmdkReference(name string, off int) *probe.Reference {
	return &probe.Reference{Name: name, Offset: int64(off), FormatRecorded: true, Format: "vmdk"}
}

func vmdkStream(change func(h *probe.Header)) *probe.Header {
	h := vmdkHeader(func(h *probe.Header) { h.Version, h.Subformat = 3, "streamOptimized" })
	if change != nil {
		change(h)
	}
	return h
}

func cowdHeader(change func(h *probe.Header)) *probe.Header {
	h := vmdkHeader(func(h *probe.Header) { h.Subformat, h.ClusterSize = "", 512 })
	if change != nil {
		change(h)
	}
	return h
}

var vmdkCases = []readCase{
	{name: "sparse", image: vmdk(), want: vmdkHeader(nil)},
	{name: "empty", image: nil, err: probe.ErrSignature, field: "magicNumber"},
	{name: "one byte", image: []byte("K"), err: probe.ErrSignature, field: "magicNumber"},
	{name: "magic", image: vmdk(byteAt(3, 'v')), err: probe.ErrSignature, field: "magicNumber"},
	{name: "truncated header", image: vmdk(end(78)), err: probe.ErrTruncated, field: "header"},
	{name: "version 0", image: vmdk(le32(4, 0)), want: vmdkHeader(func(h *probe.Header) { h.Version = 0 })},
	{name: "version 3", image: vmdk(le32(4, 3)), want: vmdkHeader(func(h *probe.Header) { h.Version = 3 })},
	{name: "version 4", image: vmdk(le32(4, 4)), err: probe.ErrUnsupported, field: "version"},
	{name: "version 2^31", image: vmdk(le32(4, 1<<31)), err: probe.ErrUnsupported, field: "version"},
	{name: "zeroed grains", image: vmdk(le32(8, 5)), want: vmdkHeader(nil)},
	{name: "unknown flags", image: vmdk(le32(8, 1<<31)), want: vmdkHeader(nil)},
	{name: "line ends broken in transfer, which QEMU does not look at", image: vmdk(put(73, "\n\n\n\n")), want: vmdkHeader(nil)},
	{name: "compressed", image: vmdk(put(77, "\x01\x00")), want: vmdkHeader(func(h *probe.Header) { h.Subformat = "streamOptimized" })},
	{name: "unknown compression", image: vmdk(put(77, "\x02\x00")), want: vmdkHeader(nil)},

	{name: "capacity 0, descriptor 0", image: vmdk(le64(12, 0), le64(28, 0)), want: vmdkHeader(func(h *probe.Header) { h.VirtualSize = 0 })},
	{name: "capacity that the directory maps", image: vmdk(le64(12, 128*65536)), want: vmdkHeader(func(h *probe.Header) { h.VirtualSize = 4 << 30 })},
	{name: "capacity that it does not", image: vmdk(le64(12, 128*65536+1)), err: probe.ErrTruncated, field: "gdOffset", differs: "truncated"},
	{name: "capacity 2^41 sectors and a sector", image: vmdk(le64(12, 1<<41+1)), err: probe.ErrCorrupt, field: "capacity"},
	{name: "capacity of 2^32 directory entries", image: vmdk(le64(12, 1<<48)), err: probe.ErrCorrupt, field: "capacity", differs: "grain directory that wraps around"},
	{name: "capacity 2^55 sectors", image: vmdk(le64(12, 1<<55)), err: probe.ErrCorrupt, field: "capacity"},
	{name: "capacity 2^63 sectors", image: vmdk(le64(12, 1<<63)), err: probe.ErrCorrupt, field: "capacity"},
	{name: "capacity 2^64-1 sectors", image: vmdk(le64(12, 1<<64-1)), err: probe.ErrCorrupt, field: "capacity"},

	{name: "grain 0", image: vmdk(le64(20, 0)), err: probe.ErrCorrupt, field: "grainSize"},
	{name: "grain of a sector", image: vmdk(le64(20, 1)), want: vmdkHeader(func(h *probe.Header) { h.ClusterSize = 512 })},
	{name: "grain of 100 sectors", image: vmdk(le64(20, 100)), err: probe.ErrCorrupt, field: "grainSize", differs: "grain size"},
	{name: "grain of 1 GiB", image: vmdk(le64(20, 0x200000)), want: vmdkHeader(func(h *probe.Header) { h.ClusterSize = 1 << 30 })},
	{name: "grain of 2 GiB", image: vmdk(le64(20, 0x400000)), err: probe.ErrCorrupt, field: "grainSize"},
	{name: "grain of 2^32 sectors", image: vmdk(le64(20, 1<<32)), err: probe.ErrCorrupt, field: "grainSize"},
	{name: "grain tables of nothing", image: vmdk(le32(44, 0)), err: probe.ErrCorrupt, field: "numGTEsPerGT"},
	{name: "grain tables of one", image: vmdk(le32(44, 1)), want: vmdkHeader(nil)},
	{name: "grain tables of 513", image: vmdk(le32(44, 513)), err: probe.ErrCorrupt, field: "numGTEsPerGT"},
	{name: "overhead over the end", image: vmdk(le64(64, 23)), err: probe.ErrTruncated, field: "overHead"},
	{name: "overhead to the last, broken sector", image: vmdk(le64(64, 22), end(21*512+1)), want: vmdkHeader(nil)},
	{name: "overhead 2^64-1", image: vmdk(le64(64, 1<<64-1)), err: probe.ErrTruncated, field: "overHead"},

	{name: "grain directory behind the end", image: vmdk(le64(56, 1000)), err: probe.ErrTruncated, field: "gdOffset", differs: "truncated"},
	{name: "grain directory at 2^54", image: vmdk(le64(56, 1<<54)), err: probe.ErrCorrupt, field: "gdOffset"},
	{name: "grain directory at 2^55 and 21", image: vmdk(le64(56, 1<<55+21)), err: probe.ErrCorrupt, field: "gdOffset", differs: "offset that wraps around"},
	{name: "grain directory of nothing behind the end", image: vmdk(le64(12, 0), le64(28, 0), le64(56, 1000)),
		want: vmdkHeader(func(h *probe.Header) { h.VirtualSize = 0 })},
	{name: "grain directory of nothing at 2^54", image: vmdk(le64(12, 0), le64(28, 0), le64(56, 1<<54)), err: probe.ErrCorrupt, field: "gdOffset"},
	{name: "redundant directory", image: vmdk(le32(8, 3), le64(48, 21)), want: vmdkHeader(nil)},
	{name: "redundant directory at 0", image: vmdk(le32(8, 3), le64(48, 0)), want: vmdkHeader(nil)},
	{name: "redundant directory behind the end", image: vmdk(le32(8, 3), le64(48, 1000)), err: probe.ErrTruncated, field: "rgdOffset", differs: "truncated"},
	{name: "redundant directory at 2^54", image: vmdk(le32(8, 3), le64(48, 1<<54)), err: probe.ErrCorrupt, field: "rgdOffset"},
	{name: "redundant directory at 2^54, not used", image: vmdk(le64(48, 1<<54)), want: vmdkHeader(nil)},

	{name: "stream", image: stream(), want: vmdkStream(nil)},
	{name: "stream, last sector broken", image: stream(end(25*512 - 400)), want: vmdkStream(nil)},
	{name: "stream that is not compressed", image: stream(put(23*512+77, "\x00")), want: vmdkStream(func(h *probe.Header) { h.Subformat = "monolithicSparse" })},
	{name: "stream, version in front", image: stream(le32(4, 9)), want: vmdkStream(nil)},
	{name: "stream, version at the end", image: stream(le32(23*512+4, 9)), err: probe.ErrUnsupported, field: "version"},
	{name: "stream, capacity in front 0", image: stream(le64(12, 0)), err: probe.ErrUnsupported, field: "createType"},
	{name: "stream, capacity at the end 0", image: stream(le64(23*512+12, 0)), want: vmdkStream(func(h *probe.Header) { h.VirtualSize = 0 })},
	{name: "stream that ends before its footer", image: vmdk(le64(56, 1<<64-1)), err: probe.ErrCorrupt, field: "footer marker"},
	{name: "stream of two sectors", image: vmdk(le64(56, 1<<64-1), end(1024)), err: probe.ErrTruncated, field: "footer"},
	{name: "stream of three sectors", image: vmdk(le64(56, 1<<64-1), end(1536)), err: probe.ErrCorrupt, field: "footer marker"},
	{name: "stream, a sector behind", image: stream(end(26 * 512)), err: probe.ErrCorrupt, field: "footer marker"},
	{name: "stream, type of the footer marker", image: stream(le32(22*512+12, 2)), err: probe.ErrCorrupt, field: "footer marker"},
	{name: "stream, size of the footer marker", image: stream(le32(22*512+8, 1)), err: probe.ErrCorrupt, field: "footer marker"},
	{name: "stream, magic of the footer", image: stream(byteAt(23*512, 'k')), err: probe.ErrCorrupt, field: "footer"},
	{name: "stream, end marker", image: stream(le32(24*512+12, 1)), err: probe.ErrCorrupt, field: "end-of-stream marker"},
	{name: "stream, size of the end marker", image: stream(le32(24*512+8, 1)), err: probe.ErrCorrupt, field: "end-of-stream marker"},
	{name: "stream, value of the end marker", image: stream(byteAt(24*512, 1)), err: probe.ErrCorrupt, field: "end-of-stream marker"},
	{name: "stream, directory nowhere", image: stream(le64(23*512+56, 1<<64-1)), err: probe.ErrCorrupt, field: "gdOffset"},
	{name: "stream, directory behind the end", image: stream(le64(23*512+56, 1000)), err: probe.ErrTruncated, field: "gdOffset", differs: "truncated"},

	{name: "older", image: cowd(), want: cowdHeader(nil)},
	{name: "older, truncated header", image: cowd(end(31)), err: probe.ErrTruncated, field: "header"},
	{name: "older, version 9", image: cowd(le32(4, 9)), want: cowdHeader(func(h *probe.Header) { h.Version = 9 })},
	{name: "older, 2^32-1 sectors", image: cowd(le32(12, 1<<32-1)), want: cowdHeader(func(h *probe.Header) { h.VirtualSize = (1<<32 - 1) * 512 })},
	{name: "older, grain 0", image: cowd(le32(16, 0)), err: probe.ErrCorrupt, field: "grainSize", differs: "grain size"},
	{name: "older, grain of 3 sectors", image: cowd(le32(16, 3)), err: probe.ErrCorrupt, field: "grainSize", differs: "grain size"},
	{name: "older, grain of 2^19 sectors", image: cowd(le32(16, 1<<19)), want: cowdHeader(func(h *probe.Header) { h.ClusterSize = 1 << 28 })},
	{name: "older, grain of 2^20 sectors", image: cowd(le32(16, 1<<20)), err: probe.ErrCorrupt, field: "grainSize", differs: "grain size"},
	{name: "older, 2^25 directory entries", image: cowd(le32(24, 32<<20)), err: probe.ErrTruncated, field: "gdOffset", differs: "truncated"},
	{name: "older, more directory entries", image: cowd(le32(24, 32<<20+1)), err: probe.ErrCorrupt, field: "numGDEntries"},
	{name: "older, directory behind the end", image: cowd(le32(20, 1<<32-1)), err: probe.ErrTruncated, field: "gdOffset", differs: "truncated"},
	{name: "older, without a descriptor", image: cowd(embed("")), err: probe.ErrCorrupt, field: "CID"},
	{name: "older, with a parent", image: cowd(embed(vmdkIDs + `parentFileNameHint="/base"`)),
		want: cowdHeader(func(h *probe.Header) { h.Backing = vmdkReference("/base", hintAt) })},
	{name: "an extent of the seSparse kind", image: seSparse(), err: probe.ErrUnsupported, field: "magicNumber"},

	{name: "parent", image: vmdkOver(`parentFileNameHint="/base"`), want: vmdkParent("/base", hintAt)},
	{name: "parent of nothing", image: vmdkOver(`parentFileNameHint=""`), want: vmdkHeader(nil)},
	{name: "parent behind any two bytes", image: vmdkOver(`parentFileNameHint :/base"`), want: vmdkParent("/base", hintAt)},
	{name: "parent with a space before the equals sign", image: vmdkOver(`parentFileNameHint = "/base"`), want: vmdkParent(` `, hintAt)},
	{name: "parent behind two NULs", image: vmdkOver("parentFileNameHint\x00\x00/base\""), want: vmdkParent("/base", hintAt)},
	{name: "parent in a comment", image: vmdkOver(`# no parentFileNameHint="/base"`), want: vmdkParent("/base", hintAt+5)},
	{name: "parent in capitals", image: vmdkOver(`PARENTFILENAMEHINT="/base"`), want: vmdkHeader(nil)},
	{name: "two parents", image: vmdkOver("parentFileNameHint=\"/a\"\nparentFileNameHint=\"/b\""), want: vmdkParent("/a", hintAt)},
	{name: "parent over two lines", image: vmdkOver("parentFileNameHint=\"/a\nb\""), want: vmdkParent("/a\nb", hintAt)},
	{name: "parent with a NUL", image: vmdkOver("parentFileNameHint=\"/a\x00b\""), err: probe.ErrCorrupt, field: "parentFileNameHint"},
	{name: "parent without a closing quote", image: vmdkOver(`parentFileNameHint="/base`), err: probe.ErrCorrupt, field: "parentFileNameHint"},
	{name: "parent of 4095 bytes", image: vmdkOver(`parentFileNameHint="` + strings.Repeat("a", 4095) + `"`), want: vmdkParent(strings.Repeat("a", 4095), hintAt)},
	{name: "parent of 4096 bytes", image: vmdkOver(`parentFileNameHint="` + strings.Repeat("a", 4096) + `"`), err: probe.ErrCorrupt, field: "parentFileNameHint"},
	{name: "parent at the end of 10240 bytes", image: vmdkOver(strings.Repeat(" ", 10240-84-27) + `parentFileNameHint="/base1"`), want: vmdkParent("/base1", hintAt+10240-84-27)},
	{name: "parent over the end of 10240 bytes", image: vmdkOver(strings.Repeat(" ", 10240-84-26) + `parentFileNameHint="/base`), err: probe.ErrCorrupt, field: "parentFileNameHint"},
	{name: "parent behind 10240 bytes", image: vmdk(embed(vmdkIDs+strings.Repeat(" ", 10240-64)), put(512+10240, `parentFileNameHint="/base"`)), want: vmdkHeader(nil)},
	{name: "parent behind a NUL", image: vmdkOver("\x00" + `parentFileNameHint="/base"`), want: vmdkHeader(nil)},
	{name: "parent in a descriptor that is somewhere else", image: vmdk(le64(28, 30), embed(vmdkIDs), put(30*512, `parentFileNameHint="/base"`)), want: vmdkHeader(nil)},
	{name: "parent, descriptor nowhere", image: vmdk(le64(28, 0), embed(vmdkIDs+`parentFileNameHint="/base"`)), want: vmdkParent("/base", hintAt)},
	{name: "parent, and a body that ends", image: apply(vmdk(le64(12, 0), le64(28, 0), le64(64, 0), embed(vmdkIDs+`parentFileNameHint="/base"`)), end(hintAt+6)),
		want: vmdkHeader(func(h *probe.Header) { h.VirtualSize, h.Backing = 0, vmdkReference("/base", hintAt) })},

	{name: "no CID", image: vmdk(embed("parentCID=ffffffff\n")), want: vmdkHeader(nil)},
	{name: "no CID at all", image: vmdk(embed("version=1\n")), err: probe.ErrCorrupt, field: "CID"},
	{name: "no parentCID", image: vmdk(embed("CID=1\n")), err: probe.ErrCorrupt, field: "parentCID"},
	{name: "CID of no digit", image: vmdk(embed("CID=xyz\nparentCID=1\n")), err: probe.ErrCorrupt, field: "CID"},
	{name: "CID of nothing, and a digit on the next line", image: vmdk(embed("CID=\n \t1\nparentCID=1\n")), want: vmdkHeader(nil)},
	{name: "CID with a sign", image: vmdk(embed("CID=-0X1\nparentCID=+1\n")), want: vmdkHeader(nil)},
	{name: "CID of many digits", image: vmdk(embed("CID=" + strings.Repeat("f", 99) + "\nparentCID=1\n")), want: vmdkHeader(nil)},
	{name: "CID behind a NUL", image: vmdk(embed("parentCID=1\x00CID=1\n")), want: vmdkHeader(nil)},
	{name: "CID before a NUL, its number behind", image: vmdk(embed("parentCID=1 CID\x001")), want: vmdkHeader(nil)},
	{name: "parentCID before a NUL, its number behind", image: vmdk(embed("CID=1 parentCID\x001")), want: vmdkHeader(nil)},
	{name: "parentCID at the end of 10240 bytes", image: vmdk(embed(strings.Repeat(" ", 10228) + "parentCID=1")), want: vmdkHeader(nil)},
	{name: "parentCID over the end of 10240 bytes", image: vmdk(embed(strings.Repeat(" ", 10229) + "parentCID=1")), err: probe.ErrCorrupt, field: "CID"},
}
