package chain_test

import (
	"context"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

func nbd(export string) *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{
		Protocol: "nbd", Name: export, Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "storage.example", Port: "10809"}}}}
}

func stated(layers ...chain.Layer) chain.Stated { return chain.Stated{Target: "vda", Layers: layers} }

func layerOf(src *libvirtxml.DomainDiskSource, f probe.Format) chain.Layer {
	return chain.Layer{Source: src, Format: f, From: chain.XML}
}

// A source that nothing here reads is as good as its stated format: one that
// can have no backing image ends the chain; of one that can, the rest is a
// guess unless the XML states it.
func TestSourcesThatAreNotRead(t *testing.T) {
	f := newFiles(t)
	sources := map[string]*libvirtxml.DomainDiskSource{
		"network":          nbd("disk"),
		"volume":           {Volume: &libvirtxml.DomainDiskSourceVolume{Pool: "images", Volume: "disk"}},
		"descriptor group": {File: &libvirtxml.DomainDiskSourceFile{File: "/images/disk", FDGroup: "group"}},
		"nvme":             {NVME: &libvirtxml.DomainDiskSourceNVME{PCI: &libvirtxml.DomainDiskSourceNVMEPCI{Namespace: 1}}},
		"vhost-vdpa":       {VHostVDPA: &libvirtxml.DomainDiskSourceVHostVDPA{Dev: "/dev/vhost-vdpa-0"}},
	}
	for name, src := range sources {
		t.Run(name, func(t *testing.T) {
			t.Run("raw", func(t *testing.T) {
				got := f.walk(t, chain.Policy{}, stated(layerOf(src, probe.Raw)))
				if got.Verdict != chain.Explicit && got.Verdict != chain.Skipped {
					t.Errorf("verdict %v; findings %+v", got.Verdict, got.Findings)
				}
			})
			t.Run("qcow2", func(t *testing.T) {
				reported := wantRefused(t, f.walk(t, chain.Policy{}, stated(layerOf(src, probe.Qcow2))), finding.SourceNotLocal)
				wantContains(t, reported.Remedy.String(), map[string]string{"network": "--network", "volume": "--pools"}[name])
			})
			t.Run("qcow2, and the XML states the rest", func(t *testing.T) {
				s := stated(layerOf(src, probe.Qcow2), f.layer("base.raw", probe.Raw))
				s.Terminated = true
				got := f.walk(t, chain.Policy{}, s)
				wantVerdict(t, got, chain.Explicit, 2)
				wantFinding(t, got, finding.ChainUnverified, finding.Warn)
			})
			t.Run("stated raw below a file", func(t *testing.T) {
				f.qcow2("top.qcow2", img{})
				got := f.walk(t, chain.Policy{Disagreement: chain.XMLWins}, stated(f.layer("top.qcow2", probe.Qcow2), layerOf(src, probe.Raw)))
				wantFixable(t, got, 2)
			})
			if n := len(f.opened); n > 1 {
				t.Errorf("%d sources were opened", n)
			}
		})
	}
}

// What a header calls a server is written without a word to it, if nothing in
// the image could matter; else the operator is asked.
func TestBackingImagesOnTheNetwork(t *testing.T) {
	f := newFiles(t)
	const name = "nbd://storage.example:10809/disk"
	for _, c := range []struct {
		recorded string
		trust    probe.Format
		code     finding.Code // "" if the chain can be written
	}{
		{"raw", "", ""},
		{"vdi", "", ""},
		{"qcow2", "", finding.SourceNotLocal},
		{"", "", finding.FormatUnrecorded},
		{"", "raw", ""},
		{"", "qcow2", finding.SourceNotLocal},
		{"raw", "qcow2", finding.TrustConflict},
	} {
		f.qcow2("top.qcow2", img{backing: name, backingFormat: c.recorded})
		policy := chain.Policy{}
		if c.trust != "" {
			policy.Trust = []chain.Statement{{Path: name, Format: c.trust}}
		}
		got := f.walk(t, policy, f.top("top.qcow2"))
		if c.code == "" {
			wantFixable(t, got, 2)
		} else {
			reported := wantRefused(t, got, c.code)
			if c.code == finding.FormatUnrecorded {
				wantContains(t, reported.Remedy.String(), "--trust "+name+"=raw")
				wantContains(t, reported.Remedy.String(), "--network")
			}
		}
	}
}

func TestDriverTypeOfAnUnreadSourceStaysAsItIs(t *testing.T) {
	got := newFiles(t).walk(t, chain.Policy{}, stated(chain.Layer{Source: nbd("disk")}))
	wantVerdict(t, got, chain.Explicit, 1)
	wantFinding(t, got, finding.DriverTypeMissing, finding.Warn)
}

func TestVirtualFATIsNoBackingImageThatAHeaderMayName(t *testing.T) {
	f := newFiles(t)
	f.qcow2("top.qcow2", img{})
	folder := &libvirtxml.DomainDiskSource{Dir: &libvirtxml.DomainDiskSourceDir{Dir: f.dir}}
	t.Run("stated in the XML", func(t *testing.T) {
		s := stated(f.layer("top.qcow2", probe.Qcow2), chain.Layer{Source: folder, From: chain.Protocol})
		s.Terminated = true
		wantVerdict(t, f.walk(t, chain.Policy{Disagreement: chain.XMLWins}, s), chain.Explicit, 2)
	})
	for record, code := range map[string]finding.Code{"": "", "raw": "", "qcow2": finding.FormatConflict} {
		f.qcow2("over.qcow2", img{backing: "fat:" + f.dir, backingFormat: record})
		reported := wantRefused(t, f.walk(t, chain.Policy{}, f.top("over.qcow2")), finding.BackingDirectory)
		wantContains(t, reported.Remedy.String(), "state the folder in the XML")
		got := f.walk(t, chain.Policy{}, stated(f.layer("over.qcow2", probe.Qcow2), chain.Layer{Source: folder, From: chain.Protocol}))
		if code == "" {
			wantFixable(t, got, 2)
		} else {
			wantContains(t, wantRefused(t, got, code).Text, " is raw, but its overlay records "+record)
		}
	}
}

// pools knows one volume of the pool "images".
type pools struct{ path string }

func (p pools) Locate(_ context.Context, src *libvirtxml.DomainDiskSource) (*libvirtxml.DomainDiskSource, error) {
	if src.Volume.Pool != "images" {
		return nil, fmt.Errorf("%w: the pool %q is not known", storage.ErrNoVolume, src.Volume.Pool)
	}
	return &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: p.path + "/" + src.Volume.Volume}}, nil
}

// What a volume's header names starts in the folder of the pool, and the XML
// keeps calling it a volume.
func TestVolumeIsReadWhereItsPoolSays(t *testing.T) {
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	f.qcow2("top.qcow2", img{backing: "base.raw", backingFormat: "raw"})
	volume := &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: "images", Volume: "top.qcow2"}}
	w := &chain.Walker{Images: image.NewCache(f), Volumes: pools{f.dir}}
	f.touched, f.opened = map[string]bool{}, map[string]int{}
	got, err := w.Walk(t.Context(), stated(layerOf(volume, probe.Qcow2)))
	if err != nil {
		t.Fatal(err)
	}
	wantFixable(t, got, 2)
	if got.Layers[0].Source != volume {
		t.Errorf("the top is %+v, no longer a volume", got.Layers[0].Source)
	}
	if path, _ := storage.LocalPath(got.Layers[1].Source); path != f.path("base.raw") {
		t.Errorf("the base is %q", path)
	}

	elsewhere := &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: "other", Volume: "top.qcow2"}}
	got, err = w.Walk(t.Context(), stated(layerOf(elsewhere, probe.Qcow2)))
	if err != nil {
		t.Fatal(err)
	}
	reported := wantRefused(t, got, finding.SourceNotLocal)
	wantContains(t, reported.Text, `"other"`)
	if strings.Contains(reported.Remedy.String(), "--pools") {
		t.Errorf("the pools are given, and yet: %s", reported.Remedy.String())
	}
}

// A folder in a pool is to libvirt what one is outside, whether or not the XML
// says so.
func TestFolderOfAPool(t *testing.T) {
	f := newFiles(t)
	volume := &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: "images", Volume: "folder"}}
	w := &chain.Walker{Images: image.NewCache(f), Volumes: folders{}}
	for _, top := range []chain.Layer{{Source: volume}, {Source: volume, From: chain.Protocol}} {
		got, err := w.Walk(t.Context(), stated(top))
		if err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, got, chain.Skipped, 1)
		if len(got.Findings) > 0 {
			t.Errorf("findings %+v", got.Findings)
		}
	}
}

// folders has nothing but folders for volumes.
type folders struct{}

func (folders) Locate(_ context.Context, src *libvirtxml.DomainDiskSource) (*libvirtxml.DomainDiskSource, error) {
	return &libvirtxml.DomainDiskSource{Dir: &libvirtxml.DomainDiskSourceDir{Dir: "/images/" + src.Volume.Volume}}, nil
}

func sliced(src *libvirtxml.DomainDiskSource, offset, size uint) *libvirtxml.DomainDiskSource {
	part := *src
	part.Slices = &libvirtxml.DomainDiskSlices{Slices: []libvirtxml.DomainDiskSlice{{Type: "storage", Offset: offset, Size: size}}}
	return &part
}

// Two slices of one file are two images: an overlay and its base may lie in
// one archive.
func TestSliceIsReadInsteadOfItsFile(t *testing.T) {
	f := newFiles(t)
	f.qcow2("top.qcow2", img{backing: f.path("base.raw"), backingFormat: "raw"})
	f.raw("base.raw", 1<<20)
	top, err := os.ReadFile(f.path("top.qcow2"))
	if err != nil {
		t.Fatal(err)
	}
	f.put("archive.tar", append(make([]byte, 4096), top...))
	archive := f.layer("archive.tar", probe.Qcow2).Source

	got := f.walk(t, chain.Policy{}, stated(layerOf(sliced(archive, 4096, uint(len(top))), probe.Qcow2)))
	wantFixable(t, got, 2)

	for name, s := range map[string]*libvirtxml.DomainDiskSource{
		"behind the end": sliced(archive, 4096, uint(len(top))+1),
		"outside":        sliced(archive, 1<<30, 512),
		"empty":          sliced(archive, 4096, 0),
		"overflowing":    sliced(archive, ^uint(0)-511, 1024),
	} {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, f.walk(t, chain.Policy{}, stated(layerOf(s, probe.Qcow2))), finding.SourceSlice)
		})
	}

	t.Run("the same slice twice", func(t *testing.T) {
		f.qcow2("loop.qcow2", img{backing: f.path("loop.qcow2"), backingFormat: "qcow2"})
		wantRefused(t, f.walk(t, chain.Policy{}, f.top("loop.qcow2")), finding.ChainLoop)
	})
}

// libvirt starts a guest without an optional disk whose chain has a gap, so
// that is no reason to refuse the guest.
func TestOptionalDiskWithoutItsImage(t *testing.T) {
	f := newFiles(t)
	f.qcow2("top.qcow2", img{backing: "gone.qcow2", backingFormat: "qcow2"})
	for _, name := range []string{"top.qcow2", "gone.qcow2"} {
		s := f.top(name)
		s.Layers[0].Source.StartupPolicy = "optional"
		got := f.walk(t, chain.Policy{}, s)
		wantVerdict(t, got, chain.Skipped, 1)
		wantFinding(t, got, finding.ImageMissing, finding.Warn)
		for _, policy := range []string{"", "mandatory", "requisite"} {
			s.Layers[0].Source.StartupPolicy = policy
			wantRefused(t, f.walk(t, chain.Policy{}, s), finding.ImageMissing)
		}
	}
}

// deserted is a network on which there is nothing.
type deserted struct{ *files }

func (d deserted) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	if src.Network != nil {
		return nil, &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}
	}
	return d.files.Open(ctx, src)
}

// Whether an image on the network is there QEMU finds out, and no disk is left
// out for it.
func TestOptionalDiskOverTheNetwork(t *testing.T) {
	f := newFiles(t)
	f.qcow2("top.qcow2", img{backing: "nbd://storage.example/gone", backingFormat: "qcow2"})
	s := f.top("top.qcow2")
	s.Layers[0].Source.StartupPolicy = "optional"
	f.touched, f.opened = map[string]bool{}, map[string]int{}
	got, err := (&chain.Walker{Images: image.NewCache(deserted{f})}).Walk(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, got, finding.ImageMissing)
}

// luksQcow2 is an encrypted qcow2 image, as far as its header goes.
func luksQcow2(t *testing.T) []byte {
	t.Helper()
	const luksHeader = 0x0537be77
	where := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, 1<<16), 1<<16)
	data, err := mkimage.Qcow2{VirtualSize: 1 << 20, Extensions: []mkimage.Extension{{Type: luksHeader, Data: where}}}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	data[35] = 2 // crypt_method
	return data
}

func TestSecretThatIsMissingIsShown(t *testing.T) {
	f := newFiles(t)
	f.put("base.qcow2", luksQcow2(t))
	f.qcow2("top.qcow2", img{backing: "base.qcow2", backingFormat: "qcow2"})
	hint := wantRefused(t, f.walk(t, chain.Policy{}, f.top("top.qcow2")), finding.Encrypted).Remedy.String()
	for _, part := range []string{"<backingStore", f.path("base.qcow2"), "<encryption", "<secret"} {
		wantContains(t, hint, part)
	}
	hint = wantRefused(t, f.walk(t, chain.Policy{}, f.top("base.qcow2")), finding.Encrypted).Remedy.String()
	wantContains(t, hint, "<encryption")
	if strings.Contains(hint, "backingStore") {
		t.Errorf("%q is about a disk's own image", hint)
	}
}

// What is shown is what the XML lacks: when it is pasted, with a secret that
// there is, nothing is missing any more.
func TestSecretThatIsShownIsPasted(t *testing.T) {
	f := newFiles(t)
	f.put("base.qcow2", luksQcow2(t))
	f.qcow2("low.qcow2", img{backing: "base.qcow2", backingFormat: "qcow2"})
	f.qcow2("middle.qcow2", img{backing: "low.qcow2", backingFormat: "qcow2"})
	f.qcow2("top.qcow2", img{backing: "middle.qcow2", backingFormat: "qcow2"})
	for _, layers := range [][]string{{"top.qcow2"}, {"top.qcow2", "middle.qcow2"}, {"top.qcow2", "middle.qcow2", "low.qcow2"}} {
		var s chain.Stated
		for _, name := range layers {
			s.Layers = append(s.Layers, f.layer(name, probe.Qcow2))
		}
		hint := wantRefused(t, f.walk(t, chain.Policy{}, s), finding.Encrypted).Remedy.String()
		start, end := strings.Index(hint, "<backingStore"), strings.LastIndex(hint, "</backingStore>")
		if start < 0 || end < start {
			t.Fatalf("hint %q", hint)
		}
		pasted := libvirtxml.DomainDiskBackingStore{}
		if err := xml.Unmarshal([]byte(hint[start:end]+"</backingStore>"), &pasted); err != nil {
			t.Fatal(err)
		}
		for store := &pasted; store != nil; store = store.BackingStore {
			s.Layers = append(s.Layers, layerOf(store.Source, probe.Qcow2))
		}
		wantFixable(t, f.walk(t, chain.Policy{}, s), 4)
	}
}

func TestErrorsOfTheOpenerForOtherSources(t *testing.T) {
	_, err := storage.FileOpener{}.Open(t.Context(), nbd("x"))
	if !errors.Is(err, storage.ErrNotReadable) {
		t.Errorf("Open: %v", err)
	}
	_, err = storage.FileOpener{}.Identify(t.Context(), nbd("x"))
	if !errors.Is(err, storage.ErrNotReadable) {
		t.Errorf("Identify: %v", err)
	}
}

// The hint is of use: what reads a source is named, and nothing is where
// nothing reads it.
func TestHintsForSourcesThatAreNotRead(t *testing.T) {
	f := newFiles(t)
	secret, tls := nbd("disk"), nbd("disk")
	secret.Network.Auth = &libvirtxml.DomainDiskAuth{Username: "alice"}
	tls.Network.TLS = "yes"
	for _, c := range []struct {
		source *libvirtxml.DomainDiskSource
		flags  string
	}{
		{protocol("nbd"), ": --network; or"}, {protocol("http"), ": --network; or"}, {protocol("https"), ": --network; or"},
		{protocol("gluster"), ": --network --qemu-img qemu-img; or"}, {protocol("ssh"), ": --network --qemu-img qemu-img; or"},
		{protocol("sheepdog"), ""}, {protocol("tftp"), ""}, {secret, ""}, {tls, ""},
	} {
		hint := wantRefused(t, f.walk(t, chain.Policy{}, stated(layerOf(c.source, probe.Qcow2))), finding.SourceNotLocal).Remedy.String()
		if !strings.Contains(hint, c.flags) || strings.Contains(hint, "--network") != (c.flags != "") {
			t.Errorf("%+v: %q, want %q", c.source.Network, hint, c.flags)
		}
	}
}

func protocol(name string) *libvirtxml.DomainDiskSource {
	src := nbd("vol/disk")
	src.Network.Protocol = name
	return src
}

// reluctant reads some images on the network, and not these.
type reluctant struct{ *files }

func (reluctant) Open(context.Context, *libvirtxml.DomainDiskSource) (storage.Image, error) {
	return nil, &fs.PathError{Op: "open", Path: "x", Err: fmt.Errorf("it needs TLS: %w", storage.ErrNotReadable)}
}

func TestReasonForNotReadingIsGiven(t *testing.T) {
	w := &chain.Walker{Images: image.NewCache(reluctant{newFiles(t)})}
	got, err := w.Walk(t.Context(), stated(layerOf(nbd("disk"), probe.Qcow2)))
	if err != nil {
		t.Fatal(err)
	}
	reported := wantRefused(t, got, finding.SourceNotLocal)
	wantContains(t, reported.Text, `was not read: "it needs TLS"`)
	if strings.Contains(reported.Remedy.String(), "--network") {
		t.Errorf("hint %q", reported.Remedy.String())
	}
}
