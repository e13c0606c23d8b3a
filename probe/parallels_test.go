package probe_test

import (
	"crypto/md5"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// parallels is a Parallels image of 1 MiB in clusters of 64 KiB.
func parallels(edits ...edit) []byte {
	return apply(must(mkimage.Parallels{VirtualSize: 1 << 20}.Bytes()), edits...)
}

// oldParallels is an image as older versions wrote it.
func oldParallels(edits ...edit) []byte {
	return parallels(append([]edit{put(0, "WithoutFreeSpace")}, edits...)...)
}

// parallelsExtension puts a format extension without features into the second
// cluster.
func parallelsExtension(b []byte) []byte {
	const cluster = 64 << 10
	b = apply(b, le64(56, cluster/512), end(2*cluster), le64(cluster, 0xAB234CEF23DCEA87))
	sum := md5.Sum(b[cluster+24:])
	return apply(b, put(cluster+8, string(sum[:])))
}

func parallelsHeader(change func(h *probe.Header)) *probe.Header {
	h := &probe.Header{Format: probe.Parallels, Version: 2, VirtualSize: 1 << 20, ClusterSize: 65536}
	if change != nil {
		change(h)
	}
	return h
}

var parallelsCases = []readCase{
	{name: "plain", image: parallels(), want: parallelsHeader(nil)},
	{name: "old", image: oldParallels(), want: parallelsHeader(nil)},
	{name: "magic", image: parallels(byteAt(15, 'T')), err: probe.ErrSignature, field: "magic"},
	{name: "magic of 15 bytes", image: parallels(end(15)), err: probe.ErrSignature, field: "magic"},
	{name: "header only", image: parallels(end(64)), want: parallelsHeader(nil)},
	{name: "truncated header", image: parallels(end(63)), err: probe.ErrTruncated, field: "header", differs: "truncated"},
	{name: "version 1", image: parallels(le32(16, 1)), err: probe.ErrUnsupported, field: "version"},
	{name: "version 3", image: parallels(le32(16, 3)), err: probe.ErrUnsupported, field: "version"},
	{name: "geometry is not looked at", image: parallels(le32(20, 0), le32(24, 1<<32-1)), want: parallelsHeader(nil)},

	{name: "no tracks", image: parallels(le32(28, 0)), err: probe.ErrCorrupt, field: "tracks"},
	{name: "1 track", image: parallels(le32(28, 1)), want: parallelsHeader(func(h *probe.Header) { h.ClusterSize = 512 })},
	{name: "63 tracks", image: parallels(le32(28, 63)), want: parallelsHeader(func(h *probe.Header) { h.ClusterSize = 63 * 512 })},
	{name: "most tracks", image: parallels(le32(28, 4186127)), want: parallelsHeader(func(h *probe.Header) { h.ClusterSize = 4186127 * 512 })},
	{name: "too many tracks", image: parallels(le32(28, 4186128)), err: probe.ErrCorrupt, field: "tracks"},
	{name: "2^32-1 tracks", image: parallels(le32(28, 1<<32-1)), err: probe.ErrCorrupt, field: "tracks"},

	{name: "no BAT", image: parallels(le32(32, 0)), want: parallelsHeader(nil)},
	{name: "BAT over the image's end", image: parallels(le32(32, 1<<20)), want: parallelsHeader(nil)},
	{name: "BAT of more than 2 GiB", image: parallels(le32(32, 1<<29)), err: probe.ErrCorrupt, field: "bat_entries"},
	{name: "BAT of 2^32-1 entries", image: parallels(le32(32, 1<<32-1)), err: probe.ErrCorrupt, field: "bat_entries"},

	{name: "no sectors", image: parallels(le64(36, 0)), want: parallelsHeader(func(h *probe.Header) { h.VirtualSize = 0 })},
	{name: "more sectors than the BAT maps", image: parallels(le64(36, 1<<32)), want: parallelsHeader(func(h *probe.Header) { h.VirtualSize = 1 << 41 })},
	{name: "most sectors", image: parallels(le64(36, 1<<54-1<<21)), want: parallelsHeader(func(h *probe.Header) { h.VirtualSize = 1<<63 - 1<<30 })},
	{name: "too many sectors", image: parallels(le64(36, 1<<54-1<<21+1)), err: probe.ErrCorrupt, field: "nb_sectors"},
	{name: "2^55 sectors", image: parallels(le64(36, 1<<55)), err: probe.ErrCorrupt, field: "nb_sectors"},
	{name: "2^64-1 sectors", image: parallels(le64(36, 1<<64-1)), err: probe.ErrCorrupt, field: "nb_sectors"},
	{name: "old, with what is above 32 bits", image: oldParallels(le64(36, 1<<63+2048)), want: parallelsHeader(nil)},

	{name: "in use", image: parallels(le32(44, 0x746F6E59)), want: parallelsHeader(func(h *probe.Header) { h.Dirty = true }), differs: "parallels in use"},
	{name: "in use by another word", image: parallels(le32(44, 0x312e3276)), want: parallelsHeader(nil)},
	{name: "data in the header", image: parallels(le32(48, 0)), want: parallelsHeader(nil)},
	{name: "flags are not looked at", image: parallels(le32(52, 1<<32-1)), want: parallelsHeader(nil)},
	{name: "extension", image: parallels(parallelsExtension), want: parallelsHeader(nil)},
	{name: "extension that is none", image: parallels(le64(56, 1)), want: parallelsHeader(nil), differs: "parallels format extension"},
	{name: "extension behind the image's end", image: parallels(le64(56, 1<<40)), want: parallelsHeader(nil), differs: "parallels format extension"},
	{name: "extension out of range", image: parallels(le64(56, 1<<54)), err: probe.ErrCorrupt, field: "ext_off"},
	{name: "extension at 2^55 sectors, where QEMU crashes", image: parallels(le64(56, 1<<55)), err: probe.ErrCorrupt, field: "ext_off"},
	{name: "extension at 2^55+128 sectors, where QEMU wraps around", image: parallels(parallelsExtension, le64(56, 1<<55+128)), err: probe.ErrCorrupt, field: "ext_off", differs: "parallels extension out of range"},
}
