package chain_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
)

// lookCounter counts how often names are identified or opened.
type lookCounter struct {
	*files
	mu    *sync.Mutex
	looks map[string]int
}

func counted(f *files) lookCounter { return lookCounter{f, new(sync.Mutex), make(map[string]int)} }

func (c lookCounter) count(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks[path]++
}

func (c lookCounter) ChangeTime(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, int64, error) {
	path, _ := storage.LocalPath(src)
	c.count(path)
	return c.files.ChangeTime(ctx, src)
}

func (c lookCounter) Resolve(ctx context.Context, path string) (string, error) {
	c.count(path)
	return c.files.Resolve(ctx, path)
}

// TestPolicyIsLookedAtOnce: the files of a policy, up to tens of thousands,
// are identified once for each run, however many disks and layers it has.
func TestPolicyIsLookedAtOnce(t *testing.T) {
	const layers, names = 40, 10
	f := newFiles(t)
	f.mkdir("believed")
	for i := range layers {
		next := img{backing: fmt.Sprint(i + 1)}
		if i == layers-1 {
			next = img{}
		}
		f.qcow2("believed/"+fmt.Sprint(i), next)
	}
	policy := chain.Policy{Folders: []chain.Folder{{Path: f.path("believed"), TrustHeaders: true}}}
	for i := range names {
		there, gone, folder := fmt.Sprint("file", i), fmt.Sprint("gone", i), fmt.Sprint("folder", i)
		f.raw(there, 512)
		f.mkdir(folder)
		policy.Folders = append(policy.Folders, chain.Folder{Path: f.path(folder), TrustHeaders: true})
		for _, name := range []string{there, gone} {
			policy.Trust = append(policy.Trust, chain.Statement{Path: f.path(name), Format: probe.Raw})
		}
	}
	c := counted(f)
	f.touched, f.opened = make(map[string]bool), make(map[string]int)
	w := &chain.Walker{Images: image.NewCache(c), Policy: policy}
	for _, w := range []*chain.Walker{w, w, w.WithEvidence(chain.NewEvidence(w.Cache(), nil))} {
		found, err := w.Walk(t.Context(), f.top("believed/0"))
		if err != nil {
			t.Fatal(err)
		}
		wantFixable(t, found, layers)
	}
	for i := range names {
		for _, name := range []string{"file", "gone", "folder"} {
			if n := c.looks[f.path(fmt.Sprint(name, i))]; n != 1 {
				t.Errorf("%s%d was looked at %d times", name, i, n)
			}
		}
	}
}

// TestRepeatedExtentIsLookedAtOnce: an extent that describes thousands is
// identified once.
func TestRepeatedExtentIsLookedAtOnce(t *testing.T) {
	f := newFiles(t)
	f.raw("flat", 512)
	f.put("top.vmdk", []byte("# Disk DescriptorFile\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"+
		strings.Repeat("\n", 100)+`RW 1 FLAT "flat" 0`))
	c := counted(f)
	f.touched, f.opened = make(map[string]bool), make(map[string]int)
	stated := chain.Stated{Layers: []chain.Layer{f.layer("top.vmdk", probe.VMDK)}}
	p, err := predict.Disk(t.Context(), &chain.Walker{Images: image.NewCache(c)}, stated, libvirt.Pair{Libvirt: libvirt.Version{Major: 9}})
	if err != nil || p.Outcome != predict.Starts || !strings.Contains(p.Reason, `"flat"`) {
		t.Errorf("%+v, %v", p, err)
	}
	if n := c.looks[f.path("flat")]; n != 1 {
		t.Errorf("looked at %d times", n)
	}
}

// A file of size 0 may fail every read, and then is not an empty image. The
// memory of a process is such a file, at address 0.
func TestEmptyFileThatCannotBeReadIsNoEmptyImage(t *testing.T) {
	const unreadable = "/proc/self/mem"
	f := newFiles(t)
	f.put("empty", nil)
	if img, err := (storage.FileOpener{}).Open(t.Context(), file(unreadable)); err != nil {
		peers.Lacking(t, err) // no Linux
	} else {
		img.Close()
	}
	for _, format := range []string{"raw", "qcow2", ""} {
		f.qcow2("over-it", img{backing: unreadable, backingFormat: format})
		f.qcow2("over-empty", img{backing: "empty", backingFormat: format})
		got := wantRefused(t, f.walk(t, chain.Policy{}, f.top("over-it")), finding.ImageUnreadable)
		wantContains(t, got.Text, unreadable)
		wantContains(t, got.Remedy.String(), "no other user can")
		for _, reported := range f.walk(t, chain.Policy{}, f.top("over-empty")).Findings {
			if reported.Code == finding.ImageUnreadable {
				t.Errorf("an empty file, format %q: %+v", format, reported)
			}
		}
		_, err := predict.Disk(t.Context(), new(chain.Walker), f.top("over-it"), mustPair(t, "9.0"))
		if !errors.Is(err, predict.ErrUnseen) || !errors.Is(err, syscall.EIO) {
			t.Errorf("format %q: prediction: %v", format, err)
		}
		if _, err := predict.Disk(t.Context(), new(chain.Walker), f.top("over-empty"), mustPair(t, "9.0")); err != nil {
			t.Errorf("an empty file, format %q: prediction: %v", format, err)
		}
	}
}
