package chain_test

import (
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/probe"
)

// If libvirt discards the explicit chain, only what the headers record counts,
// whether the XML already has a chain or not.
func TestChainsThatLibvirtIgnores(t *testing.T) {
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	f.qcow2("recorded.qcow2", img{backing: "base.raw", backingFormat: "raw"})
	f.qcow2("unrecorded.qcow2", img{backing: "base.raw"})
	for name, c := range map[string]struct {
		bus    string
		target libvirt.Version
		code   finding.Code
	}{
		"sd bus":       {"sd", libvirt.Version{}, finding.SDBus},
		"libvirt 5.9":  {"virtio", libvirt.Version{Major: 5, Minor: 9}, finding.TargetTooOld},
		"libvirt 5.10": {"virtio", libvirt.Version{Major: 5, Minor: 10}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			policy := chain.Policy{Target: c.target}
			for _, top := range []string{"recorded.qcow2", "unrecorded.qcow2"} {
				open := f.top(top)
				open.Bus = c.bus
				explicit := open
				explicit.Layers = append(explicit.Layers[:1:1], f.layer("base.raw", probe.Raw))
				explicit.Terminated = true
				switch {
				case c.code == "":
					wantFixable(t, f.walk(t, policy, open), 2)
					wantVerdict(t, f.walk(t, policy, explicit), chain.Explicit, 2)
				case top == "recorded.qcow2":
					got := f.walk(t, policy, open)
					wantVerdict(t, got, chain.Explicit, 1)
					wantFinding(t, got, c.code, finding.Info)
					wantVerdict(t, f.walk(t, policy, explicit), chain.Explicit, 2)
				default:
					for _, s := range []chain.Stated{open, explicit} {
						reported := wantRefused(t, f.walk(t, policy, s), c.code)
						wantContains(t, reported.Remedy.String(), "qemu-img rebase -u -f qcow2 -F raw -b base.raw")
					}
				}
			}
		})
	}
}
