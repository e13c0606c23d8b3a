package chain_test

import (
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// What libvirt 9.0 does with an optional disk is compared with the real outcome
// elsewhere. This is what differs from one libvirt to another.
func TestOptionalDiskByVersion(t *testing.T) {
	f := newFiles(t)
	f.raw("raw", 1<<20)
	f.qcow2("leaf", img{})
	f.qcow2("over-null", img{backing: "/dev/null", backingFormat: "raw"})
	f.qcow2("over-gone", img{backing: "gone", backingFormat: "raw"})
	f.write("vpc", mkimage.VPC{VirtualSize: overlaySize})
	below := func(top string, format probe.Format) chain.Stated {
		s := f.explicit(top, f.layer("leaf", probe.Qcow2))
		s.Layers[0].Format = format
		return s
	}
	for _, c := range []struct {
		name   string
		stated chain.Stated
		want   map[string]predict.Outcome
	}{
		{"below raw", below("raw", probe.Raw), map[string]predict.Outcome{"9.0": predict.Refuses, "11.3": predict.Starts}},
		{"below vpc", below("vpc", probe.VPC), map[string]predict.Outcome{"9.0": predict.Refuses, "11.3": predict.Refuses}},
		{"over a character device", f.top("over-null"), map[string]predict.Outcome{"9.0": predict.Refuses, "11.3": predict.Refuses}},
		{"over nothing", f.top("over-gone"), map[string]predict.Outcome{"9.0": predict.Starts, "11.3": predict.Starts}},
	} {
		c.stated.Layers[0].Source.StartupPolicy = "optional"
		for version, want := range c.want {
			if got := f.predict(t, c.stated, version); got.Outcome != want {
				t.Errorf("%s, libvirt %s: %v (%s), want %v", c.name, version, got.Outcome, got.Reason, want)
			}
		}
	}
}

// A transient disk's overlay that is there already is found beside the disk's own
// image, by the guest's name, and nowhere else.
func TestTransientLeftover(t *testing.T) {
	f := newFiles(t)
	f.qcow2("top", img{})
	f.put("top.TRANSIENT-web", nil)
	f.put("x.TRANSIENT-web", nil)
	stated := func(change func(*chain.Stated)) chain.Stated {
		s := f.top("top")
		s.Guest, s.Transient, s.Terminated = "web", true, true
		change(&s)
		return s
	}
	for _, c := range []struct {
		name   string
		stated chain.Stated
		found  bool
	}{
		{"of the guest", stated(func(*chain.Stated) {}), true},
		{"of another guest", stated(func(s *chain.Stated) { s.Guest = "db" }), false},
		{"of a guest whose name is not known", stated(func(s *chain.Stated) { s.Guest = "" }), false},
		{"of a name that leads elsewhere", stated(func(s *chain.Stated) { s.Guest = "/../x.TRANSIENT-web" }), false},
		{"of a disk that is not transient", stated(func(s *chain.Stated) { s.Transient = false }), false},
		{"of no disk", stated(func(s *chain.Stated) { s.Layers = nil }), false},
	} {
		w := &chain.Walker{}
		reported, found := predict.LeftoverFinding(t.Context(), w, c.stated)
		if found != c.found || found && (reported.Code != finding.TransientLeftover || reported.Severity != finding.Warn) {
			t.Errorf("%s: %v, %+v", c.name, found, reported)
		}
		if found {
			wantContains(t, reported.Text, f.path("top.TRANSIENT-web"))
			wantContains(t, reported.Remedy.String(), "rm "+f.path("top.TRANSIENT-web"))
		}
		if len(c.stated.Layers) == 0 {
			continue
		}
		p, err := predict.Disk(t.Context(), w, c.stated, mustPair(t, "9.0"))
		if err != nil || (p.Outcome == predict.Refuses) != c.found {
			t.Errorf("%s: predicted %+v, %v", c.name, p, err)
		}
	}
}
