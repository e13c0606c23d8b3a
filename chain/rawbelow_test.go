package chain_test

import (
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// A raw format that an overlay or the XML states for an image with a signature
// is used, with a warning that says how to correct it.
func TestRawBelowTheTopThatLooksLikeAFormat(t *testing.T) {
	f := newFiles(t)
	f.raw("plain", 1<<20)
	f.put("iso", at(32769, "CD001", 1<<20))
	f.put("gzip", at(0, "\x1f\x8b\x08\x00", 1<<20))
	f.qcow2("secret", img{})
	f.qcow2("qcow2", img{backing: f.path("secret")})
	f.write("vhd", mkimage.VPC{VirtualSize: 1 << 20, Fixed: true})
	const refresh = ", and rebuild the chain from it: --refresh"
	for _, c := range []struct {
		base, record string
		xml          bool
		hint         string // "" if there is no finding
	}{
		{base: "plain", record: "raw"},
		{base: "iso", record: "raw"},
		{base: "plain", record: "raw", xml: true},
		{base: "qcow2", record: "raw", hint: "qemu-img rebase -u -f qcow2 -F qcow2 -b qcow2 " + f.path("top.qcow2")},
		{base: "vhd", record: "raw", hint: "qemu-img rebase -u -f qcow2 -F vpc -b vhd " + f.path("top.qcow2")},
		{base: "gzip", record: "raw", hint: "chainfix probe " + f.path("gzip")},
		{base: "qcow2", record: "raw", xml: true, hint: "qemu-img rebase -u -f qcow2 -F qcow2 -b qcow2 " + f.path("top.qcow2") + refresh},
		{base: "qcow2", record: "", xml: true, hint: "<format type='qcow2'/>"},
		{base: "gzip", record: "", xml: true, hint: "chainfix probe " + f.path("gzip")},
	} {
		t.Run(c.base+" recorded "+c.record, func(t *testing.T) {
			f.qcow2("top.qcow2", img{backing: c.base, backingFormat: c.record})
			stated, verdict := f.top("top.qcow2"), chain.Fixable
			if c.xml {
				stated.Layers, stated.Terminated = append(stated.Layers, f.layer(c.base, probe.Raw)), true
				verdict = chain.Explicit
			}
			got := f.walk(t, chain.Policy{}, stated)
			wantVerdict(t, got, verdict, 2)
			f.wantUntouched(t, "secret")
			if c.hint == "" {
				if len(got.Findings) > 0 {
					t.Errorf("findings %+v", got.Findings)
				}
				return
			}
			reported := wantFinding(t, got, finding.RawWithSignature, finding.Warn)
			wantContains(t, reported.Remedy.String(), c.hint)
			wantContains(t, reported.Text, "an explicit chain makes that")
			if !strings.Contains(c.hint, "--refresh") && strings.Contains(reported.Remedy.String(), "--refresh") {
				t.Errorf("a refresh changes nothing here: %q", reported.Remedy.String())
			}
			if reported.ByName != (verdict == chain.Fixable) {
				t.Errorf("by name: %v, of a disk that is %v", reported.ByName, verdict)
			}
		})
	}

	// What the overlay records was overruled.
	f.qcow2("top.qcow2", img{backing: "qcow2", backingFormat: "qcow2"})
	stated := f.top("top.qcow2")
	stated.Layers, stated.Terminated = append(stated.Layers, f.layer("qcow2", probe.Raw)), true
	kept := wantFinding(t, f.walk(t, chain.Policy{Disagreement: chain.XMLWins}, stated), finding.RawWithSignature, finding.Warn)
	wantContains(t, kept.Remedy.String(), "rebuild the chain from the headers: --refresh")

	// The operator has seen it.
	f.qcow2("top.qcow2", img{backing: "qcow2"})
	got := f.walk(t, chain.Policy{Trust: []chain.Statement{{Path: f.path("qcow2"), Format: probe.Raw}}}, f.top("top.qcow2"))
	if reported := wantFinding(t, got, finding.RawWithSignature, finding.Info); reported.ByName {
		t.Errorf("by name: %+v", reported)
	}

	// Nothing is written for an SD card whose headers record everything.
	f.qcow2("top.qcow2", img{backing: "qcow2", backingFormat: "raw"})
	sd := f.top("top.qcow2")
	sd.Bus = "sd"
	got = f.walk(t, chain.Policy{}, sd)
	wantVerdict(t, got, chain.Explicit, 1)
	for _, reported := range got.Findings {
		if reported.ByName {
			t.Errorf("nothing would be written: %+v", reported)
		}
	}
}
