package chain_test

import (
	"context"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// A name only contradicts what a header claims.
func TestNamesContradictClaims(t *testing.T) {
	f := newFiles(t)
	f.put("secret", nil)
	images := map[string][]byte{
		"nothing":    nil,
		"zeros":      make([]byte, 1<<20),
		"boot":       at(510, "\x55\xaa", 1<<20),
		"iso":        at(32769, "CD001", 1<<20),
		"vhd footer": bytesOfImage(t, mkimage.VPC{VirtualSize: 1 << 20, Fixed: true}),
		"dmg":        at(1<<20-512, "koly", 1<<20),
		"luks 2":     at(0, "LUKS\xba\xbe\x00\x02", 1<<20),
		"qcow2":      bytesOfImage(t, mkimage.Qcow2{VirtualSize: overlaySize}),
	}
	unmarked := map[string]bool{"nothing": true, "zeros": true, "boot": true, "iso": true}
	rawNames := []string{"base", "base.img", "base.bin", "base.raw", "base.iso"}
	formatNames := []string{"base.qcow2", "base.QCOW2", "base.vmdk", "base.vhd", "base.vhdx", "base.vdi", "base.hds", "base.luks", "base.dmg", "base.cow"}
	for what, content := range images {
		for _, name := range append(append([]string{}, rawNames...), formatNames...) {
			f.put(name, content)
			f.qcow2("top.qcow2", img{backing: name})
			got := f.walk(t, chain.Policy{Rule: chain.Strict}, f.top("top.qcow2"))
			_, namedRaw := map[string]bool{"base": true, "base.img": true, "base.bin": true, "base.raw": true, "base.iso": true}[name]
			switch {
			case what == "qcow2":
				wantRefused(t, got, finding.ProbedNotRaw)
			case namedRaw:
				wantFixable(t, got, 2)
				if strings.Contains(codesOf(got), string(finding.NameContradicts)) {
					t.Errorf("%s in %s: %+v", what, name, got.Findings)
				}
			case unmarked[what]:
				wantFixable(t, got, 2)
				reported := wantFinding(t, got, finding.NameContradicts, finding.Warn)
				wantContains(t, reported.Text, "header may have been lost")
				if l := got.Layers[1]; l.Format != probe.Raw || l.From != chain.Probe || !reported.ByName {
					t.Errorf("%s in %s: %+v, %+v", what, name, l, reported)
				}
			default:
				// A signature that neither program looks for is a claim too.
				wantRefused(t, got, finding.NameContradicts)
			}
		}
	}

	// A stated format needs no matching name.
	f.put("base.qcow2", make([]byte, 1<<20))
	f.qcow2("top.qcow2", img{backing: "base.qcow2", backingFormat: "raw"})
	got := f.walk(t, chain.Policy{}, f.top("top.qcow2"))
	wantFixable(t, got, 2)
	if len(got.Findings) > 0 {
		t.Errorf("findings %+v", got.Findings)
	}
	f.qcow2("top.qcow2", img{backing: "base.qcow2"})
	wantRefused(t, f.walk(t, chain.Policy{Rule: chain.Declared}, f.top("top.qcow2")), finding.FormatUnrecorded)
}

// The name of an image changes no prediction, but for *.dmg where QEMU probes by
// itself: that is the only name that QEMU looks at.
func TestNamesInPredictions(t *testing.T) {
	f := newFiles(t)
	f.write("as dmg", mkimage.Qcow2{VirtualSize: 1 << 20})
	for what, content := range map[string][]byte{
		"zeros": make([]byte, 1<<20),
		"qcow2": bytesOfImage(t, mkimage.Qcow2{VirtualSize: 1 << 20}),
		"vdi":   bytesOfImage(t, mkimage.VDI{VirtualSize: 1 << 20}),
	} {
		for _, name := range []string{"base", "base.img", "base.raw", "base.iso", "base.qcow2", "base.vmdk", "base.vhd", "base.luks", "base.dmg"} {
			f.put(name, content)
			f.qcow2("top.qcow2", img{backing: name})
			sd := f.top("top.qcow2")
			sd.Bus = "sd"
			for version, stated := range map[string]chain.Stated{"9.0": f.top("top.qcow2"), "11.3": f.top("top.qcow2"), "5.0": f.top("top.qcow2"), "9.0.1": sd} {
				p, err := predict.Disk(context.Background(), &chain.Walker{}, stated, mustPair(t, version))
				if err != nil {
					t.Fatal(err)
				}
				probesByItself := version == "5.0" || version == "9.0.1"
				want := predict.Starts
				if what == "zeros" && name == "base.dmg" && probesByItself {
					want = predict.Refuses // QEMU takes it for dmg
				}
				if p.Outcome != want {
					t.Errorf("%s in %s, libvirt %s: %v, want %v (%s)", what, name, version, p.Outcome, want, p.Reason)
				}
			}
		}
	}
}

func bytesOfImage(t *testing.T, i interface{ Bytes() ([]byte, error) }) []byte {
	t.Helper()
	b, err := i.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
