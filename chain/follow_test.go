package chain_test

import (
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/probe"
)

// TestFormatOfTheXMLAloneIsNotFollowed: top.qcow2 does not record the format
// of base.img, which the XML states to be qcow2. libvirt writes guesses there,
// so files in the header of base.img are never touched, unless the XML or the
// operator names them too.
func TestFormatOfTheXMLAloneIsNotFollowed(t *testing.T) {
	f := newFiles(t)
	f.raw("secret", 1<<20)
	f.raw("bottom.raw", 1<<20)
	f.symlink("bottom.raw", "link.raw")
	base := f.layer("base.img", probe.Qcow2)
	chainOf := func(terminated bool, lower ...chain.Layer) chain.Stated {
		s := f.top("top.qcow2")
		s.Layers, s.Terminated = append(s.Layers, lower...), terminated
		return s
	}
	const none = finding.Code("")
	for name, c := range map[string]struct {
		base    img
		stated  chain.Stated
		refused map[chain.Disagreement]finding.Code
	}{
		"the header names a file now": {img{backing: "secret", backingFormat: "raw"}, chainOf(true, base),
			map[chain.Disagreement]finding.Code{chain.RefuseDisagreement: finding.ChainCut, chain.HeadersWin: finding.ProbedBacking, chain.XMLWins: none}},
		"the header names another file": {img{backing: "secret", backingFormat: "raw"}, chainOf(true, base, f.layer("bottom.raw", probe.Raw)),
			map[chain.Disagreement]finding.Code{chain.RefuseDisagreement: finding.ChainConflict, chain.HeadersWin: finding.ProbedBacking, chain.XMLWins: none}},
		"the header names the file that the XML names": {img{backing: "bottom.raw", backingFormat: "raw"}, chainOf(true, base, f.layer("bottom.raw", probe.Raw)),
			map[chain.Disagreement]finding.Code{chain.RefuseDisagreement: none, chain.HeadersWin: finding.ProbedBacking, chain.XMLWins: none}},
		"and another format": {img{backing: "bottom.raw", backingFormat: "qcow2"}, chainOf(true, base, f.layer("bottom.raw", probe.Raw)),
			map[chain.Disagreement]finding.Code{chain.RefuseDisagreement: finding.FormatConflict, chain.HeadersWin: finding.ProbedBacking, chain.XMLWins: none}},
		"the XML leaves the end open": {img{backing: "secret", backingFormat: "raw"}, chainOf(false, base),
			map[chain.Disagreement]finding.Code{chain.RefuseDisagreement: finding.ProbedBacking, chain.HeadersWin: finding.ProbedBacking, chain.XMLWins: finding.ProbedBacking}},
		"there is nothing to follow": {img{}, chainOf(true, base),
			map[chain.Disagreement]finding.Code{chain.RefuseDisagreement: none, chain.HeadersWin: none, chain.XMLWins: none}},
		"the header names a data file": {img{dataFile: f.path("secret")}, chainOf(true, base),
			map[chain.Disagreement]finding.Code{chain.RefuseDisagreement: finding.DataFile, chain.HeadersWin: finding.DataFile, chain.XMLWins: finding.DataFile}},
	} {
		t.Run(name, func(t *testing.T) {
			f.qcow2("base.img", c.base)
			f.qcow2("top.qcow2", img{backing: "base.img"})
			for disagreement, code := range c.refused {
				policy := chain.Policy{Disagreement: disagreement, Target: libvirt.Version{Major: 11, Minor: 3}}
				got := f.walk(t, policy, c.stated)
				if code == none {
					wantVerdict(t, got, map[bool]chain.Verdict{true: chain.Explicit, false: chain.Fixable}[c.stated.Terminated], len(c.stated.Layers))
				} else {
					wantContains(t, wantRefused(t, got, code).Remedy.String(), map[bool]string{true: "--trust", false: "--keep-xml"}[code != finding.FormatConflict])
				}
				f.wantUntouched(t, "secret", "link.raw")

				policy.Trust = []chain.Statement{{Path: f.path("base.img"), Format: probe.Qcow2}}
				got = f.walk(t, policy, c.stated)
				if followed := c.base.backingFormat == "raw" && code == finding.ProbedBacking; followed && got.Verdict == chain.Refused {
					t.Errorf("%v, with the operator's word: %+v", disagreement, got.Findings)
				}
			}
		})
	}
}

// TestRecordedFormatIsFollowed: with the record of the overlay the very same chains
// are compared file by file.
func TestRecordedFormatIsFollowed(t *testing.T) {
	f := newFiles(t)
	f.raw("bottom.raw", 1<<20)
	f.symlink("bottom.raw", "link.raw")
	f.qcow2("base.img", img{backing: "link.raw", backingFormat: "raw"})
	f.qcow2("top.qcow2", img{backing: "base.img", backingFormat: "qcow2"})
	s := f.top("top.qcow2")
	s.Layers = append(s.Layers, f.layer("base.img", probe.Qcow2), f.layer("bottom.raw", probe.Raw))
	s.Terminated = true
	wantVerdict(t, f.walk(t, chain.Policy{}, s), chain.Explicit, 3)
	wantVerdict(t, f.walk(t, chain.Policy{Disagreement: chain.HeadersWin}, s), chain.Explicit, 3)
}

// TestRefreshDeterminesFormatsAgain: --refresh determines a format that only the
// XML states again, and if the result differs, the XML is rewritten, with a
// warning, and for a guest only if it is named.
func TestRefreshDeterminesFormatsAgain(t *testing.T) {
	f := newFiles(t)
	f.qcow2("base.img", img{})
	f.qcow2("top.qcow2", img{backing: "base.img"})
	s := f.top("top.qcow2")
	s.Layers, s.Terminated = append(s.Layers, f.layer("base.img", probe.Raw)), true
	wantVerdict(t, f.walk(t, chain.Policy{}, s), chain.Explicit, 2)
	got := f.walk(t, chain.Policy{Disagreement: chain.HeadersWin}, s)
	wantFixable(t, got, 2)
	if got.Layers[1].Format != probe.Qcow2 || got.Layers[1].From != chain.Probe {
		t.Errorf("%+v", got.Layers[1])
	}
	if warning := wantFinding(t, got, finding.FormatConflict, finding.Warn); !warning.ByName {
		t.Error("a run over the host takes the guest without being told to")
	}
	for _, rule := range []chain.Rule{chain.Strict, chain.Declared} {
		got := f.walk(t, chain.Policy{Rule: rule, Disagreement: chain.HeadersWin}, s)
		wantVerdict(t, got, chain.Refused, 2)
		wantContains(t, got.Findings[0].Remedy.String(), "--trust")
	}
}
