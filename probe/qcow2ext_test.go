package probe_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// extended is a qcow2 image with extensions and a backing name right after
// them.
func extended(extensions []mkimage.Extension, edits ...edit) []byte {
	return apply(must(mkimage.Qcow2{VirtualSize: 1 << 20, Backing: "/base", Extensions: extensions}.Bytes()), edits...)
}

func exts(e ...mkimage.Extension) []mkimage.Extension { return e }

// recorded is the Header of an image over /base, whose name stands at off,
// with that format recorded.
func recorded(format string, off int64) *probe.Header {
	return version3(func(h *probe.Header) {
		h.Backing = &probe.Reference{Name: "/base", Offset: off, FormatRecorded: true, Format: format}
	})
}

func dataFile(name string, off int64, change func(h *probe.Header)) *probe.Header {
	return version3(func(h *probe.Header) {
		h.DataFile = &probe.Reference{Name: name, Offset: off}
		if change != nil {
			change(h)
		}
	})
}

func withBacking(off int64) func(h *probe.Header) {
	return func(h *probe.Header) { h.Backing = &probe.Reference{Name: "/base", Offset: off} }
}

// hasUnknown is for a header with something in it that QEMU does not know.
func hasUnknown(h *probe.Header) { h.Unknown = true }

// also is a change and one more.
func also(first, second func(h *probe.Header)) func(h *probe.Header) {
	return func(h *probe.Header) { first(h); second(h) }
}

// afterUnknown is a header of [recorded] that has an unknown extension as well.
func afterUnknown(format string, off int64) *probe.Header {
	h := recorded(format, off)
	h.Unknown = true
	return h
}

func hasBitmaps(h *probe.Header) { h.Bitmaps = true }

// dataFileImage has a data file but no backing image.
func dataFileImage(name string, edits ...edit) []byte {
	return apply(must(mkimage.Qcow2{VirtualSize: 1 << 20, DataFile: name}.Bytes()), edits...)
}

var (
	format  = func(s string) mkimage.Extension { return ext(mkimage.ExtBackingFormat, s) }
	unknown = func(s string) mkimage.Extension { return ext(0x1234, s) }
)

// The first extension stands at 112, its data at 120.
var qcow2ExtensionCases = []readCase{
	{name: "format raw, padded by 5", image: extended(exts(format("raw"))), want: recorded("raw", 136)},
	{name: "format qcow2, padded by 3", image: extended(exts(format("qcow2"))), want: recorded("qcow2", 136)},
	{name: "format of 8 bytes, not padded", image: extended(exts(format("host_dev"))), want: recorded("host_dev", 136)},
	{name: "format behind others", image: extended(exts(unknown("12345"), unknown(""), ext(extFeatureNames, strings.Repeat("x", 48)), format("raw"))),
		want: afterUnknown("raw", 216)},
	{name: "format behind the first 4 KiB", image: extended(exts(unknown(strings.Repeat("x", 10000)), format("raw"))), want: afterUnknown("raw", 10144)},
	{name: "format behind the end", image: extended(exts(ext(0, ""), format("raw"))), want: version3(withBacking(144))},
	{name: "format in version 2", image: must(mkimage.Qcow2{Version: 2, VirtualSize: 1 << 20, Backing: "/base", BackingFormat: "raw"}.Bytes()),
		want: version3(func(h *probe.Header) {
			h.Version = 2
			h.Backing = &probe.Reference{Name: "/base", Offset: 96, FormatRecorded: true, Format: "raw"}
		})},
	{name: "format without backing", image: v3image(be32(112, mkimage.ExtBackingFormat), be32(116, 3), put(120, "raw"), be64(128, 0)), want: version3(nil)},
	{name: "header_length 109", image: v3image(be32(100, 109), put(109, be(mkimage.ExtBackingFormat, uint32(3))+"raw\x00\x00\x00\x00\x00"), v1name(125, "/base")),
		want: recorded("raw", 125)},
	{name: "end missing before a name", image: v3image(put(112, be(mkimage.ExtBackingFormat, uint32(3))+"raw\x00\x00\x00\x00\x00"), v1name(128, "/base")),
		want: recorded("raw", 128)},
	{name: "end missing, name within the padding", image: v3image(put(112, be(mkimage.ExtBackingFormat, uint32(3))+"raw"), v1name(123, "/base")),
		want: recorded("raw", 123)},
	{name: "end missing in a cluster", image: clusters(9, be32(112, 0x1234), be32(116, 512-120)), want: version3(func(h *probe.Header) { h.ClusterSize, h.Unknown = 512, true })},
	{name: "end missing, 7 bytes left", image: clusters(9, be32(100, 105), be32(105, 0x1234), be32(109, 512-113-7)),
		err: probe.ErrCorrupt, field: "header extension"},
	{name: "end missing, 1 byte left", image: v3image(put(112, be(mkimage.ExtBackingFormat, uint32(3))+"raw\x00\x00\x00\x00\x00"), v1name(129, "/base")),
		err: probe.ErrCorrupt, field: "header extension"},
	{name: "format empty", image: extended(exts(format(""))), want: recorded("", 128)},
	{name: "format with a NUL", image: extended(exts(format("raw\x00qcow2"))), want: version3(func(h *probe.Header) {
		h.Backing = &probe.Reference{Name: "/base", Offset: 144, FormatRecorded: true, Format: "raw", FormatCutAtNUL: true}
	})},
	{name: "format padded with NULs", image: extended(exts(format("raw\x00\x00"))), want: recorded("raw", 136)},
	{name: "format behind a NUL", image: extended(exts(format("\x00raw"))), want: version3(func(h *probe.Header) {
		h.Backing = &probe.Reference{Name: "/base", Offset: 136, FormatRecorded: true, FormatCutAtNUL: true}
	})},
	{name: "format upper case", image: extended(exts(format("QCOW2"))), want: recorded("QCOW2", 136)},
	{name: "format file", image: extended(exts(format("file"))), want: recorded("file", 136)},
	{name: "format host_device", image: extended(exts(format("host_device"))), want: recorded("host_device", 144)},
	{name: "format nbd", image: extended(exts(format("nbd"))), want: recorded("nbd", 136)},
	{name: "format vpc", image: extended(exts(format("vpc"))), want: recorded("vpc", 136)},
	{name: "format garbage", image: extended(exts(format("\xff\n<&\"'"))), want: recorded("\xff\n<&\"'", 136)},
	{name: "format of 15 bytes", image: extended(exts(format("123456789012345"))), want: recorded("123456789012345", 144)},
	{name: "format of 16 bytes", image: extended(exts(format("1234567890123456"))), err: probe.ErrCorrupt, field: "backing file format name"},
	{name: "format twice", image: extended(exts(format("raw"), format("qcow2"))), err: probe.ErrCorrupt, field: "header extension", differs: "extension twice"},
	{name: "format twice, the same", image: extended(exts(format("raw"), format("raw"))), err: probe.ErrCorrupt, field: "header extension", differs: "extension twice"},
	{name: "data file twice", image: extended(exts(ext(mkimage.ExtDataFile, "a"), ext(mkimage.ExtDataFile, "b")), be64(72, 4)),
		err: probe.ErrCorrupt, field: "header extension", differs: "extension twice"},
	{name: "unknown twice", image: extended(exts(unknown("a"), unknown("b"))), want: version3(also(withBacking(152), hasUnknown))},

	{name: "longer than what is left", image: extended(exts(unknown("x")), be32(116, 17)), err: probe.ErrCorrupt, field: "header extension"},
	{name: "as long as what is left", image: extended(exts(unknown("x")), be32(116, 16)), want: version3(also(withBacking(136), hasUnknown))},
	{name: "longer than a cluster", image: extended(exts(unknown("x")), be32(116, 65537)), err: probe.ErrCorrupt, field: "header extension"},
	{name: "length 2^32-1", image: extended(exts(unknown("x")), be32(116, 1<<32-1)), err: probe.ErrCorrupt, field: "header extension"},
	{name: "length 2^32-1 of the end", image: extended(nil, be32(116, 1<<32-1)), err: probe.ErrCorrupt, field: "header extension"},
	{name: "unknown of 5000 bytes", image: extended(exts(unknown(strings.Repeat("x", 5000)))), want: version3(also(withBacking(5128), hasUnknown))},
	{name: "behind the image's end", image: v3image(be32(112, 0x1234), be32(116, 5000), end(4000)), err: probe.ErrTruncated, field: "header extension", differs: "truncated"},
	{name: "feature names are not read", image: extended(exts(ext(extFeatureNames, "odd"))), want: version3(withBacking(136))},

	{name: "data file", image: dataFileImage("/data"), want: dataFile("/data", 120, nil)},
	{name: "data file and backing", image: extended(exts(ext(mkimage.ExtDataFile, "/data")), be64(72, 4)), want: dataFile("/data", 120, withBacking(136))},
	{name: "data file, raw", image: dataFileImage("/data", be64(88, 2)), want: dataFile("/data", 120, func(h *probe.Header) { h.DataFileRaw = true })},
	{name: "data file, raw, and backing", image: extended(exts(ext(mkimage.ExtDataFile, "/data")), be64(72, 4), be64(88, 2)),
		want: dataFile("/data", 120, func(h *probe.Header) { withBacking(136)(h); h.DataFileRaw = true })},
	{name: "data file behind a format", image: extended(exts(format("raw"), ext(mkimage.ExtDataFile, "/data")), be64(72, 4)),
		want: dataFile("/data", 136, func(h *probe.Header) { h.Backing = recorded("raw", 152).Backing })},
	{name: "data file without a name", image: v3image(be64(72, 4)), want: dataFile("", -1, nil)},
	{name: "data file with an empty name", image: extended(exts(ext(mkimage.ExtDataFile, "")), be64(72, 4)), want: dataFile("", 120, withBacking(128))},
	{name: "data file with a NUL", image: dataFileImage("/da\x00ta"), want: dataFile("/da", 120, func(h *probe.Header) { h.DataFile.CutAtNUL = true })},
	{name: "data file json:", image: dataFileImage(`json:{"driver":"null-co"}`), want: dataFile(`json:{"driver":"null-co"}`, 120, nil)},
	{name: "data file without its feature", image: extended(exts(ext(mkimage.ExtDataFile, "/data"))), want: version3(withBacking(136)), differs: "unused data file name"},
	{name: "data file in version 2", image: must(mkimage.Qcow2{Version: 2, VirtualSize: 1 << 20, Extensions: exts(ext(mkimage.ExtDataFile, "/data"))}.Bytes()),
		want: version3(version2)},
	{name: "data file name of 4095 bytes", image: dataFileImage(strings.Repeat("a", 4095)), want: dataFile(strings.Repeat("a", 4095), 120, nil)},
	{name: "data file name of 4096 bytes", image: dataFileImage(strings.Repeat("a", 4096)),
		err: probe.ErrLimit, field: "external data file name", differs: "very long data file name"},
	{name: "raw data file without a data file", image: v3image(be64(88, 2)), err: probe.ErrCorrupt, field: "autoclear_features", differs: "raw data file without data file"},

	{name: "LUKS header", image: extended(exts(ext(extLUKS, be(uint64(65536), uint64(4096)))), be32(32, 2)),
		want: version3(func(h *probe.Header) { withBacking(144)(h); h.Encryption = probe.LUKSEnc }), differs: "LUKS header"},
	{name: "LUKS header without crypt_method", image: extended(exts(ext(extLUKS, be(uint64(65536), uint64(4096))))),
		err: probe.ErrCorrupt, field: "full disk encryption header pointer"},
	{name: "LUKS header, short pointer", image: extended(exts(ext(extLUKS, be(uint64(65536)))), be32(32, 2)),
		err: probe.ErrCorrupt, field: "full disk encryption header pointer"},
	{name: "LUKS header within a cluster", image: extended(exts(ext(extLUKS, be(uint64(65537), uint64(4096)))), be32(32, 2)),
		err: probe.ErrCorrupt, field: "full disk encryption header pointer"},
	{name: "LUKS header behind the end", image: extended(exts(ext(extLUKS, be(uint64(1<<62), uint64(1<<63)))), be32(32, 2)),
		err: probe.ErrTruncated, field: "full disk encryption header"},

	{name: "bitmaps, stale", image: extended(exts(ext(extBitmaps, strings.Repeat("x", 24)))), want: version3(also(withBacking(152), hasBitmaps))},
	{name: "bitmaps, stale, length", image: extended(exts(ext(extBitmaps, "x"))), err: probe.ErrCorrupt, field: "bitmaps extension"},
	{name: "bitmaps", image: bitmaps(1, 0, 24, 65536), want: version3(also(withBacking(152), hasBitmaps)), differs: "bitmap directory"},
	{name: "bitmaps, reserved", image: bitmaps(1, 1, 24, 65536), err: probe.ErrCorrupt, field: "bitmaps extension"},
	{name: "bitmaps, none", image: bitmaps(0, 0, 24, 65536), err: probe.ErrCorrupt, field: "nb_bitmaps"},
	{name: "bitmaps, 65536", image: bitmaps(65536, 0, 24, 65536), err: probe.ErrCorrupt, field: "nb_bitmaps"},
	{name: "bitmaps, directory within a cluster", image: bitmaps(1, 0, 24, 65537), err: probe.ErrCorrupt, field: "bitmap_directory_offset"},
	{name: "bitmaps, directory empty", image: bitmaps(1, 0, 0, 65536), err: probe.ErrCorrupt, field: "bitmap_directory_size"},
	{name: "bitmaps, directory too large", image: bitmaps(1, 0, 1024*65535+1, 65536), err: probe.ErrCorrupt, field: "bitmap_directory_size"},
	{name: "bitmaps bit without extension", image: v3image(be64(88, 1)), want: version3(nil)},
}

func bitmaps(count, reserved uint32, size, offset uint64) []byte {
	return extended(exts(ext(extBitmaps, be(count, reserved, size, offset))), be64(88, 1))
}

// TestDataFilesThatQEMUOpens: qemu-img info opens no data file, so what QEMU
// makes of one is asked of qemu-io, which opens the image as a guest would.
func TestDataFilesThatQEMUOpens(t *testing.T) {
	peers.Require(t, "qemu-io")
	dir := t.TempDir()
	for _, name := range []string{"data", "base"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rawOverBase := must(mkimage.Qcow2{VirtualSize: 1 << 20, DataFile: "data", Backing: "base", BackingFormat: "raw"}.Bytes())
	for _, c := range []struct {
		name    string
		image   []byte
		refuses string // QEMU's message
		ours    bool   // whether Read accepts
	}{
		{"data file", dataFileImage("data"), "", true},
		{"raw data file", dataFileImage("data", be64(88, 2)), "", true},
		{"raw data file and backing", apply(rawOverBase, be64(88, 2)), "", true},
		{"raw data file without a data file", v3image(be64(88, 2)), "data-file-raw requires a data file", false},
		{"raw data file in version 2", v2image(be64(88, 2)), "", true},
		{"name without feature", v3image(put(112, be(mkimage.ExtDataFile, uint32(8))+"nowhere!")), "", true},
		// These are whole headers, which QEMU opens if it is told the file.
		{"feature without name", v3image(be64(72, 4)), "'data-file' is required", true},
		{"empty name", v3image(be64(72, 4), be32(112, mkimage.ExtDataFile)), "requires a file name", true},
		{"LUKS without a header", v3image(be32(32, 2)), "Missing CRYPTO header", false},
	} {
		writeImage(t, filepath.Join(dir, "image"), c.image)
		_, stderr, err := command(dir, "qemu-io", "-r", "-f", "qcow2", "-c", "length", "image")
		if (err != nil) != (c.refuses != "") || !strings.Contains(stderr, c.refuses) {
			t.Errorf("%s: qemu-io: %v, %s", c.name, err, stderr)
		}
		if _, err := read(t, bytes.NewReader(c.image), int64(len(c.image)), probe.Qcow2); (err == nil) != c.ours {
			t.Errorf("%s: Read: %v", c.name, err)
		}
	}
}
