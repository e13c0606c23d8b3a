package probe_test

import (
	"encoding/base64"
	"strings"

	"github.com/chainfix/chainfix/probe"
)

const dmgTrailer = 4096 // where the trailer of dmg stands

// dmg is a disk image of 8 sectors that are all zeros, as its property list
// says.
func dmg(edits ...edit) []byte {
	plist := "<plist><dict><data>" + base64.StdEncoding.EncodeToString([]byte(dmgChunks(0, 8, 0))) + "</data></dict></plist>\n"
	return apply(nil, append([]edit{
		put(512, plist),
		put(dmgTrailer, "koly"), be32(dmgTrailer+4, 4), be32(dmgTrailer+8, 512),
		be64(dmgTrailer+0xd8, 512), be64(dmgTrailer+0xe0, uint64(len(plist))),
		be64(dmgTrailer+0x1ec, 8), end(dmgTrailer + 512),
	}, edits...)...)
}

// dmgChunks is a table of one chunk, and of the entry that ends it.
func dmgChunks(kind uint32, sectors, length uint64) string {
	const zeros = uint64(0)
	return "mish" + be(uint32(1), zeros, sectors, zeros) + strings.Repeat("\x00", 204-32) +
		be(kind, uint32(0), zeros, sectors, zeros, length) + be(uint32(0xffffffff), uint32(0), sectors, zeros, zeros, zeros)
}

// fork replaces the property list by a resource fork of one resource.
func fork(resource string) edit {
	return func(b []byte) []byte {
		data := be(uint32(len(resource))) + resource
		return apply(b, put(1024, be(uint32(256), uint32(0), uint32(len(data)))), put(1024+256, data),
			be64(dmgTrailer+0x28, 1024), be64(dmgTrailer+0x30, uint64(256+len(data))),
			be64(dmgTrailer+0xd8, 0), be64(dmgTrailer+0xe0, 0))
	}
}

// behind is dmg after some zeros.
func behind(zeros int, edits ...edit) []byte { return append(make([]byte, zeros), dmg(edits...)...) }

func dmgHeader(size uint64) *probe.Header { return &probe.Header{Format: probe.DMG, VirtualSize: size} }

var dmgCases = []readCase{
	{name: "plain", image: dmg(), want: dmgHeader(4096)},
	{name: "no bytes", image: nil, err: probe.ErrSignature, field: "Signature"},
	{name: "one byte", image: []byte("k"), err: probe.ErrSignature, field: "Signature"},
	{name: "magic", image: dmg(put(dmgTrailer, "KOLY")), err: probe.ErrSignature, field: "Signature"},
	{name: "of an odd length", image: behind(3, be64(dmgTrailer+0xd8, 515)), want: dmgHeader(4096)},
	{name: "trailer that is not the last sector", image: behind(100, be64(dmgTrailer+0xd8, 612), end(dmgTrailer+512+300)), want: dmgHeader(4096)},
	{name: "trailer a sector from the end", image: dmg(end(dmgTrailer + 1024)), err: probe.ErrSignature, field: "Signature"},
	{name: "truncated trailer", image: dmg(end(dmgTrailer + 511)), want: nil, err: probe.ErrTruncated, field: "trailer", differs: "truncated"},
	{name: "trailer of 3 bytes", image: dmg(end(dmgTrailer + 3)), err: probe.ErrSignature, field: "Signature"},
	{name: "trailer alone", image: []byte("koly" + strings.Repeat("\x00", 508)), err: probe.ErrCorrupt, field: "RsrcForkOffset"},
	{name: "two trailers", image: dmg(put(dmgTrailer-511, "koly")), err: probe.ErrCorrupt, field: "XMLLength"},

	{name: "data fork at the trailer", image: dmg(be64(dmgTrailer+0x18, dmgTrailer)), want: dmgHeader(4096)},
	{name: "data fork behind the trailer", image: dmg(be64(dmgTrailer+0x18, dmgTrailer+1)), err: probe.ErrCorrupt, field: "DataForkOffset"},
	{name: "data fork at 2^64-1", image: dmg(be64(dmgTrailer+0x18, 1<<64-1)), err: probe.ErrCorrupt, field: "DataForkOffset"},
	{name: "resource fork of nothing at the trailer", image: dmg(be64(dmgTrailer+0x28, dmgTrailer)), err: probe.ErrCorrupt, field: "RsrcForkOffset"},
	{name: "resource fork into the trailer", image: dmg(be64(dmgTrailer+0x30, dmgTrailer+1)), err: probe.ErrCorrupt, field: "RsrcForkOffset"},
	{name: "resource fork of 2^64-1 bytes", image: dmg(be64(dmgTrailer+0x28, 1), be64(dmgTrailer+0x30, 1<<64-1)), err: probe.ErrCorrupt, field: "RsrcForkOffset"},
	{name: "property list to the trailer", image: dmg(be64(dmgTrailer+0xe0, dmgTrailer-512)), want: dmgHeader(4096)},
	{name: "property list into the trailer", image: dmg(be64(dmgTrailer+0xe0, dmgTrailer-511)), err: probe.ErrCorrupt, field: "XMLOffset"},
	{name: "property list of nothing", image: dmg(be64(dmgTrailer+0xe0, 0)), err: probe.ErrCorrupt, field: "XMLLength"},
	{name: "property list of nothing at 2^64-1", image: dmg(be64(dmgTrailer+0xd8, 1<<64-1), be64(dmgTrailer+0xe0, 0)), err: probe.ErrCorrupt, field: "XMLOffset"},
	{name: "property list of something else", image: dmg(put(512, strings.Repeat("x", 100))), want: dmgHeader(4096)},
	{name: "property list that breaks off", image: dmg(put(512, "<data>"+strings.Repeat("x", 1018)), be64(dmgTrailer+0xe0, 1024)), want: dmgHeader(4096), differs: "dmg chunks"},

	{name: "no sectors", image: dmg(be64(dmgTrailer+0x1ec, 0)), want: dmgHeader(0)},
	{name: "more sectors than the chunks have", image: dmg(be64(dmgTrailer+0x1ec, 9)), want: dmgHeader(4608)},
	{name: "most sectors", image: dmg(be64(dmgTrailer+0x1ec, 1<<54-1<<21)), want: dmgHeader(1<<63 - 1<<30)},
	{name: "too many sectors", image: dmg(be64(dmgTrailer+0x1ec, 1<<54-1<<21+1)), err: probe.ErrCorrupt, field: "SectorCount"},
	{name: "2^64-1 sectors", image: dmg(be64(dmgTrailer+0x1ec, 1<<64-1)), err: probe.ErrCorrupt, field: "SectorCount"},

	{name: "resource fork", image: dmg(fork(dmgChunks(0, 8, 0))), want: dmgHeader(4096)},
	{name: "resource fork of an absurd chunk", image: dmg(fork(dmgChunks(0x80000005, 1<<40, 0))), want: dmgHeader(4096), differs: "dmg chunks"},
	{name: "resource fork of an empty resource", image: dmg(fork("")), want: dmgHeader(4096), differs: "dmg chunks"},
	{name: "resource fork without data", image: dmg(fork(dmgChunks(0, 8, 0)), be32(1024+8, 0)), err: probe.ErrCorrupt, field: "resource fork"},
	{name: "resource fork's data over its end", image: dmg(fork(dmgChunks(0, 8, 0)), be32(1024, 257)), err: probe.ErrCorrupt, field: "resource fork"},
	{name: "resource fork's data at 2^32-1", image: dmg(fork(dmgChunks(0, 8, 0)), be32(1024, 1<<32-1)), err: probe.ErrCorrupt, field: "resource fork"},
	{name: "resource fork's data of 2^32-1 bytes", image: dmg(fork(dmgChunks(0, 8, 0)), be32(1024+8, 1<<32-1)), err: probe.ErrCorrupt, field: "resource fork"},
	{name: "resource fork and property list", image: dmg(be64(dmgTrailer+0x28, 1024), be64(dmgTrailer+0x30, 12)), err: probe.ErrCorrupt, field: "resource fork"},
}
