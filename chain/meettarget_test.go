package chain_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/probe"
)

// A source from a header is written only for a libvirt that understands it;
// existing XML is not checked unless the operator names the target.
func TestTargetDecidesWhatMayBeWritten(t *testing.T) {
	f := newFiles(t)
	nfs := nbd("export/base.raw")
	nfs.Network.Protocol = "nfs"
	for _, c := range []struct {
		target  libvirt.Version
		refused bool
	}{{libvirt.Version{}, true}, {libvirt.Version{Major: 6, Minor: 1}, true}, {libvirt.Version{Major: 7}, false}} {
		f.qcow2("top.qcow2", img{backing: `json:{"driver":"nfs","server":{"type":"inet","host":"storage.example"},"path":"/export/base.raw","user":0,"group":0}`, backingFormat: "raw"})
		got := f.walk(t, chain.Policy{Target: c.target}, f.top("top.qcow2"))
		if c.refused {
			wantRefused(t, got, finding.TargetTooOld)
		} else {
			wantFixable(t, got, 2)
		}
	}

	s := stated(f.layer("top.qcow2", probe.Qcow2), layerOf(nfs, probe.Raw))
	f.qcow2("top.qcow2", img{backing: "elsewhere.raw", backingFormat: "raw"})
	wantFixable(t, f.walk(t, chain.Policy{Disagreement: chain.XMLWins}, s), 2)
	wantRefused(t, f.walk(t, chain.Policy{Disagreement: chain.XMLWins, Target: libvirt.Version{Major: 6, Minor: 1}}, s), finding.TargetTooOld)
}

// A named target is also checked for an explicit chain.
func TestTargetOfAnExplicitChain(t *testing.T) {
	f := newFiles(t)
	f.qcow2("top.qcow2", img{backing: "json:{" + `"driver":"raw","offset":512,"size":1024,"file":{"driver":"file","filename":"` + f.path("base.raw") + `"}}`, backingFormat: "raw"})
	f.raw("base.raw", 1<<20)
	s := stated(f.layer("top.qcow2", probe.Qcow2), layerOf(sliced(file(f.path("base.raw")), 512, 1024), probe.Raw))
	s.Terminated = true
	wantVerdict(t, f.walk(t, chain.Policy{}, s), chain.Explicit, 2)
	wantVerdict(t, f.walk(t, chain.Policy{Target: libvirt.Version{Major: 6, Minor: 1}}, s), chain.Explicit, 2)
	wantRefused(t, f.walk(t, chain.Policy{Target: libvirt.Version{Major: 6}}, s), finding.TargetTooOld)
}

// A chain that some versions of libvirt do not start, explicit or not, is written with a
// warning, unless the libvirt that will read it is known to be none of them.
func TestDeepChains(t *testing.T) {
	f := newFiles(t)
	f.raw("0", 1<<20)
	for i := range 30 {
		f.qcow2(fmt.Sprint(i+1), img{backing: fmt.Sprint(i), backingFormat: map[bool]string{true: "raw", false: "qcow2"}[i == 0]})
	}
	for _, c := range []struct {
		target libvirt.Version
		layers int
		warned bool
	}{
		{libvirt.Version{Major: 10, Minor: 7}, 31, false},
		{libvirt.Version{Major: 10, Minor: 8}, 31, true},
		{libvirt.Version{Major: 11, Minor: 10}, 31, true},
		{libvirt.Version{Major: 11, Minor: 10}, 27, true},
		{libvirt.Version{Major: 11, Minor: 10}, 26, false},
		{libvirt.Version{Major: 12}, 31, false},
		{libvirt.Version{}, 31, true},
		{libvirt.Version{}, 27, true},
		{libvirt.Version{}, 26, false},
	} {
		got := f.walk(t, chain.Policy{Target: c.target}, f.top(fmt.Sprint(c.layers-1)))
		wantFixable(t, got, c.layers)
		if found := slices.ContainsFunc(got.Findings, func(f finding.Finding) bool {
			return f.Code == finding.TargetTooOld && f.Severity == finding.Warn && f.Layer == finding.WholeDisk
		}); found != c.warned {
			t.Errorf("%d layers for %s: %v", c.layers, c.target, got.Findings)
		}
	}
}
