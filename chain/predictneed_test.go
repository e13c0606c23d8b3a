package chain_test

import (
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// TestNeed: a disk needs an explicit chain if a format is guessed, by the
// rules of the libvirt that starts it. For the installed one that is compared
// with what libvirt logs elsewhere.
func TestNeed(t *testing.T) {
	f := newFiles(t)
	f.raw("raw", 1<<20)
	f.qcow2("leaf", img{})
	f.write("vhdx", mkimage.VHDX{VirtualSize: overlaySize})
	f.qcow2("over-leaf", img{backing: "leaf", backingFormat: "qcow2"})
	f.qcow2("guessing", img{backing: "leaf"})
	f.qcow2("guessing-below", img{backing: "guessing", backingFormat: "qcow2"})
	f.qcow2("guessing-raw", img{backing: "raw"})
	f.qcow2("two-deep", img{backing: "over-leaf"})
	f.qcow2("recorded", img{backing: "over-leaf", backingFormat: "qcow2"})
	f.qcow2("over-file", img{backing: "raw", backingFormat: "file"})
	f.qcow2("over-none", img{backing: "raw", backingFormat: "none"})
	f.qcow2("over-vhdx", img{backing: "vhdx", backingFormat: "vhdx"})
	f.qcow2("over-gone", img{backing: "gone", backingFormat: "raw"})
	f.qcow2("over-nbd", img{backing: "nbd://host/x", backingFormat: "raw"})
	f.qcow2("guessing-nbd", img{backing: "nbd://host/x"})
	f.write("qed", mkimage.QED{VirtualSize: overlaySize, Backing: "leaf"})
	f.write("qed-raw", mkimage.QED{VirtualSize: overlaySize, Backing: "raw", NoProbe: true})
	with := func(s chain.Stated, change func(*chain.Stated)) chain.Stated {
		change(&s)
		return s
	}
	sd := func(s *chain.Stated) { s.Bus = "sd" }
	optional := func(s *chain.Stated) { s.Layers[0].Source.StartupPolicy = "optional" }
	ofFormat := func(format probe.Format) func(*chain.Stated) {
		return func(s *chain.Stated) { s.Layers[0].Format = format }
	}
	for _, c := range []struct {
		name   string
		stated chain.Stated
		want   string // "VERSION NEED, ...", each until the next
	}{
		{"without a backing image", f.top("leaf"), "5.0 recorded, 9.0 recorded, 12.9 recorded"},
		{"recorded", f.top("over-leaf"), "5.0 recorded, 9.0 recorded, 12.9 recorded"},
		{"guessed by QEMU, and by libvirt", f.top("guessing"), "5.0 guessed, 5.10 misopened, 6.0 refused, 6.1 guessed, 12.9 guessed"},
		{"guessed below a recorded one", f.top("guessing-below"), "5.0 guessed, 9.0 guessed, 12.9 guessed"},
		{"raw", f.top("guessing-raw"), "5.0 guessed, 9.0 guessed, 12.9 guessed"},
		{"refused", f.top("two-deep"), "5.0 misopened, 9.0 refused, 12.9 refused"},
		{"recorded by a protocol's name, which older ones probe", f.top("over-file"), "5.0 recorded, 9.0 guessed, 9.10 recorded, 12.9 recorded"},
		{"recorded by no format's name", f.top("over-none"), "5.0 refused, 9.0 refused, 9.10 recorded"},
		{"recorded by a name that libvirt does not know", f.top("over-vhdx"), "5.0 recorded, 9.0 misopened, 12.9 misopened"},
		{"missing", f.top("over-gone"), "5.0 refused, 12.9 refused"},
		{"explicit", f.explicit("guessing", f.layer("leaf", probe.Qcow2)), "5.0 guessed, 9.0 recorded, 12.9 recorded"},
		{"explicit, but for the last image's record", with(f.explicit("recorded", f.layer("over-leaf", probe.Qcow2)), func(s *chain.Stated) { s.Terminated = false }), "9.0 recorded"},
		{"explicit, but for one that is not recorded", with(f.explicit("guessing-below", f.layer("guessing", probe.Qcow2)), func(s *chain.Stated) { s.Terminated = false }), "9.0 guessed"},
		{"on the network", f.top("over-nbd"), "5.0 recorded, 9.0 recorded"},
		{"on the network, not recorded", f.top("guessing-nbd"), "5.0 misopened, 6.1 refused, 9.0 refused"},
		{"on the sd bus, where QEMU guesses", with(f.top("guessing"), sd), "9.0 guessed, 12.9 guessed"},
		{"on the sd bus, recorded", with(f.top("over-leaf"), sd), "9.0 recorded, 12.9 recorded"},
		{"qed", with(f.top("qed"), ofFormat(probe.QED)), "5.0 guessed, 9.0 guessed, 12.9 guessed"},
		{"qed over raw", with(f.top("qed-raw"), ofFormat(probe.QED)), "5.0 recorded, 9.0 recorded, 12.9 recorded"},
		{"optional, left out because of its chain", with(f.top("two-deep"), optional), "9.0 refused, 12.9 refused"},
		{"optional, and not there", with(f.top("gone"), optional), "9.0 recorded, 12.9 recorded"},
	} {
		for word := range strings.SplitSeq(c.want, ", ") {
			version, want, _ := strings.Cut(word, " ")
			if got := f.predict(t, c.stated, version); got.Need().String() != want {
				t.Errorf("%s, libvirt %s: %s, want %s: %+v", c.name, version, got.Need(), want, got)
			}
		}
	}
}

// Disks that no version takes otherwise are predicted once for all versions.
func TestDisksAsksOnce(t *testing.T) {
	f := newFiles(t)
	f.raw("base", 1<<20)
	f.qcow2("top", img{backing: "base", backingFormat: "raw"})
	var targets []libvirt.Pair
	for _, version := range libvirt.Detectors() {
		targets = append(targets, libvirt.Pair{Libvirt: version})
	}
	w := &chain.Walker{Images: image.NewCache(f)}
	n := testing.AllocsPerRun(10, func() {
		for range predict.Disks(t.Context(), w, f.top("top"), targets[:1]) {
		}
	})
	all := testing.AllocsPerRun(10, func() {
		for range predict.Disks(t.Context(), w, f.top("top"), targets) {
		}
	})
	if len(targets) < 5 || all > 2*n {
		t.Errorf("%.0f allocations for %d versions, %.0f for one", all, len(targets), n)
	}
}

// TestNeedIsOrdered: what is worse is greater, so that a guest has the need of its neediest disk.
func TestNeedIsOrdered(t *testing.T) {
	worse := []predict.Need{predict.Recorded, predict.Unknown, predict.Guessed, predict.Refused, predict.Misopened}
	for i, n := range worse {
		if i > 0 && max(worse[i-1], n) != n {
			t.Errorf("%s is not worse than %s", n, worse[i-1])
		}
	}
}
