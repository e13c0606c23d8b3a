package chain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

func mustVersion(t *testing.T, s string) libvirt.Version {
	t.Helper()
	v, err := libvirt.ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustPair(t *testing.T, s string) libvirt.Pair {
	t.Helper()
	p, err := libvirt.ParsePair(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// predict predicts with a new Walker, through f's own Opener.
func (f *files) predict(t *testing.T, stated chain.Stated, target string) predict.Prediction {
	t.Helper()
	f.touched, f.opened = map[string]bool{}, map[string]int{}
	w := &chain.Walker{Images: image.NewCache(f)}
	got, err := predict.Disk(context.Background(), w, stated, mustPair(t, target))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// explicit is a disk whose XML states layers below the top, and the end.
func (f *files) explicit(top string, below ...chain.Layer) chain.Stated {
	stated := f.top(top)
	stated.Layers = append(stated.Layers, below...)
	stated.Terminated = true
	return stated
}

// TestPredictionByVersion has what changed from one libvirt to another. The
// installed one is compared with the real outcome elsewhere; what is said of
// others is in their release notes, and for 11.3 was read and run.
func TestPredictionByVersion(t *testing.T) {
	unrecordedOver := func(base string) func(*files) chain.Stated {
		return func(f *files) chain.Stated {
			f.qcow2("top", img{backing: base})
			return f.top("top")
		}
	}
	recordedOver := func(base, format string) func(*files) chain.Stated {
		return func(f *files) chain.Stated {
			f.qcow2("top", img{backing: base, backingFormat: format})
			return f.top("top")
		}
	}
	onSD := func(stated func(*files) chain.Stated) func(*files) chain.Stated {
		return func(f *files) chain.Stated {
			s := stated(f)
			s.Bus = "sd"
			return s
		}
	}
	explicitChain := func(f *files) chain.Stated {
		f.qcow2("top", img{backing: "middle"})
		return f.explicit("top", f.layer("middle", probe.Qcow2), f.layer("raw", probe.Raw))
	}
	layers := func(n int) func(*files) chain.Stated {
		return func(f *files) chain.Stated {
			for i := range n - 1 {
				below, format := fmt.Sprint("l", i+1), "qcow2"
				if i == n-2 {
					below, format = "raw", "raw"
				}
				f.qcow2(fmt.Sprint("l", i), img{backing: below, backingFormat: format})
			}
			return f.top("l0")
		}
	}
	dataFile := func(name string) func(*files) chain.Stated {
		return func(f *files) chain.Stated {
			f.qcow2("top", img{dataFile: strings.ReplaceAll(name, "DIR", f.dir)})
			return f.top("top")
		}
	}
	dataStore := func(path string) func(*files) chain.Stated {
		return func(f *files) chain.Stated {
			stated := dataFile("DIR/raw")(f)
			stated.Terminated = true
			stated.Layers[0].Source.DataStore = &libvirtxml.DomainDiskDataStore{Source: file(f.path(path))}
			return stated
		}
	}
	cases := []struct {
		name   string
		stated func(*files) chain.Stated
		want   string // what each version does, and all from it up to the next
	}{
		{"unrecorded raw", unrecordedOver("raw"), "5.0 starts, 6.0 refuses, 6.1 starts"},
		{"unrecorded qcow2 without a backing image", unrecordedOver("leaf"), "5.0 starts, 5.10 misopens, 6.0 refuses, 6.1 starts"},
		{"unrecorded qcow2 with a backing image", unrecordedOver("middle"), "5.0 misopens, 6.0 refuses"},
		{"unrecorded vhdx", unrecordedOver("vhdx"), "5.0 starts, 5.10 misopens, 6.0 refuses, 6.1 misopens"},
		{"qed over unrecorded", func(f *files) chain.Stated {
			f.write("top", mkimage.QED{VirtualSize: overlaySize, Backing: "middle"})
			return chain.Stated{Layers: []chain.Layer{f.layer("top", probe.QED)}}
		}, "5.0 misopens"},
		{"recorded raw", recordedOver("raw", "raw"), "5.0 starts"},
		{"recorded QCOW2", recordedOver("leaf", "QCOW2"), "5.0 refuses, 5.10 misopens, 6.0 refuses, 6.1 starts, 9.10 misopens"},
		{"recorded file over qcow2", recordedOver("leaf", "file"), "5.0 starts, 6.0 refuses, 6.1 misopens, 9.10 starts"},
		{"recorded vhdx", recordedOver("vhdx", "vhdx"), "5.0 starts, 5.10 misopens, 6.0 refuses, 6.1 misopens"},
		{"recorded vhd", recordedOver("vhdx", "vhd"), "5.0 refuses, 5.10 starts"},
		{"recorded none", recordedOver("raw", "none"), "5.0 refuses, 9.10 starts"},
		{"recorded garbage over qcow2", recordedOver("leaf", "garbage"), "5.0 refuses, 5.10 misopens, 6.0 refuses, 6.1 starts, 9.10 misopens"},
		{"recorded garbage over raw", recordedOver("raw", "garbage"), "5.0 refuses, 5.10 starts, 6.0 refuses, 6.1 starts"},
		{"explicit chain that is not recorded", explicitChain, "5.0 misopens, 5.10 starts"},
		{"explicit chain below raw", func(f *files) chain.Stated {
			f.qcow2("top", img{backing: "raw", backingFormat: "raw"})
			return f.explicit("top", f.layer("raw", probe.Raw), f.layer("leaf", probe.Qcow2))
		}, "5.0 starts, 5.10 refuses, 11.3 starts"},
		{"explicit chain below vdi", func(f *files) chain.Stated {
			f.write("vdi", mkimage.VDI{VirtualSize: overlaySize})
			f.qcow2("top", img{backing: "vdi", backingFormat: "vdi"})
			return f.explicit("top", f.layer("vdi", probe.VDI), f.layer("leaf", probe.Qcow2))
		}, "5.0 starts, 5.10 refuses"},
		{"26 layers, the last of them raw", layers(26), "5.0 starts"},
		{"27 layers, the last of them raw", layers(27), "5.0 starts, 10.8 refuses, 12.0 starts"},
		{"201 layers", layers(201), "5.0 refuses"},
		{"sd bus, recorded", onSD(recordedOver("raw", "raw")), "5.0 starts"},
		{"sd bus, recorded vhdx", onSD(recordedOver("vhdx", "vhdx")), "5.0 starts, 6.0 refuses, 6.1 starts"},
		{"sd bus, explicit chain that is not recorded", onSD(explicitChain), "5.0 misopens, 6.0 refuses"},
		{"data file", dataFile("DIR/raw"), "5.0 starts"},
		{"missing data file", dataFile("DIR/gone"), "5.0 refuses"},
		{"relative data file", dataFile("raw"), "5.0 refuses, 10.10 starts"},
		{"data file in json", dataFile(`json:{"driver":"file","filename":"DIR/raw"}`), "5.0 misopens, 9.0 refuses, 9.9 misopens"},
		{"data store", dataStore("raw"), "5.0 starts"},
		{"missing data store", dataStore("gone"), "5.0 starts, 10.10 refuses"},
	}
	f := newFiles(t)
	f.raw("raw", 1<<20)
	f.qcow2("leaf", img{})
	f.qcow2("middle", img{backing: "raw", backingFormat: "raw"})
	f.write("vhdx", mkimage.VHDX{VirtualSize: overlaySize})
	for _, c := range cases {
		f.checkVersions(t, c.name, c.stated(f), c.want)
	}
}

// checkVersions compares the predictions for many versions with what each does, and
// all from it up to the next: "5.0 starts, 6.0 refuses".
func (f *files) checkVersions(t *testing.T, name string, stated chain.Stated, wants string) {
	t.Helper()
	for _, version := range []string{"5.0", "5.10", "6.0", "6.1", "7.0", "9.0", "9.9", "9.10", "10.7", "10.8", "10.10", "11.2", "11.3", "11.4", "11.10", "12.0", "12.7", "12.8", "12.9"} {
		want := ""
		for _, step := range strings.Split(wants, ", ") {
			since, outcome, _ := strings.Cut(step, " ")
			if !mustVersion(t, version).Before(mustVersion(t, since)) {
				want = outcome
			}
		}
		got := f.predict(t, stated, version)
		if got.Outcome.String() != want {
			t.Errorf("%s, libvirt %s: %v (%s), want %s", name, version, got.Outcome, got.Reason, want)
		}
		if got.Outcome != predict.Starts && (got.Reason == "" || got.Layer < 0) {
			t.Errorf("%s, libvirt %s: nothing is said: %+v", name, version, got)
		}
	}
}

// A prediction after a walk costs no further open, and one before it neither.
func TestPredictionSharesTheWalkersLooks(t *testing.T) {
	f := newFiles(t)
	f.raw("raw", 1<<20)
	f.qcow2("leaf", img{})
	f.qcow2("middle", img{backing: "raw", backingFormat: "raw"})
	f.write("vmdk", mkimage.VMDK{VirtualSize: overlaySize})
	for i, over := range []img{
		{backing: "raw"}, {backing: "leaf"}, {backing: "middle"}, {backing: "middle", backingFormat: "qcow2"},
		{backing: "leaf", backingFormat: "QCOW2"}, {backing: "leaf", backingFormat: "file"}, {backing: "vmdk"},
	} {
		f.qcow2("top", over)
		for _, walkFirst := range []bool{true, false} {
			f.touched, f.opened = map[string]bool{}, map[string]int{}
			w := &chain.Walker{Images: image.NewCache(f)}
			walk := func() {
				if _, err := w.Walk(context.Background(), f.top("top")); err != nil {
					t.Fatal(err)
				}
			}
			if walkFirst {
				walk()
			}
			for _, version := range []string{"5.0", "6.0", "9.0", "9.10", "11.3"} {
				if _, err := predict.Disk(context.Background(), w, f.top("top"), mustPair(t, version)); err != nil {
					t.Fatal(err)
				}
			}
			walk()
			for path, n := range f.opened {
				if n > 1 {
					t.Errorf("%d, %+v: %q is opened %d times", i, over, path, n)
				}
			}
		}
	}
}

// The prediction does not guess what it cannot read.
func TestPredictionOfWhatIsNotSeen(t *testing.T) {
	network := func(format probe.Format) chain.Stated {
		return chain.Stated{Layers: []chain.Layer{{From: chain.XML, Format: format, Source: &libvirtxml.DomainDiskSource{
			Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: "nbd", Name: "disk", Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "h"}}}}}}}
	}
	volume := func(format probe.Format) chain.Stated {
		return chain.Stated{Layers: []chain.Layer{{From: chain.XML, Format: format, Source: &libvirtxml.DomainDiskSource{
			Volume: &libvirtxml.DomainDiskSourceVolume{Pool: "p", Volume: "v"}}}}}
	}
	ended := func(s chain.Stated) chain.Stated {
		s.Terminated = true
		return s
	}
	w := new(chain.Walker)
	target := mustPair(t, "9.0")
	for name, stated := range map[string]chain.Stated{"network": network(probe.Qcow2), "volume": volume(probe.Qcow2)} {
		if got, err := predict.Disk(context.Background(), w, stated, target); !errors.Is(err, predict.ErrUnseen) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, stated := range map[string]chain.Stated{
		"raw on the network": network(probe.Raw), "raw volume": volume(probe.Raw), "volume": volume(""),
		"ended on the network": ended(network(probe.Qcow2)), "ended volume": ended(volume(probe.Qcow2)),
		"empty drive": {Layers: []chain.Layer{{Source: &libvirtxml.DomainDiskSource{}}}},
	} {
		if got, err := predict.Disk(context.Background(), w, stated, target); err != nil || got.Outcome != predict.Starts {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := predict.Disk(context.Background(), w, network(probe.Raw), libvirt.Pair{}); !errors.Is(err, predict.ErrNoTarget) {
		t.Errorf("no target: %v", err)
	}
	if _, err := predict.Disk(context.Background(), w, chain.Stated{}, target); !errors.Is(err, chain.ErrNoTop) {
		t.Errorf("no top: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := predict.Disk(ctx, w, network(probe.Raw), target); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// libvirt leaves an overlay to QEMU whose backing image's name holds
// credentials; they are never shown.
func TestPredictionHidesCredentials(t *testing.T) {
	f := newFiles(t)
	for _, c := range []struct {
		name, format string
		want         predict.Outcome
	}{
		{"http://user:hunter2@example.com/x", "raw", predict.Starts},
		{"http://user:hunter2@example.com/x", "", predict.Misopens},
		{`json:{"driver":"https","url":"https://h/x","password-secret":"hunter2"}`, "raw", predict.Starts},
		{`json:{"driver":"https","url":"https://h/x","password-secret":"hunter2"}`, "", predict.Refuses},
		{"ssh:hunter2@h/x", "raw", predict.Refuses},
		{"http://example.com/x?token=hunter2", "", predict.Refuses},
	} {
		f.qcow2("top", img{backing: c.name, backingFormat: c.format})
		got := f.predict(t, f.top("top"), "9.0")
		if got.Outcome != c.want || got.Reason == "" || strings.Contains(got.Reason, "hunter2") {
			t.Errorf("%q over %q: %+v, want %v", c.format, c.name, got, c.want)
		}
	}
}

// FuzzPredict predicts what becomes of an image of any content below an overlay
// that does not record its format. Whatever the image says, no other is touched,
// and nothing that could drive a terminal is said.
func FuzzPredict(f *testing.F) {
	bytesOf := func(i interface{ Bytes() ([]byte, error) }) []byte {
		data, err := i.Bytes()
		if err != nil {
			f.Fatal(err)
		}
		return data
	}
	for version := range uint8(8) {
		f.Add(bytesOf(mkimage.Qcow2{ClusterBits: 9, VirtualSize: 1 << 16, Backing: "c"}), version)
		f.Add(bytesOf(mkimage.Qcow2{ClusterBits: 9, VirtualSize: 1 << 16, DataFile: "/c"}), version|8)
		f.Add(bytesOf(mkimage.QED{ClusterBits: 12, VirtualSize: 1 << 16, Backing: "c\x1b[2J"}), version|16)
		f.Add(bytesOf(mkimage.VMDK{VirtualSize: 1 << 16, Backing: "c"}), version|24)
		f.Add(bytesOf(mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Sectors: 8, Name: "c"}}}), version|32)
		f.Add(bytesOf(mkimage.VPC{VirtualSize: 1 << 16, Parent: "c"}), version|40)
	}
	versions := []string{"5.0", "5.10", "6.0", "6.1", "9.0", "9.10", "11.3", "12.0"}
	f.Fuzz(func(t *testing.T, base []byte, how uint8) {
		var top []byte
		format := probe.Qcow2
		switch how >> 3 & 3 {
		case 0, 1:
			top = bytesOf(mkimage.Qcow2{ClusterBits: 9, VirtualSize: 1 << 16, Backing: "b", BackingFormat: []string{"", "garbage"}[how>>3&1]})
		case 2:
			format, top = probe.QED, bytesOf(mkimage.QED{ClusterBits: 12, VirtualSize: 1 << 16, Backing: "b"})
		case 3:
			format, top = probe.Qcow, bytesOf(mkimage.Qcow{ClusterBits: 9, VirtualSize: 1 << 16, Backing: "b"})
		}
		images := &imageMap{images: map[string][]byte{"/a": top, "/b": base, "/c": bytes.Repeat([]byte{0x90}, 600)}, touched: map[string]int{}}
		stated := chain.Stated{Layers: []chain.Layer{{Source: file("/a"), Format: format, From: chain.XML}}}
		if how>>5&1 == 1 {
			stated.Bus = "sd"
		}
		target, err := libvirt.ParsePair(versions[how&7])
		if err != nil {
			t.Fatal(err)
		}
		got, err := predict.Disk(context.Background(), &chain.Walker{Images: image.NewCache(images)}, stated, target)
		if err != nil {
			t.Fatal(err)
		}
		for path := range images.touched {
			if path != "/a" && path != "/b" {
				t.Fatalf("%q is touched: %+v", path, got)
			}
		}
		for _, r := range got.Reason {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q", got.Reason)
			}
		}
	})
}
