package chain_test

import (
	"bytes"
	"compress/zlib"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// ownDiskSize is the length of the disk that the guest writes to.
const ownDiskSize = 1 << 20

// rawDisks are disks whose own image "own" is raw by a statement or by
// default, as a definition can have them.
func rawDisks(f *files) map[string]chain.Stated {
	f.qcow2("over-recorded", img{backing: "own", backingFormat: "raw"})
	f.qcow2("over-own", img{backing: "own"})
	f.qcow2("over-over", img{backing: "over-recorded", backingFormat: "qcow2"})
	top := func(format probe.Format, change func(*chain.Stated)) chain.Stated {
		s := chain.Stated{Target: "vda", Layers: []chain.Layer{f.layer("own", format)}}
		if change != nil {
			change(&s)
		}
		return s
	}
	device := func(d string) func(*chain.Stated) {
		return func(s *chain.Stated) { s.Device, s.ReadOnly = d, d == "cdrom" }
	}
	below := func(s *chain.Stated) { s.Layers, s.Terminated = append(s.Layers, f.layer("lower", probe.Raw)), true }
	ended := func(s *chain.Stated) { s.Terminated = true }
	disks := map[string]chain.Stated{
		"recorded":             f.top("over-recorded"),
		"recorded, two layers": f.top("over-over"),
		"stated below": {Target: "vda", Terminated: true,
			Layers: []chain.Layer{f.layer("over-own", probe.Qcow2), f.layer("own", probe.Raw)}},
	}
	for name, format := range map[string]probe.Format{"raw": probe.Raw, "no type": ""} {
		disks[name] = top(format, nil)
		disks[name+", ended"] = top(format, ended)
		disks[name+", over a chain"] = top(format, below)
		disks[name+", sd"] = top(format, func(s *chain.Stated) { s.Bus = "sd" })
		for _, d := range []string{"cdrom", "floppy", "lun"} {
			disks[name+", "+d] = top(format, device(d))
		}
	}
	return disks
}

// ownHeaders are images of every format that is known here, those that name a
// file among them, and all the vectors of package probe that fit.
func ownHeaders(t *testing.T, names string) map[string][]byte {
	t.Helper()
	const size = 1 << 20
	headers := make(map[string][]byte)
	for name, i := range map[string]interface{ Bytes() ([]byte, error) }{
		"qcow":             mkimage.Qcow{VirtualSize: size, Backing: names},
		"qcow2":            mkimage.Qcow2{VirtualSize: size},
		"qcow2 on a file":  mkimage.Qcow2{VirtualSize: size, Backing: names, BackingFormat: "raw"},
		"qcow2 with data":  mkimage.Qcow2{VirtualSize: size, DataFile: names},
		"qed":              mkimage.QED{VirtualSize: size, Backing: names},
		"vmdk":             mkimage.VMDK{VirtualSize: size, Backing: names},
		"vmdk descriptor":  mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Sectors: size / 512, Name: names}}},
		"vdi":              mkimage.VDI{VirtualSize: size, Differencing: true},
		"vpc":              mkimage.VPC{VirtualSize: size},
		"vpc, fixed":       mkimage.VPC{VirtualSize: size / 2, Fixed: true},
		"vpc on a parent":  mkimage.VPC{VirtualSize: size, Parent: names},
		"vhdx on a parent": mkimage.VHDX{VirtualSize: size, Parent: names},
		"vhdx":             mkimage.VHDX{VirtualSize: size},
		"parallels":        mkimage.Parallels{VirtualSize: size},
		"luks":             mkimage.LUKS1{VirtualSize: size},
		"gzip":             literal("\x1f\x8b\x08\x00"),
		"iso":              at(32769, "CD001", 33<<10),
	} {
		b, err := i.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		headers[name] = b[:min(len(b), ownDiskSize)]
	}
	vectors, err := filepath.Glob("../probe/testdata/vectors/*.vector")
	if err != nil || len(vectors) < 500 {
		t.Fatalf("%d vectors: %v", len(vectors), err)
	}
	seen := make(map[probe.Format]bool)
	for _, name := range vectors {
		b := vectorImage(t, name)
		headers[filepath.Base(name)] = b
		signatures, err := probe.Signatures(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range signatures {
			seen[s.Format] = true
		}
	}
	for _, format := range probe.Formats() {
		if format != probe.Raw && !seen[format] {
			t.Errorf("no vector has the signature of %q", format)
		}
	}
	return headers
}

// vectorImage is what fits on the disk of the image of one vector.
func vectorImage(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, packed, ok := bytes.Cut(data, []byte("\n\n"))
	if !ok {
		t.Fatalf("%s has no image", path)
	}
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	img, err := io.ReadAll(io.LimitReader(r, ownDiskSize))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return img
}

// verdictOf is what a guest must not be able to change: the verdict, and the
// formats with their origins.
func verdictOf(c *chain.Chain) string {
	var b strings.Builder
	b.WriteString(c.Verdict.String())
	for _, l := range c.Layers {
		b.WriteString("; " + storage.Describe(l.Source) + " " + string(l.Format) + " " + l.From.String())
	}
	return b.String()
}

// A guest's own writes never change a verdict of a disk that is raw by statement
// or by default, and no file that they name is touched.
func TestOwnWritesChangeNoVerdict(t *testing.T) {
	f := newFiles(t)
	f.raw("lower", ownDiskSize)
	f.raw("secret", ownDiskSize)
	f.put("own", make([]byte, ownDiskSize))
	disks := rawDisks(f)
	headers := ownHeaders(t, f.path("secret"))
	names := sortedKeys(headers)
	policies := []chain.Policy{{}, {Rule: chain.Strict}, {Rule: chain.Declared}, {Disagreement: chain.HeadersWin}, {Disagreement: chain.XMLWins},
		{Target: mustVersion(t, "9.0")}, {Target: mustVersion(t, "5.0")},
		{Trust: []chain.Statement{{Path: f.path("own"), Format: probe.Raw}}}}
	before := make(map[string]string)
	key := func(disk string, i int) string { return disk + string(rune('0'+i)) }
	for disk, stated := range disks {
		for i, p := range policies {
			before[key(disk, i)] = verdictOf(f.walk(t, p, stated))
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		content := make([]byte, rapid.SampledFrom([]int{ownDiskSize, ownDiskSize, 4096, 512, 511, 1, 0}).Draw(rt, "length"))
		copy(content, rapid.SliceOfN(rapid.Byte(), 0, 1024).Draw(rt, "random bytes"))
		for range rapid.IntRange(1, 2).Draw(rt, "headers") {
			header := slices.Clone(headers[rapid.SampledFrom(names).Draw(rt, "header")])
			for range rapid.SampledFrom([]int{0, 0, 1, 8}).Draw(rt, "damaged bytes") {
				if len(header) > 0 {
					header[rapid.IntRange(0, min(len(header), 1024)-1).Draw(rt, "at")] ^= rapid.Byte().Draw(rt, "flip")
				}
			}
			if rapid.Bool().Draw(rt, "at the end") {
				copy(content[max(len(content)-len(header), 0):], header[max(len(header)-len(content), 0):])
			} else {
				copy(content, header)
			}
		}
		f.put("own", content)
		for disk, stated := range disks {
			for i, p := range policies {
				got := verdictOf(f.walk(t, p, stated))
				// A backing image's format that only the XML states is determined again if
				// the operator asks for that.
				anew := p.Disagreement == chain.HeadersWin && disk == "stated below"
				if got != before[key(disk, i)] && !anew {
					rt.Errorf("%s, %+v: %s; before it was %s", disk, p, got, before[key(disk, i)])
				}
				if f.touched[f.path("secret")] {
					rt.Errorf("%s, %+v: the file that the guest names is touched", disk, p)
				}
			}
		}
	})
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// A disk without a <driver type> is raw and stays unchanged, whether its image
// is readable, missing or not an image.
func TestDiskWithoutATypeIsRaw(t *testing.T) {
	f := newFiles(t)
	f.raw("disk", 1<<20)
	f.qcow2("qcow2", img{backing: f.path("disk")})
	f.put("luks 2", at(0, "LUKS\xba\xbe\x00\x02", 1<<20))
	f.put("gzip", at(0, "\x1f\x8b\x08\x00", 1<<20))
	f.write("vhd", mkimage.VPC{VirtualSize: 1 << 20, Fixed: true})
	f.put("iso", at(32769, "CD001", 1<<20))
	f.mkdir("folder")
	if err := syscall.Mkfifo(f.path("fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, severity := range map[string]finding.Severity{
		"disk": finding.Info, "iso": finding.Info,
		"qcow2": finding.Warn, "luks 2": finding.Warn, "gzip": finding.Warn, "vhd": finding.Warn,
		"absent": finding.Warn, "folder": finding.Warn, "fifo": finding.Warn,
	} {
		for _, device := range []string{"disk", "cdrom", "lun"} {
			for _, startup := range []string{"", "optional"} {
				stated := chain.Stated{Target: "vda", Device: device, Layers: []chain.Layer{f.layer(name, "")}}
				stated.Layers[0].Source.StartupPolicy = startup
				got := f.walk(t, chain.Policy{}, stated)
				wantVerdict(t, got, chain.Explicit, 1)
				wantFinding(t, got, finding.DriverTypeMissing, severity)
				if top := got.Layers[0]; top.Format != probe.Raw || top.From != chain.XML {
					t.Errorf("%s: the top is %q from %v", name, top.Format, top.From)
				}
				if name == "qcow2" {
					wantContains(t, wantFinding(t, got, finding.DriverTypeMissing, finding.Warn).Remedy.String(), "--trust "+f.path("qcow2")+"=qcow2")
					f.wantUntouched(t, "disk")
				}
			}
		}
	}
}

// The operator's statement about a disk without a <driver type> is written;
// two different ones are refused.
func TestStatedDiskWithoutAType(t *testing.T) {
	f := newFiles(t)
	f.raw("disk", 1<<20)
	f.qcow2("qcow2", img{backing: "disk", backingFormat: "raw"})
	trust := func(statements ...chain.Statement) chain.Policy { return chain.Policy{Trust: statements} }
	top := func(name string) chain.Stated {
		return chain.Stated{Target: "vda", Layers: []chain.Layer{f.layer(name, "")}}
	}
	for name, c := range map[string]struct {
		format probe.Format
		layers int
	}{"disk": {probe.Raw, 1}, "qcow2": {probe.Qcow2, 2}} {
		got := f.walk(t, trust(chain.Statement{Path: f.path(name), Format: c.format}), top(name))
		wantFixable(t, got, c.layers)
		if is := got.Layers[0]; is.Format != c.format || is.From != chain.Trust {
			t.Errorf("%s: the top is %q from %v", name, is.Format, is.From)
		}
	}
	wantRefused(t, f.walk(t, trust(chain.Statement{Path: f.path("disk"), Format: probe.Qcow2}), top("disk")), finding.FormatMismatch)
	wantRefused(t, f.walk(t, trust(chain.Statement{Path: f.path("q*"), Pattern: true, Format: probe.Qcow2},
		chain.Statement{Path: f.path("*2"), Pattern: true, Format: probe.Raw}), top("qcow2")), finding.TrustConflict)
}

// What the XML states below a disk without a <driver type> is as stale as what it
// states below a raw one.
func TestChainBelowADiskWithoutAType(t *testing.T) {
	f := newFiles(t)
	f.raw("disk", 1<<20)
	f.qcow2("qcow2", img{backing: "disk", backingFormat: "raw"})
	for _, name := range []string{"disk", "qcow2", "absent"} {
		for _, format := range []probe.Format{"", probe.Raw} {
			stated := chain.Stated{Target: "vda", Terminated: true, Layers: []chain.Layer{f.layer(name, format), f.layer("disk", probe.Raw)}}
			wantRefused(t, f.walk(t, chain.Policy{}, stated), finding.ChainStale)
			wantVerdict(t, f.walk(t, chain.Policy{Disagreement: chain.XMLWins}, stated), chain.Explicit, 2)
			got := f.walk(t, chain.Policy{Disagreement: chain.HeadersWin}, stated)
			wantFixable(t, got, 1)
			if top := got.Layers[0]; top.Format != format || top.From != stated.Layers[0].From {
				t.Errorf("the top is %q from %v", top.Format, top.From)
			}
		}
	}
}
