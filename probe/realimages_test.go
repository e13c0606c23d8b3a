package probe_test

import (
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
)

// realImage is an image that qemu-img makes, and how it is mutated.
type realImage struct {
	format  probe.Format
	options string // of "qemu-img create -o"
	backing string // "" for none
	size    string
	differs string // the deliberate difference that it shows as it is
	change  func(r *rand.Rand, b []byte) []byte
}

// realImages are of every subformat that qemu-img writes.
var realImages = []realImage{
	{format: probe.VMDK, size: "1M", change: mutateVMDK},
	{format: probe.VMDK, options: "subformat=monolithicSparse,adapter_type=lsilogic,zeroed_grain=on", size: "5G", change: mutateVMDK},
	{format: probe.VMDK, options: "adapter_type=legacyESX,hwversion=7", backing: "base", size: "1M", change: mutateVMDK},
	{format: probe.VMDK, options: "subformat=streamOptimized", size: "1M", change: mutateVMDK},
	{format: probe.VMDK, options: "subformat=monolithicFlat,compat6=on", size: "1M", change: mutateText},
	{format: probe.VMDK, options: "subformat=twoGbMaxExtentFlat,adapter_type=buslogic", size: "4100M", change: mutateText},
	{format: probe.VMDK, options: "subformat=twoGbMaxExtentSparse", size: "4100M", differs: "sparse extents", change: mutateText},
	{format: probe.VMDK, options: "subformat=twoGbMaxExtentSparse", backing: "base", size: "1M", differs: "sparse extents", change: mutateText},
	{format: probe.VDI, size: "5M", change: mutateVDI},
	{format: probe.VDI, options: "static=on", size: "64k", change: mutateVDI},
	{format: probe.VPC, size: "1M", change: mutateVPC},
	{format: probe.VPC, options: "subformat=dynamic,force_size=on", size: "4G", change: mutateVPC},
	{format: probe.VPC, options: "subformat=fixed", size: "64k", change: mutateVPC},
	{format: probe.VPC, options: "subformat=fixed,force_size=on", size: "64k", change: mutateVPC},
}

// TestRealImagesAgreeWithQEMUImg compares Read with qemu-img info over images
// that qemu-img has made, as they are and mutated here and there.
func TestRealImagesAgreeWithQEMUImg(t *testing.T) {
	peers.Require(t, "qemu-img")
	const mutations = 240 // of a format's images together
	kinds := make(map[probe.Format]int)
	for _, real := range realImages {
		kinds[real.format]++
	}
	dir := t.TempDir()
	writeExtents(t, dir)
	if _, stderr, err := command(dir, "qemu-img", "create", "-f", "vmdk", "base", "1M"); err != nil {
		t.Fatal(stderr)
	}
	r := rand.New(rand.NewPCG(1, 2))
	accepted, total := make(map[probe.Format]int), make(map[probe.Format]int)
	deliberate := make(map[string]int)
	for _, real := range realImages {
		b := real.make(t, dir)
		all := []drawnImage{{real.format, b}}
		for range mutations / kinds[real.format] {
			all = append(all, drawnImage{real.format, real.change(r, slices.Clone(b))})
		}
		for i, c := range compareAll(t, dir, all) {
			both := c.ours != nil && c.theirs != nil
			names, unexplained := c.agree()
			if unexplained != "" {
				t.Errorf("%s %q, mutation %d: %s\n%d bytes:\n%s", real.format, real.options, i, unexplained, len(c.image), hex.Dump(c.image[:min(len(c.image), 1024)]))
			}
			if want := slices.DeleteFunc([]string{real.differs}, func(s string) bool { return s == "" }); i == 0 && (!both || !slices.Equal(names, want)) {
				t.Errorf("%s %q as it is: both read it: %v; deliberate differences %q, want %q", real.format, real.options, both, names, want)
			}
			for _, name := range names {
				deliberate[name]++
			}
			total[real.format]++
			if both {
				accepted[real.format]++
			}
		}
	}
	t.Logf("of %v images both read %v; deliberate differences: %v", total, accepted, deliberate)
	for f, n := range total {
		if accepted[f] < n/5 || accepted[f] > n*4/5 {
			t.Errorf("%s: %d images, of which both read %d, prove too little", f, n, accepted[f])
		}
	}
}

// make lets qemu-img make the image; the extents that it names stay in dir.
func (i realImage) make(t *testing.T, dir string) []byte {
	t.Helper()
	args := []string{"create", "-q", "-f", string(i.format)}
	if i.options != "" {
		args = append(args, "-o", i.options)
	}
	if i.backing != "" {
		args = append(args, "-b", i.backing, "-F", "vmdk")
	}
	if _, stderr, err := command(dir, "qemu-img", append(args, "real", i.size)...); err != nil {
		t.Fatalf("qemu-img %q: %v, %s", args, err, stderr)
	}
	b, err := os.ReadFile(filepath.Join(dir, "real"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// mutateFields changes one field or two. Of a count, which QEMU allocates
// memory by, values are chosen that let it allocate little.
func mutateFields(r *rand.Rand, b []byte, put32 func(int, uint32) edit, put64 func(int, uint64) edit, counts []int, fields ...field) []byte {
	for range pick(r, 1, 1, 1, 2) {
		f := pick(r, fields...)
		v := pick(r, 0, 1, 2, 3, 4, 5, 21, 22, 127, 128, 129, 511, 512, 513, 1024, 4096, 65536, 65537, 1<<20, 1<<20+512, 1<<21, 1<<24+1,
			1<<31, 1<<32-1, 1<<32, 1<<54, 1<<55, 1<<63-1, 1<<63, 1<<64-512, uint64(1<<64-1))
		if slices.Contains(counts, f.at) && v > 1<<20 {
			v = pick(r, 1<<20, uint64(1<<32-1))
		} else if r.IntN(4) == 0 && !slices.Contains(counts, f.at) {
			v = 1 << r.IntN(64)
		}
		switch f.width {
		case 1:
			b = byteAt(f.at, byte(v))(b)
		case 4:
			b = put32(f.at, uint32(v))(b)
		case 8:
			b = put64(f.at, v)(b)
		}
	}
	if r.IntN(10) == 0 {
		b = end(r.IntN(len(b)))(b)
	}
	return b
}

// mutateVMDK changes a sparse image: its header, or the text inside.
func mutateVMDK(r *rand.Rand, b []byte) []byte {
	const text, textSize = 512, 20 * 512
	switch r.IntN(8) {
	case 0, 1:
		changed := mutateText(r, []byte(untilNUL(b[text:text+textSize])))
		return put(text, string(end(textSize)(changed)))(b)
	case 2:
		b = le64(12, 0)(b)
		changed := append([]byte(flatType+"RW 8 FLAT \"flat\" 0\n"), "parentFileNameHint=\"base\"\n"...)
		b = put(text, string(end(textSize)(mutateText(r, changed))))(b)
		if r.IntN(2) == 0 {
			return b
		}
	case 3:
		b = apply(b, put(0, string(cowd()[:512])))
		return mutateFields(r, b, le32, le64, nil, field{0, 1}, field{4, 4}, field{8, 4}, field{12, 4}, field{16, 4}, field{20, 4}, field{24, 4})
	case 4:
		b = stream()
		return mutateFields(r, b, le32, le64, nil, field{12, 8}, field{56, 8}, field{22*512 + 8, 4}, field{22*512 + 12, 4}, field{23 * 512, 1}, field{23*512 + 4, 4},
			field{23*512 + 12, 8}, field{23*512 + 20, 8}, field{23*512 + 44, 4}, field{23*512 + 56, 8}, field{23*512 + 64, 8}, field{24 * 512, 8}, field{24*512 + 8, 4})
	}
	return mutateFields(r, b, le32, le64, nil, field{4, 4}, field{8, 4}, field{12, 8}, field{20, 8}, field{28, 8}, field{36, 8}, field{44, 4},
		field{48, 8}, field{56, 8}, field{64, 8}, field{77, 1})
}

// untilNUL is b as a string of C's.
func untilNUL(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// mutateText puts words of a descriptor where they do not belong, or takes some
// bytes away.
func mutateText(r *rand.Rand, b []byte) []byte {
	for range pick(r, 1, 1, 2, 3) {
		at := r.IntN(len(b) + 1)
		cut := min(pick(r, 0, 0, 1, 1, 2, 5, 20), len(b)-at)
		word := pick(r, "", "\n", " ", "\t", "\r\n", "\v", "\"", "\x00", "0", "7", "-", "+1", "x", "RW ", "RW 8 VMFS \"flat\"\n", "\nRW 8 FLAT \"flat\" 0\n",
			"\n\nRW 8 FLAT \"flat\" 9\n", "RW 8 FLAT \"flat", "RW -8 FLAT \"flat\" 0\n", "RW 2048 SPARSE \"sparse\"\n", "FLAT", "CID", "CID=", "parentCID=1\n",
			"parentFileNameHint=\"base\"\n", "parentFileNameHint", "createType=\"vmfs\"\n", "createType", "#", "99999999999999999999")
		b = slices.Concat(b[:at], []byte(word), b[at+cut:])
	}
	return b
}

func mutateVDI(r *rand.Rand, b []byte) []byte {
	return mutateFields(r, b, le32, le64, []int{384}, field{64, 1}, field{68, 4}, field{76, 4}, field{340, 4}, field{344, 4}, field{348, 4}, field{360, 4},
		field{368, 8}, field{368, 8}, field{376, 4}, field{380, 4}, field{384, 4}, field{388, 4}, field{392, 8}, field{424, 8}, field{440, 8})
}

func mutateVPC(r *rand.Rand, b []byte) []byte {
	at, fields := 0, []field{}
	if untilNUL(b[:min(len(b), 9)]) == "conectix" {
		for _, f := range []field{{0, 8}, {16, 8}, {24, 4}, {28, 4}, {32, 4}, {36, 4}, {1024, 4}} {
			fields = append(fields, field{512 + f.at, f.width})
		}
		fields = append(fields, field{16, 8})
	} else {
		at = len(b) - 512
	}
	for _, f := range []field{{0, 1}, {8, 4}, {12, 4}, {28, 4}, {48, 8}, {48, 8}, {56, 4}, {56, 1}, {60, 4}} {
		fields = append(fields, field{at + f.at, f.width})
	}
	if r.IntN(3) == 0 {
		b = put(at+28, pick(r, "win ", "vpc ", "tap\x00", "tape", "d2v ", "vbox"))(b)
	}
	b = mutateFields(r, b, be32, be64, []int{512 + 28}, fields...)
	if r.IntN(10) != 0 {
		b = vpcChecksum(b)
	}
	return b
}
