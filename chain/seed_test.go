package chain_test

import (
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
)

// The five bases that the two maintainers argued about, under both rules, with
// and without the operator's word.
func TestSeedScenarios(t *testing.T) {
	const MiB = 1 << 20
	cases := []struct {
		name string
		// base makes the image below an overlay that records no format.
		base func(f *files)
		// leaf, strict: the code of the refusal, "" for acceptance.
		leaf, strict finding.Code
		format       probe.Format // what the base is taken for where it is accepted
		trust        probe.Format
		trusted      finding.Code // the refusal with --trust, under both rules
		layers       int          // of the chain with --trust
	}{
		{
			name:   "raw base, unrecorded",
			base:   func(f *files) { f.raw("base.img", 4*MiB) },
			format: probe.Raw, trust: probe.Raw, layers: 2,
		},
		{
			name: "raw base that a guest rewrote as qcow2",
			base: func(f *files) {
				f.qcow2("base.img", img{})
				f.grow("base.img", overlaySize) // the disk keeps its length
			},
			leaf: finding.SizeContradicts, strict: finding.ProbedNotRaw,
			trust: probe.Raw, layers: 2,
		},
		{
			name:   "qcow2 base without backing, unrecorded",
			base:   func(f *files) { f.qcow2("base.img", img{}) },
			strict: finding.ProbedNotRaw,
			format: probe.Qcow2, trust: probe.Qcow2, layers: 2,
		},
		{
			name: "qcow2 base with backing, unrecorded",
			base: func(f *files) {
				f.raw("lower.img", MiB)
				f.qcow2("base.img", img{backing: "lower.img"})
			},
			leaf: finding.ProbedBacking, strict: finding.ProbedNotRaw,
			trust: probe.Qcow2, layers: 3,
		},
		{
			name: "qcow2 base with a data file, unrecorded",
			base: func(f *files) {
				f.raw("data.img", MiB)
				f.qcow2("base.img", img{dataFile: f.path("data.img")})
			},
			leaf: finding.DataFile, strict: finding.ProbedNotRaw,
			trust: probe.Qcow2, trusted: finding.DataFile,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFiles(t)
			c.base(f)
			f.qcow2("top.qcow2", img{backing: "base.img"})
			for rule, refusal := range map[chain.Rule]finding.Code{chain.Leaf: c.leaf, chain.Strict: c.strict} {
				t.Run(rule.String(), func(t *testing.T) {
					got := f.walk(t, chain.Policy{Rule: rule}, f.top("top.qcow2"))
					if refusal != "" {
						wantRefused(t, got, refusal)
						// Law 2: whatever the base names was not touched.
						f.wantUntouched(t, "lower.img", "data.img")
						return
					}
					wantFixable(t, got, 2)
					if base := got.Layers[1]; base.Format != c.format || base.From != chain.Probe {
						t.Errorf("base is %q from %v, want %q from a probe", base.Format, base.From, c.format)
					}
				})
				t.Run(rule.String()+", trusted", func(t *testing.T) {
					trust := []chain.Statement{{Path: f.path("base.img"), Format: c.trust}}
					got := f.walk(t, chain.Policy{Rule: rule, Trust: trust}, f.top("top.qcow2"))
					if c.trusted != "" {
						wantRefused(t, got, c.trusted)
						f.wantUntouched(t, "data.img")
						return
					}
					wantFixable(t, got, c.layers)
					if base := got.Layers[1]; base.Format != c.trust || base.From != chain.Trust {
						t.Errorf("base is %q from %v, want %q from the operator", base.Format, base.From, c.trust)
					}
				})
			}
		})
	}
}

// A forged header that names a host file is refused whatever the other checks
// say, with the names of both images, the reason and the command.
func TestForgedBackingIsNamedAndNotFollowed(t *testing.T) {
	f := newFiles(t)
	f.raw("secret", 1<<20)
	f.qcow2("base.img", img{backing: f.path("secret"), backingFormat: "raw"})
	f.qcow2("top.qcow2", img{backing: "base.img"})
	for _, rule := range []chain.Rule{chain.Leaf, chain.Strict, chain.Declared} {
		got := f.walk(t, chain.Policy{Rule: rule}, f.top("top.qcow2"))
		if got.Verdict != chain.Refused {
			t.Fatalf("%v: verdict %v", rule, got.Verdict)
		}
		f.wantUntouched(t, "secret")
	}
	got := f.walk(t, chain.Policy{}, f.top("top.qcow2"))
	reported := wantRefused(t, got, finding.ProbedBacking)
	for _, word := range []string{"base.img", "secret", "top.qcow2", "not recorded"} {
		wantContains(t, reported.Text, word)
	}
	wantContains(t, reported.Remedy.String(), "--trust "+f.path("base.img")+"=raw")
	wantContains(t, reported.Remedy.String(), "qemu-img rebase -u -f qcow2 -F qcow2 -b base.img "+f.path("top.qcow2"))
}
