package chain_test

import (
	"context"
	"os"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

func store(path string) *libvirtxml.DomainDiskDataStore {
	return &libvirtxml.DomainDiskDataStore{
		Format: &libvirtxml.DomainDiskFormat{Type: "raw"},
		Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}},
	}
}

func withStore(l chain.Layer, path string) chain.Layer {
	src := *l.Source
	src.DataStore = store(path)
	l.Source = &src
	return l
}

// <dataStore> is written only for a libvirt that supports it; others would
// silently drop the element and leave the file to QEMU.
func TestDataFileIsWrittenForALibvirtThatKnowsIt(t *testing.T) {
	f := newFiles(t)
	f.raw("data.raw", overlaySize)
	f.qcow2("top.qcow2", img{dataFile: f.path("data.raw")})
	for target, written := range map[libvirt.Version]bool{
		{}: false, {Major: 6, Minor: 1}: false, {Major: 9}: false, {Major: 10, Minor: 9}: false, {Major: 10, Minor: 10}: true, {Major: 11, Minor: 3}: true,
	} {
		got := f.walk(t, chain.Policy{Target: target}, f.top("top.qcow2"))
		if !written {
			wantRefused(t, got, finding.DataFile)
			continue
		}
		wantFixable(t, got, 1)
		if s := got.Layers[0].Source.DataStore; s == nil || s.Format.Type != "raw" || s.Source.File.File != f.path("data.raw") {
			t.Errorf("libvirt %v: data store %+v", target, s)
		}
	}
}

func TestDataFileOfALowerLayerIsWrittenToo(t *testing.T) {
	f := newFiles(t)
	f.raw("data.raw", overlaySize)
	f.qcow2("base.qcow2", img{dataFile: f.path("data.raw")})
	f.qcow2("top.qcow2", img{backing: "base.qcow2", backingFormat: "qcow2"})
	got := f.walk(t, chain.Policy{Target: libvirt.Version{Major: 10, Minor: 10}}, f.top("top.qcow2"))
	wantFixable(t, got, 2)
	if got.Layers[0].Source.DataStore != nil || got.Layers[1].Source.DataStore == nil {
		t.Errorf("layers %+v", got.Layers)
	}
}

// Whatever the target, no data file of an image with a probed format is
// followed.
func TestDataFileOfAnUnrecordedImageIsNeverTouched(t *testing.T) {
	f := newFiles(t)
	f.raw("data.raw", overlaySize)
	f.qcow2("base.qcow2", img{dataFile: f.path("data.raw")})
	f.qcow2("top.qcow2", img{backing: "base.qcow2"})
	got := f.walk(t, chain.Policy{Target: libvirt.Version{Major: 11}}, f.top("top.qcow2"))
	wantRefused(t, got, finding.DataFile)
	f.wantUntouched(t, "data.raw")
}

func TestNamesOfDataFiles(t *testing.T) {
	f := newFiles(t)
	f.raw("data.raw", overlaySize)
	f.raw("data:1.raw", overlaySize)
	if err := os.Symlink(f.dir, f.path("folder")); err != nil {
		t.Fatal(err)
	}
	for name, code := range map[string]finding.Code{
		f.path("data.raw"):           "",
		f.path("data:1.raw"):         "",
		f.path("folder/../data.raw"): finding.ImageMissing,
		f.path("gone.raw"):           finding.ImageMissing,
		f.dir:                        finding.NotAnImage,
		"/dev/null":                  finding.NotAnImage,
		"data.raw":                   finding.DataFile,
		"./data.raw":                 finding.DataFile,
		"file:" + f.path("data.raw"): finding.DataFile,
		`json:{"driver":"file","filename":"` + f.path("data.raw") + `"}`: finding.DataFile,
		"nbd://user:word@host/x": finding.DataFile,
		f.path("data\x1b.raw"):   finding.DataFile,
		f.path("data\xff.raw"):   finding.DataFile,
	} {
		f.qcow2("top.qcow2", img{dataFile: name})
		got := f.walk(t, chain.Policy{Target: libvirt.Version{Major: 11}}, f.top("top.qcow2"))
		if code == "" {
			wantFixable(t, got, 1)
			continue
		}
		wantRefused(t, got, code)
	}
}

func TestDataFileInTheXMLAndInTheHeader(t *testing.T) {
	f := newFiles(t)
	f.raw("data.raw", overlaySize)
	f.raw("other.raw", overlaySize)
	if err := os.Symlink(f.path("data.raw"), f.path("link.raw")); err != nil {
		t.Fatal(err)
	}
	f.qcow2("top.qcow2", img{dataFile: f.path("data.raw")})
	f.qcow2("plain.qcow2", img{})
	top := f.layer("top.qcow2", probe.Qcow2)
	new := libvirt.Version{Major: 10, Minor: 10}
	walk := func(policy chain.Policy, l chain.Layer) *chain.Chain {
		s := stated(l)
		s.Terminated = true
		return f.walk(t, policy, s)
	}
	for _, name := range []string{"data.raw", "link.raw"} {
		wantVerdict(t, walk(chain.Policy{Target: new}, withStore(top, f.path(name))), chain.Explicit, 1)
		wantVerdict(t, walk(chain.Policy{}, withStore(top, f.path(name))), chain.Explicit, 1)
	}
	wantRefused(t, walk(chain.Policy{Target: libvirt.Version{Major: 9}}, withStore(top, f.path("data.raw"))), finding.DataFile)

	other := withStore(top, f.path("other.raw"))
	wantRefused(t, walk(chain.Policy{Target: new}, other), finding.DataFileConflict)
	wantVerdict(t, walk(chain.Policy{Target: new, Disagreement: chain.XMLWins}, other), chain.Explicit, 1)
	got := walk(chain.Policy{Target: new, Disagreement: chain.HeadersWin}, other)
	wantVerdict(t, got, chain.Fixable, 1)
	if path := got.Layers[0].Source.DataStore.Source.File.File; path != f.path("data.raw") {
		t.Errorf("data file %q", path)
	}

	none := withStore(f.layer("plain.qcow2", probe.Qcow2), f.path("data.raw"))
	wantRefused(t, walk(chain.Policy{Target: new}, none), finding.DataFileConflict)
	wantRefused(t, walk(chain.Policy{Target: new, Disagreement: chain.XMLWins}, none), finding.DataFileConflict)
	got = walk(chain.Policy{Target: new, Disagreement: chain.HeadersWin}, none)
	wantVerdict(t, got, chain.Fixable, 1)
	wantFinding(t, got, finding.DataFileConflict, finding.Warn)
	if got.Layers[0].Source.DataStore != nil {
		t.Errorf("the data store stays: %+v", got.Layers[0].Source.DataStore)
	}
}

// QEMU ignores the data file name in the header if the XML has one. A relative
// name is resolved from the image's folder, as in libvirt.
func TestDataFileInTheXMLAndARelativeNameInTheHeader(t *testing.T) {
	f := newFiles(t)
	f.raw("data.raw", overlaySize)
	f.raw("other.raw", overlaySize)
	f.qcow2("top.qcow2", img{dataFile: "data.raw"})
	for _, c := range []struct {
		store  string
		policy chain.Policy
		code   finding.Code // of the refusal; "" for none
	}{
		{"data.raw", chain.Policy{}, ""},
		{"other.raw", chain.Policy{}, finding.DataFileConflict},
		{"other.raw", chain.Policy{Disagreement: chain.XMLWins}, ""},
		{"other.raw", chain.Policy{Disagreement: chain.HeadersWin}, finding.DataFile},
	} {
		s := stated(withStore(f.layer("top.qcow2", probe.Qcow2), f.path(c.store)))
		s.Terminated = true
		got := f.walk(t, c.policy, s)
		if c.code != "" {
			wantRefused(t, got, c.code)
			continue
		}
		wantVerdict(t, got, chain.Explicit, 1)
	}

	t.Run("an image on the network", func(t *testing.T) {
		f.qcow2("served.qcow2", img{dataFile: f.path("data.raw")})
		l := layerOf(nbd("served.qcow2"), probe.Qcow2)
		s := stated(withStore(l, f.path("data.raw")))
		s.Terminated = true
		got, err := (&chain.Walker{Images: image.NewCache(serving{f})}).Walk(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, got, chain.Explicit, 1)
		s.Layers[0] = l
		got, err = (&chain.Walker{Images: image.NewCache(serving{f}), Policy: chain.Policy{Target: libvirt.Version{Major: 11}}}).Walk(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, got, finding.DataFile)
	})
}

// serving has every image on the network in the folder.
type serving struct{ *files }

func (s serving) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	if src.Network == nil {
		return storage.FileOpener{}.Open(ctx, src)
	}
	img, err := storage.FileOpener{}.Open(ctx, file(s.path(src.Network.Name)))
	return served{img, src}, err
}

func (s serving) Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	if src.Network == nil {
		return storage.FileOpener{}.Identify(ctx, src)
	}
	return storage.FileID{Remote: storage.Name(src)}, nil
}

type served struct {
	storage.Image
	src *libvirtxml.DomainDiskSource
}

func (s served) ID() storage.FileID { return storage.FileID{Remote: storage.Name(s.src)} }
