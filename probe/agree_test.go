package probe_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// TestAgreesWithQEMUImg compares Read with qemu-img info over random headers,
// mostly sound and mutated here and there, and over random chains. Every
// disagreement must be one of the named differences.
func TestAgreesWithQEMUImg(t *testing.T) {
	peers.Require(t, "qemu-img")
	const batch, least = 10, 800 // images a check, of which rapid makes 100, and in all
	dir := t.TempDir()
	var images, accepted, layers int
	deliberate := make(map[string]int)
	rapid.Check(t, func(rt *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(drawImage), batch, batch).Draw(rt, "images")
		for _, c := range compareAll(t, dir, all) {
			image, both := c.image, c.ours != nil && c.theirs != nil
			names, unexplained := c.agree()
			if unexplained != "" {
				rt.Fatalf("%s: %s\n%d bytes:\n%s", c.format, unexplained, len(image), hex.Dump(image[:min(len(image), 512)]))
			}
			for _, name := range names {
				deliberate[name]++
			}
			images++
			if both {
				accepted++
			}
		}
		layers += compareChain(t, rt, dir)
	})
	t.Logf("%d images, of which both read %d; %d layers of chains; deliberate differences: %v", images, accepted, layers, deliberate)
	if !t.Failed() && (images < least || accepted < images/4 || accepted > images*3/4) {
		t.Errorf("%d images, of which both read %d, prove too little", images, accepted)
	}
}

type drawnImage struct {
	format probe.Format
	bytes  []byte
}

// GoString keeps the bytes out of rapid's log; a failure dumps those that
// matter.
func (d drawnImage) GoString() string { return fmt.Sprintf("%s of %d bytes", d.format, len(d.bytes)) }

// compareAll runs two qemu-imgs at a time.
func compareAll(t *testing.T, dir string, images []drawnImage) []*comparison {
	all := make([]*comparison, len(images))
	var wait sync.WaitGroup
	for worker := range 2 {
		wait.Go(func() {
			for i := worker; i < len(images); i += 2 {
				name := fmt.Sprintf("image%d", i)
				writeImage(t, filepath.Join(dir, name), images[i].bytes)
				theirs, stderr, err := qemuInfo(dir, name, images[i].format)
				if err != nil {
					t.Error(err)
				}
				all[i] = compare(t, images[i].bytes, images[i].format, theirs, stderr)
			}
		})
	}
	wait.Wait()
	return all
}

// compareChain builds a chain of sound images, lets qemu-img walk it, and
// walks it by Read, and by Signatures where no format is recorded.
func compareChain(t *testing.T, rt *rapid.T, dir string) int {
	formats := rapid.SliceOfN(rapid.SampledFrom([]probe.Format{probe.Qcow, probe.Qcow2, probe.QED}), 1, 4).Draw(rt, "chain")
	record := rapid.SliceOfN(rapid.Bool(), len(formats), len(formats)).Draw(rt, "recorded")
	below := probe.Raw
	images := make(map[string][]byte)
	for i := len(formats) - 1; i >= 0; i-- {
		backing := fmt.Sprintf("layer%d", i+1)
		switch formats[i] {
		case probe.Qcow:
			images[fmt.Sprintf("layer%d", i)] = must(mkimage.Qcow{VirtualSize: 1 << 20, Backing: backing}.Bytes())
		case probe.Qcow2:
			overlay := mkimage.Qcow2{VirtualSize: 1 << 20, Backing: backing}
			if record[i] {
				overlay.BackingFormat = string(below)
			}
			images[fmt.Sprintf("layer%d", i)] = must(overlay.Bytes())
		case probe.QED:
			images[fmt.Sprintf("layer%d", i)] = must(mkimage.QED{VirtualSize: 1 << 20, Backing: backing, NoProbe: below == probe.Raw}.Bytes())
		}
		below = formats[i]
	}
	images[fmt.Sprintf("layer%d", len(formats))] = make([]byte, 1<<20)
	for name, image := range images {
		writeImage(t, filepath.Join(dir, name), image)
	}

	out, stderr, err := command(dir, "qemu-img", "info", "--backing-chain", "--output=json", "-f", string(formats[0]), "layer0")
	if err != nil {
		rt.Fatalf("qemu-img info: %v, %s", err, stderr)
	}
	var theirs []*info
	if err := json.Unmarshal(out, &theirs); err != nil {
		rt.Fatal(err)
	}
	name, f := "layer0", formats[0]
	for n := 0; ; n++ {
		image := images[name]
		if n >= len(theirs) {
			rt.Fatalf("qemu-img sees %d layers of %v", len(theirs), formats)
		}
		c := compare(t, image, f, theirs[n], stderr)
		if deliberate, unexplained := c.agree(); unexplained != "" || deliberate != nil {
			rt.Fatalf("layer %d of %v: %v %s", n, formats, deliberate, unexplained)
		}
		next := c.header.Backing
		if next == nil {
			if n != len(formats) || n+1 != len(theirs) {
				rt.Fatalf("chain of %v ends at %d, qemu-img's has %d", formats, n, len(theirs))
			}
			return n + 1
		}
		name, f = next.Name, probe.Format(next.Format)
		if !next.FormatRecorded {
			f = probedFormat(rt, images[name])
		}
	}
}

func probedFormat(rt *rapid.T, image []byte) probe.Format {
	marks, err := probe.Signatures(bytes.NewReader(image), int64(len(image)))
	if err != nil || len(marks) > 1 {
		rt.Fatalf("%v, %v", marks, err)
	}
	if len(marks) == 0 {
		return probe.Raw
	}
	return marks[0].Format
}

func drawImage(t *rapid.T) drawnImage {
	switch rapid.IntRange(0, 9).Draw(t, "format") {
	case 0, 1:
		return drawnImage{probe.Qcow, drawQcow(t)}
	case 2, 3:
		return drawnImage{probe.QED, drawQED(t)}
	}
	return drawnImage{probe.Qcow2, drawQcow2(t)}
}

// rarely is true once in n times.
func rarely(t *rapid.T, n int, label string) bool {
	return rapid.IntRange(1, n).Draw(t, label) == n
}

func drawName(t *rapid.T) string {
	if rarely(t, 4, "odd name") {
		return rapid.SampledFrom([]string{
			"", "\x00", "\x00/hidden", "/b\x00se", "nul\x00\x00", "a\nb", "\x1b[2J", "é\xff", "a:b", "nbd://host/x", `json:{"driver":"raw"}`,
			"file:/x", "../base", strings.Repeat("n", 1022), strings.Repeat("n", 1023), strings.Repeat("n", 1024),
		}).Draw(t, "name")
	}
	return rapid.StringMatching(`/?[a-z0-9./_-]{1,40}`).Draw(t, "name")
}

func drawBackingFormat(t *rapid.T) string {
	if rarely(t, 4, "odd format") {
		return rapid.StringMatching(`[ -~]{0,17}`).Draw(t, "backing format")
	}
	return rapid.SampledFrom([]string{
		"raw", "qcow2", "qcow", "qed", "vmdk", "QCOW2", "luks", "vhdx", "file", "host_device", "nbd", "", "raw\x00qcow2", "\x00raw", "raw\x00",
	}).Draw(t, "backing format")
}

func drawQcow2(t *rapid.T) []byte {
	bits := rapid.SampledFrom([]uint32{9, 12, 14, 16, 16, 16, 21}).Draw(t, "cluster_bits")
	cluster := 1 << bits
	size := rapid.SampledFrom([]uint64{0, 512, 1000, 1 << 20, 1 << 20, 1<<29 + 1}).Draw(t, "size")

	version, length := uint32(3), 112
	var incompatible, autoclear uint64
	var compression byte
	if rarely(t, 4, "version 2") {
		version, length = 2, 72
	} else {
		length = rapid.SampledFrom([]int{104, 112, 112, 112, 120, 109}).Draw(t, "header_length")
		for _, bit := range []uint64{1, 2, 4, 16} {
			if rarely(t, 6, "incompatible bit") {
				incompatible |= bit
			}
		}
		if length > 104 && rarely(t, 6, "zstd") {
			incompatible, compression = incompatible|8, 1
		}
		if rarely(t, 6, "autoclear") {
			autoclear = rapid.SampledFrom([]uint64{1, 2, 3, 1 << 40}).Draw(t, "autoclear_features")
		}
	}
	l1Entries := 16 + size>>(bits+bits-4)
	h := []byte("QFI\xfb" + be(version, uint64(0), uint32(0), bits, size, uint32(0), uint32(l1Entries),
		uint64(3*cluster), uint64(cluster), uint32(1), uint32(0), uint64(0)))
	if version == 3 {
		h = append(h, be(incompatible, uint64(0), autoclear, uint32(4), uint32(length), compression, make([]byte, 15))...)[:length]
	}

	for range rapid.IntRange(0, 3).Draw(t, "extensions") {
		e := drawExtension(t)
		h = append(h, be(e.Type, uint32(len(e.Data)), e.Data, make([]byte, -len(e.Data)&7))...)
		if e.Type == extLUKS {
			h = apply(h, be32(32, 2))
		}
	}
	if !rarely(t, 3, "end missing") {
		h = append(h, make([]byte, 8)...)
	}
	if rarely(t, 2, "backing") {
		name := drawName(t)
		at := len(h)
		switch rapid.IntRange(0, 5).Draw(t, "place") {
		case 0:
			at = rapid.IntRange(length-8, len(h)+16).Draw(t, "backing_file_offset")
		case 1:
			at = cluster - len(name)
		case 2:
			at = max(0, cluster-len(name)-rapid.IntRange(-2, 100).Draw(t, "before the end"))
		}
		h = apply(h, v1name(max(at, 0), name))
	}
	h = drawEnd(t, h, min(cluster, 64<<10))
	return drawMutations(t, h, be32, be64, []field{
		{4, 4}, {8, 8}, {16, 4}, {20, 4}, {24, 8}, {32, 4}, {36, 4}, {40, 8}, {48, 8}, {56, 4}, {60, 4}, {64, 8},
		{72, 8}, {80, 8}, {88, 8}, {96, 4}, {100, 4}, {length, 4}, {length + 4, 4}, {length + 8, 4},
	})
}

func drawExtension(t *rapid.T) mkimage.Extension {
	switch rapid.IntRange(0, 11).Draw(t, "extension") {
	case 0, 1, 2, 3:
		return format(drawBackingFormat(t))
	case 4, 5, 6:
		return ext(mkimage.ExtDataFile, drawName(t))
	case 7:
		return ext(extFeatureNames, strings.Repeat("f", 48))
	case 8:
		return ext(extBitmaps, be(uint32(rapid.IntRange(0, 2).Draw(t, "nb_bitmaps")), uint32(0), uint64(24), uint64(1<<21)))
	case 9:
		return ext(extLUKS, be(uint64(0), uint64(64)))
	}
	return unknown(strings.Repeat("u", rapid.SampledFrom([]int{0, 1, 7, 8, 9, 5000}).Draw(t, "unknown")))
}

func drawQcow(t *rapid.T) []byte {
	bits := rapid.ByteRange(9, 16).Draw(t, "cluster_bits")
	h := []byte("QFI\xfb" + be(uint32(1), uint64(0), uint32(0), uint32(0),
		rapid.SampledFrom([]uint64{2, 512, 1000, 1 << 20, 1 << 30, 1 << 34}).Draw(t, "size"),
		bits, rapid.ByteRange(6, 13).Draw(t, "l2_bits"), uint16(0), uint32(rapid.IntRange(0, 1).Draw(t, "crypt_method")), uint64(48)))
	if rarely(t, 2, "backing") {
		h = apply(h, v1name(rapid.SampledFrom([]int{48, 48, 60, 47, 4090, 5000, 100000}).Draw(t, "place"), drawName(t)))
	}
	h = drawEnd(t, h, 4096)
	// The size is left alone: with most values qemu-img would read gigabytes
	// of L1 table.
	return drawMutations(t, h, be32, be64, []field{{4, 4}, {8, 8}, {16, 4}, {32, 1}, {33, 1}, {36, 4}, {40, 8}})
}

func drawQED(t *rapid.T) []byte {
	cluster := uint32(1) << rapid.IntRange(12, 15).Draw(t, "cluster_size")
	table := uint32(1) << rapid.IntRange(1, 3).Draw(t, "table_size")
	h := []byte("QED\x00")
	h = apply(h, le32(4, cluster), le32(8, table), le32(12, 1), le64(16, uint64(rapid.IntRange(0, 7).Draw(t, "features"))),
		le64(24, 0), le64(32, 0), le64(40, uint64(cluster)),
		le64(48, rapid.SampledFrom([]uint64{0, 512, 1 << 20, 1 << 32, 1 << 50}).Draw(t, "image_size")), le64(56, 0))
	if rarely(t, 2, "backing") {
		name := drawName(t)
		at := rapid.SampledFrom([]int{64, 64, 64, 100, 63, int(cluster) - len(name), int(cluster) - len(name) + 1}).Draw(t, "place")
		h = apply(h, le32(56, uint32(at)), le32(60, uint32(len(name))), put(at, name))
	}
	h = drawEnd(t, h, int(cluster*(1+table))+rapid.SampledFrom([]int{0, 0, 0, 1, -1, -512, 5000}).Draw(t, "more"))
	return drawMutations(t, h, le32, le64, []field{{4, 4}, {8, 4}, {12, 4}, {16, 8}, {24, 8}, {32, 8}, {40, 8}, {48, 8}, {56, 4}, {60, 4}})
}

// drawEnd makes an image of what is so far its first bytes: as long as is
// usual, or ending soon after them or in the midst.
func drawEnd(t *rapid.T, b []byte, usual int) []byte {
	switch rapid.IntRange(0, 9).Draw(t, "length") {
	case 0:
		return apply(b, end(rapid.IntRange(0, len(b)).Draw(t, "cut")))
	case 1:
		return b
	}
	return apply(b, end(max(len(b), usual)))
}

// field is a place in a header: offset and width in bytes.
type field struct{ at, width int }

func drawMutations(t *rapid.T, b []byte, put32 func(int, uint32) edit, put64 func(int, uint64) edit, fields []field) []byte {
	values := []uint64{
		0, 1, 2, 3, 4, 5, 7, 8, 9, 14, 15, 16, 21, 22, 63, 64, 72, 104, 105, 112, 120, 200, 511, 512, 1023, 1024, 1 << 12, 1 << 16, 1<<16 + 1,
		1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1<<30 - 1<<16, 1<<63 - 1<<30, 1<<63 - 1<<16, 1<<63 - 1, 1 << 63, 1<<64 - 1<<16, 1<<64 - 1,
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 1, 1, 2}).Draw(t, "mutations") {
		f := rapid.SampledFrom(fields).Draw(t, "field")
		if f.at+f.width > len(b) {
			continue
		}
		v := rapid.SampledFrom(values).Draw(t, "value")
		if rarely(t, 4, "one bit") {
			v = 1 << rapid.IntRange(0, 63).Draw(t, "bit")
		}
		switch f.width {
		case 1:
			b = apply(b, byteAt(f.at, byte(v)))
		case 4:
			b = apply(b, put32(f.at, uint32(v)))
		case 8:
			b = apply(b, put64(f.at, v))
		}
	}
	return b
}
