package chain_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// overlaySize is the virtual size of every image that files makes, in bytes.
const overlaySize = 8 << 20

// files is a folder of real images, and an Opener that remembers what was
// touched in it.
type files struct {
	t   *testing.T
	dir string

	mu      sync.Mutex
	touched map[string]bool
	opened  map[string]int
}

func newFiles(t *testing.T) *files {
	t.Helper()
	return &files{t: t, dir: t.TempDir(), touched: map[string]bool{}, opened: map[string]int{}}
}

func (f *files) path(name string) string { return f.dir + "/" + name }

// image is what a test wants of a qcow2 image.
type img struct {
	backing, backingFormat, dataFile string
	size                             uint64
}

func (f *files) qcow2(name string, i img) {
	f.t.Helper()
	if i.size == 0 {
		i.size = overlaySize
	}
	f.write(name, mkimage.Qcow2{VirtualSize: i.size, Backing: i.backing, BackingFormat: i.backingFormat, DataFile: i.dataFile})
}

func (f *files) write(name string, i interface {
	Bytes() ([]byte, error)
}) {
	f.t.Helper()
	data, err := i.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	f.put(name, data)
}

func (f *files) put(name string, data []byte) {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), data, 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// raw makes a raw image of size bytes with a boot sector.
func (f *files) raw(name string, size int64) {
	f.t.Helper()
	f.put(name, append(bytes.Repeat([]byte{0x90}, 510), 0x55, 0xaa))
	f.grow(name, size)
}

func (f *files) grow(name string, size int64) {
	f.t.Helper()
	if err := os.Truncate(f.path(name), size); err != nil {
		f.t.Fatal(err)
	}
}

func file(path string) *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}
}

// layer is a layer that the XML states.
func (f *files) layer(name string, format probe.Format) chain.Layer {
	path := name
	if !filepath.IsAbs(name) {
		path = f.path(name)
	}
	l := chain.Layer{Source: file(path), Format: format, From: chain.XML}
	if format == "" {
		l.From = chain.Unstated
	}
	return l
}

// top is a disk whose XML states a qcow2 image and no chain.
func (f *files) top(name string) chain.Stated {
	return chain.Stated{Target: "vda", Layers: []chain.Layer{f.layer(name, probe.Qcow2)}}
}

// walk walks with a new Walker, through f's own Opener.
func (f *files) walk(t *testing.T, policy chain.Policy, stated chain.Stated) *chain.Chain {
	t.Helper()
	f.touched, f.opened = map[string]bool{}, map[string]int{}
	w := &chain.Walker{Images: image.NewCache(f), Policy: policy}
	got, err := w.Walk(context.Background(), stated)
	if err != nil {
		t.Fatal(err)
	}
	for _, reported := range got.Findings {
		if reported.Layer >= len(got.Layers) {
			t.Errorf("finding %q is about layer %d of %d", reported.Code, reported.Layer, len(got.Layers))
		}
		if _, ok := finding.Explain(reported.Code); !ok {
			t.Errorf("nothing explains %q", reported.Code)
		}
		checkRemedy(t, reported)
	}
	return got
}

func (f *files) touch(src *libvirtxml.DomainDiskSource, open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path, _ := storage.LocalPath(src)
	f.touched[path] = true
	if open {
		f.opened[path]++
	}
}

func (f *files) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	f.touch(src, true)
	return storage.FileOpener{}.Open(ctx, src)
}

func (f *files) Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	f.touch(src, false)
	return storage.FileOpener{}.Identify(ctx, src)
}

func (f *files) ChangeTime(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, int64, error) {
	f.touch(src, false)
	return storage.FileOpener{}.ChangeTime(ctx, src)
}

func (f *files) Resolve(ctx context.Context, path string) (string, error) {
	f.touch(file(path), false)
	return storage.FileOpener{}.Resolve(ctx, path)
}

func (f *files) symlink(to, name string) {
	f.t.Helper()
	if err := os.Symlink(to, f.path(name)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *files) mkdir(names ...string) {
	f.t.Helper()
	for _, name := range names {
		if err := os.MkdirAll(f.path(name), 0o755); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *files) wantUntouched(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if f.touched[f.path(name)] {
			t.Errorf("%q was touched", name)
		}
	}
}

func wantRefused(t *testing.T, c *chain.Chain, code finding.Code) finding.Finding {
	t.Helper()
	if c.Verdict != chain.Refused {
		t.Fatalf("verdict %v, want refused with %q; findings %+v", c.Verdict, code, c.Findings)
	}
	return wantFinding(t, c, code, finding.Refuse)
}

func wantFinding(t *testing.T, c *chain.Chain, code finding.Code, severity finding.Severity) finding.Finding {
	t.Helper()
	for _, f := range c.Findings {
		if f.Code == code && f.Severity == severity {
			return f
		}
	}
	t.Fatalf("no finding %q of severity %v among %+v", code, severity, c.Findings)
	return finding.Finding{}
}

func wantVerdict(t *testing.T, c *chain.Chain, verdict chain.Verdict, layers int) {
	t.Helper()
	if c.Verdict != verdict || len(c.Layers) != layers {
		t.Fatalf("verdict %v with %d layers, want %v with %d; findings %+v", c.Verdict, len(c.Layers), verdict, layers, c.Findings)
	}
}

func wantFixable(t *testing.T, c *chain.Chain, layers int) {
	t.Helper()
	wantVerdict(t, c, chain.Fixable, layers)
}

func wantContains(t *testing.T, s, part string) {
	t.Helper()
	if !strings.Contains(s, part) {
		t.Errorf("%q does not mention %q", s, part)
	}
}
