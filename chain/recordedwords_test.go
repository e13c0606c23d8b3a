package chain_test

import (
	"context"
	"errors"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// qemusWords are images whose format QEMU records by a name that libvirt does not
// know.
var qemusWords = map[string]struct {
	img     interface{ Bytes() ([]byte, error) }
	format  probe.Format
	libvirt string
}{
	"vhdx":      {mkimage.VHDX{VirtualSize: 4 << 20}, probe.VHDX, "vhd"},
	"parallels": {mkimage.Parallels{VirtualSize: 4 << 20}, probe.Parallels, "ploop"},
}

var everyRule = []chain.Rule{chain.Leaf, chain.Strict, chain.Declared}

// A name that QEMU writes, over an image with the header of that format, is a
// statement under every rule.
func TestRecordThatTheHeaderConfirms(t *testing.T) {
	f := newFiles(t)
	for word, c := range qemusWords {
		// Other checks do not apply if the format is stated.
		for _, base := range []string{"base." + word, "base.img", "base.raw"} {
			f.write(base, c.img)
			f.qcow2("top.qcow2", img{backing: base, backingFormat: word})
			for _, rule := range everyRule {
				got := f.walk(t, chain.Policy{Rule: rule}, f.top("top.qcow2"))
				wantFixable(t, got, 2)
				if l := got.Layers[1]; l.Format != c.format || l.From != chain.Header {
					t.Errorf("%s, %v: it is %q from %v", word, rule, l.Format, l.From)
				}
				if len(got.Findings) > 0 {
					t.Errorf("%s, %v: %+v", word, rule, got.Findings)
				}
				if n := f.opened[f.path(base)]; n != 1 {
					t.Errorf("%s was opened %d times", base, n)
				}
			}
			// libvirt's own name for it is not one that QEMU writes.
			f.qcow2("theirs.qcow2", img{backing: base, backingFormat: c.libvirt})
			got := f.walk(t, chain.Policy{Rule: chain.Declared}, f.top("theirs.qcow2"))
			wantRefused(t, got, finding.FormatUnrecorded)
			wantFinding(t, got, finding.FormatDisputed, finding.Info)
		}
	}
}

// If the header does not confirm the name, the format is unrecorded, and files
// that the image names are not touched, whatever the rule.
func TestRecordThatTheHeaderDoesNotConfirm(t *testing.T) {
	f := newFiles(t)
	f.raw("secret", 1<<20)
	f.raw("raw", 4<<20)
	f.put("nothing", nil)
	f.qcow2("qcow2", img{})
	f.qcow2("forged qcow2", img{backing: f.path("secret"), backingFormat: "raw"})
	f.qcow2("forged data", img{dataFile: f.path("secret")})
	f.write("forged vmdk", mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Sectors: 8, Name: f.path("secret")}}})
	f.write("forged vhd", mkimage.VPC{VirtualSize: 4 << 20, Parent: f.path("secret")})
	f.put("short", []byte("vhdxfil"))
	f.write("vhdx", qemusWords["vhdx"].img)
	f.write("parallels", qemusWords["parallels"].img)
	for word := range qemusWords {
		for _, base := range []string{"raw", "nothing", "qcow2", "forged qcow2", "forged data", "forged vmdk", "forged vhd", "short", "vhdx", "parallels"} {
			if base == word {
				continue
			}
			f.qcow2("top.qcow2", img{backing: base, backingFormat: word})
			for _, rule := range everyRule {
				got := f.walk(t, chain.Policy{Rule: rule}, f.top("top.qcow2"))
				if got.Verdict != chain.Refused {
					t.Errorf("%s over %s, %v: %v", word, base, rule, got.Verdict)
				}
				wantFinding(t, got, finding.FormatDisputed, finding.Info)
				if rule == chain.Leaf {
					wantRefused(t, got, finding.RecordContradicts)
				}
				f.wantUntouched(t, "secret")
			}
		}
	}
}

// The image is what the record says, and still cannot be used: broken, or on a
// parent that nobody looks for.
func TestRecordOfAnImageThatCannotBeUsed(t *testing.T) {
	f := newFiles(t)
	f.raw("secret", 1<<20)
	f.put("broken", append([]byte("vhdxfile"), make([]byte, 1<<20)...))
	f.write("differencing", mkimage.VHDX{VirtualSize: 4 << 20, Parent: f.path("secret")})
	for base, code := range map[string]finding.Code{"broken": finding.ImageBroken, "differencing": finding.Differencing} {
		f.qcow2("top.qcow2", img{backing: base, backingFormat: "vhdx"})
		for _, rule := range everyRule {
			got := f.walk(t, chain.Policy{Rule: rule}, f.top("top.qcow2"))
			wantRefused(t, got, code)
			if l := got.Layers[1]; l.From != chain.Header {
				t.Errorf("%s, %v: the format is from %v", base, rule, l.From)
			}
			f.wantUntouched(t, "secret")
		}
	}
}

// Compared with an explicit chain such a record counts like any other.
func TestRecordOfQEMUAgainstTheXML(t *testing.T) {
	f := newFiles(t)
	for word, c := range qemusWords {
		f.write("base.img", c.img)
		f.qcow2("top.qcow2", img{backing: "base.img", backingFormat: word})
		explicit := func(format probe.Format) chain.Stated {
			s := f.top("top.qcow2")
			s.Layers, s.Terminated = append(s.Layers, f.layer("base.img", format)), true
			return s
		}
		version := mustPair(t, "9.0")
		predicted := func(s chain.Stated) predict.Outcome {
			t.Helper()
			p, err := predict.Disk(context.Background(), &chain.Walker{Images: image.NewCache(f)}, s, version)
			if err != nil {
				t.Fatal(err)
			}
			return p.Outcome
		}
		for _, rule := range everyRule {
			wantRefused(t, f.walk(t, chain.Policy{Rule: rule}, explicit(probe.Raw)), finding.FormatConflict)
		}
		if got := predicted(explicit(probe.Raw)); got != predict.Misopens {
			t.Errorf("%s over raw is predicted: %v", word, got)
		}
		got := f.walk(t, chain.Policy{Disagreement: chain.HeadersWin}, explicit(probe.Raw))
		wantFixable(t, got, 2)
		if l := got.Layers[1]; l.Format != c.format || l.From != chain.Header {
			t.Errorf("%s: refreshed, it is %q from %v", word, l.Format, l.From)
		}
		got = f.walk(t, chain.Policy{Disagreement: chain.XMLWins}, explicit(probe.Raw))
		wantVerdict(t, got, chain.Explicit, 2)
		wantFinding(t, got, finding.ChainKept, finding.Warn)
		got = f.walk(t, chain.Policy{}, explicit(c.format))
		wantVerdict(t, got, chain.Explicit, 2)
		if len(got.Findings) > 0 || predicted(explicit(c.format)) != predict.Starts {
			t.Errorf("%s: %+v", word, got.Findings)
		}

		// Over an image that is raw the record counts for nothing.
		f.raw("base.img", 4<<20)
		wantVerdict(t, f.walk(t, chain.Policy{}, explicit(probe.Raw)), chain.Explicit, 2)
		if got := predicted(explicit(probe.Raw)); got != predict.Starts {
			t.Errorf("%s over an image that is raw is predicted: %v", word, got)
		}
	}
}

// QEMU reads such a record where it follows the headers by itself, as on the sd
// bus.
func TestRecordOfQEMUOnTheSDBus(t *testing.T) {
	f := newFiles(t)
	f.write("base.img", qemusWords["vhdx"].img)
	f.qcow2("top.qcow2", img{backing: "base.img", backingFormat: "vhdx"})
	stated := f.top("top.qcow2")
	stated.Bus = "sd"
	got := f.walk(t, chain.Policy{}, stated)
	wantVerdict(t, got, chain.Explicit, 1)
	wantFinding(t, got, finding.SDBus, finding.Info)
}

// A different statement of the operator contradicts such a record.
func TestRecordOfQEMUAgainstTheOperator(t *testing.T) {
	f := newFiles(t)
	f.write("base.img", qemusWords["vhdx"].img)
	f.qcow2("top.qcow2", img{backing: "base.img", backingFormat: "vhdx"})
	trust := func(format probe.Format) chain.Policy {
		return chain.Policy{Trust: []chain.Statement{{Path: f.path("base.img"), Format: format}}}
	}
	wantFixable(t, f.walk(t, trust(probe.VHDX), f.top("top.qcow2")), 2)
	wantRefused(t, f.walk(t, trust(probe.Raw), f.top("top.qcow2")), finding.TrustConflict)
}

// TestRecordOfAnotherImageConfirmsNothing: top.qcow2 names base.img and records
// qcow2 for it; the XML has other.img in its place, and its word counts. That
// other.img is qcow2 too is then said by the <backingStore> alone, so what it
// names is not touched. Of an image that is the same by another name, or that was
// moved, the record speaks.
func TestRecordOfAnotherImageConfirmsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		make    func(f *files)
		refused bool
	}{
		"both exist":   {func(f *files) { f.qcow2("base.img", img{}) }, true},
		"one image":    {func(f *files) { f.symlink(f.path("other.img"), "base.img") }, false},
		"it was moved": {func(*files) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			f.raw("secret", 1<<20)
			f.qcow2("other.img", img{backing: "secret", backingFormat: "raw"})
			f.qcow2("top.qcow2", img{backing: "base.img", backingFormat: "qcow2"})
			c.make(f)
			disk := diskOf("asks", f.layer("top.qcow2", probe.Qcow2), f.layer("other.img", probe.Qcow2))
			got := f.walk(t, chain.Policy{Disagreement: chain.XMLWins}, disk)
			if !c.refused {
				wantFixable(t, got, 3)
				return
			}
			wantRefused(t, got, finding.ProbedBacking)
			if f.touched[f.path("secret")] {
				t.Error("the walk touches what the image names")
			}
			f.touched = map[string]bool{}
			w := &chain.Walker{Images: image.NewCache(f)}
			if _, err := predict.Disk(t.Context(), w, disk, libvirt.Pair{Libvirt: libvirt.Version{Major: 9}}); !errors.Is(err, predict.ErrUnseen) {
				t.Errorf("predicted: %v", err)
			}
			if f.touched[f.path("secret")] {
				t.Error("the prediction touches what the image names")
			}
		})
	}
}
