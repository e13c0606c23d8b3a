package probe_test

import "github.com/chainfix/chainfix/probe"

// cloopImage is a cloop image of two blocks of 64 KiB, compressed to 10 and 20
// bytes that are no data.
func cloopImage(edits ...edit) []byte {
	const dataAt = 136 + 3*8
	return apply(nil, append([]edit{
		put(0, cloop), be32(128, 65536), be32(132, 2),
		be64(136, dataAt), be64(144, dataAt+10), be64(152, dataAt+30), end(dataAt + 30),
	}, edits...)...)
}

func cloopHeader(size, block uint64) *probe.Header {
	return &probe.Header{Format: probe.Cloop, VirtualSize: size, ClusterSize: block}
}

var cloopCases = []readCase{
	{name: "plain", image: cloopImage(), want: cloopHeader(131072, 65536)},
	{name: "magic", image: cloopImage(byteAt(82, ' ')), err: probe.ErrSignature, field: "magic", differs: "cloop magic"},
	{name: "no magic, and broken", image: cloopImage(byteAt(0, 0), be32(128, 1)), err: probe.ErrSignature, field: "magic"},
	{name: "truncated header", image: cloopImage(end(135)), err: probe.ErrTruncated, field: "header", differs: "truncated"},
	{name: "offsets only", image: cloopImage(end(160)), want: cloopHeader(131072, 65536)},
	{name: "truncated offsets", image: cloopImage(end(152)), err: probe.ErrTruncated, field: "offsets"},
	{name: "truncated offsets, all of them 0", image: cloopImage(end(136), end(150)), err: probe.ErrTruncated, field: "offsets", differs: "truncated"},

	{name: "block size 0", image: cloopImage(be32(128, 0)), err: probe.ErrCorrupt, field: "block_size"},
	{name: "block size 512", image: cloopImage(be32(128, 512)), want: cloopHeader(1024, 512)},
	{name: "block size 1000", image: cloopImage(be32(128, 1000)), err: probe.ErrCorrupt, field: "block_size"},
	{name: "block size 1536", image: cloopImage(be32(128, 1536)), want: cloopHeader(3072, 1536)},
	{name: "block size 64 MiB", image: cloopImage(be32(128, 64<<20)), want: cloopHeader(128<<20, 64<<20)},
	{name: "block size over 64 MiB", image: cloopImage(be32(128, 64<<20+512)), err: probe.ErrCorrupt, field: "block_size"},
	{name: "block size 2^32-512", image: cloopImage(be32(128, 1<<32-512)), err: probe.ErrCorrupt, field: "block_size"},

	{name: "no blocks", image: cloopImage(be32(132, 0)), want: cloopHeader(0, 65536)},
	{name: "more blocks than offsets", image: cloopImage(be32(132, 10)), err: probe.ErrTruncated, field: "offsets"},
	{name: "too many offsets", image: cloopImage(be32(132, 64<<20)), err: probe.ErrCorrupt, field: "num_blocks"},
	{name: "2^32-1 blocks", image: cloopImage(be32(132, 1<<32-1)), err: probe.ErrCorrupt, field: "num_blocks"},
	{name: "2^29 blocks", image: cloopImage(be32(132, 1<<29)), err: probe.ErrCorrupt, field: "num_blocks"},
	{name: "most blocks that are read", image: cloopImage(be32(132, 1<<18-513), end(136), end(2<<20)), want: cloopHeader((1<<18-513)*65536, 65536)},
	{name: "more blocks", image: cloopImage(be32(132, 1<<18-1), end(136), end(136+2<<20)), err: probe.ErrLimit, field: "offsets", differs: "cloop with very many blocks"},
	{name: "2 TiB less a block", image: cloopImage(be32(128, 64<<20), be32(132, 1<<15-1), end(136), end(136+1<<18)), want: cloopHeader((1<<15-1)<<26, 64<<20)},
	{name: "2 TiB", image: cloopImage(be32(128, 64<<20), be32(132, 1<<15), end(136), end(136+1<<18+8)),
		err: probe.ErrCorrupt, field: "num_blocks", differs: "cloop of 2 TiB"},

	{name: "offset that goes back", image: cloopImage(be64(152, 100)), err: probe.ErrCorrupt, field: "offsets"},
	{name: "block of nothing", image: cloopImage(be64(152, 170)), want: cloopHeader(131072, 65536)},
	{name: "block of 128 MiB", image: cloopImage(be64(152, 170+1<<27)), want: cloopHeader(131072, 65536)},
	{name: "block of more", image: cloopImage(be64(152, 170+1<<27+1)), err: probe.ErrCorrupt, field: "offsets"},
	{name: "block at 2^64-1", image: cloopImage(be64(152, 1<<64-1)), err: probe.ErrCorrupt, field: "offsets"},
	{name: "blocks behind the image's end", image: cloopImage(be64(136, 1<<63), be64(144, 1<<63), be64(152, 1<<63+1)), want: cloopHeader(131072, 65536)},
}
