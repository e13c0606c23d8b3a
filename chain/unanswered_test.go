package chain_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// unanswering does not answer for one image before it is released, as a dead server.
type unanswering struct {
	*files
	name     string
	released chan struct{}
	asked    *atomic.Int64 // how often that image was asked for
}

func (u unanswering) wait(src *libvirtxml.DomainDiskSource) {
	if path, _ := storage.LocalPath(src); path == u.path(u.name) {
		u.asked.Add(1)
		<-u.released
	}
}

func (u unanswering) Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	u.wait(src)
	return u.files.Identify(ctx, src)
}

func (u unanswering) ChangeTime(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, int64, error) {
	u.wait(src)
	return u.files.ChangeTime(ctx, src)
}

func (u unanswering) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	u.wait(src)
	return u.files.Open(ctx, src)
}

// TestUnanswered: an image that does not answer is refused anywhere in a
// chain, explicit or not, is requested once, and does not delay others.
func TestUnanswered(t *testing.T) {
	f := newFiles(t)
	f.raw("base.img", 1<<20)
	f.qcow2("middle.qcow2", img{backing: "base.img"})
	f.qcow2("top.qcow2", img{backing: "middle.qcow2", backingFormat: "qcow2"})
	f.qcow2("other.qcow2", img{backing: "base.img", backingFormat: "raw"})
	explicit := stated(f.layer("top.qcow2", probe.Qcow2), f.layer("middle.qcow2", probe.Qcow2), f.layer("base.img", probe.Raw))
	explicit.Terminated = true
	for name, s := range map[string]chain.Stated{
		"top.qcow2": f.top("top.qcow2"), "middle.qcow2": f.top("top.qcow2"), "base.img": explicit,
	} {
		// Time passes when nothing but what does not answer is waited for.
		inBubble(t, name, func(t *testing.T) {
			opener := unanswering{f, name, make(chan struct{}), new(atomic.Int64)}
			defer close(opener.released)
			images := image.NewCache(opener)
			images.SetRequests(limit.New(2, 10*time.Second))
			w := &chain.Walker{Images: images}
			for range 2 {
				found, err := w.Walk(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				refused := wantRefused(t, found, finding.ImageUnanswered)
				if path := f.path(name); refused.Layer != len(found.Layers)-1 || !strings.Contains(refused.Text, path) {
					t.Errorf("%+v", refused)
				}
			}
			evidence := chain.NewEvidence(images, nil)
			read := evidence.Read(t.Context(), chain.Past, stated(f.layer(name, probe.Raw)), nil)
			var unanswered *limit.UnansweredError
			if len(read.Missing) != 1 || !errors.As(read.Missing[0], &unanswered) || unanswered.Path != f.path(name) {
				t.Errorf("missing: %v", read.Missing)
			}
			if n := opener.asked.Load(); n != 1 {
				t.Errorf("asked for %d times", n)
			}
			if name == "base.img" {
				return
			}
			found, err := w.Walk(t.Context(), f.top("other.qcow2"))
			if err != nil {
				t.Fatal(err)
			}
			wantFixable(t, found, 2)
		})
	}
}

func (u unanswering) Resolve(ctx context.Context, path string) (string, error) {
	u.wait(storage.LocalSource(path, false))
	return u.files.Resolve(ctx, path)
}

// TestUnansweredPolicy: what a policy names that does not answer costs one limit, in
// whichever walk it is looked for, and keeps no image from being found.
func TestUnansweredPolicy(t *testing.T) {
	f := newFiles(t)
	f.raw("base.img", 1<<20)
	f.qcow2("top.qcow2", img{backing: "base.img"})
	silent := f.path("silent")
	for name, policy := range map[string]chain.Policy{
		"statement": {Trust: []chain.Statement{{Path: silent, Format: probe.Raw}}},
		"folder":    {Folders: []chain.Folder{{Path: silent, TrustHeaders: true}}},
	} {
		inBubble(t, name, func(t *testing.T) {
			opener := unanswering{f, "silent", make(chan struct{}), new(atomic.Int64)}
			defer close(opener.released)
			images := image.NewCache(opener)
			images.SetRequests(limit.New(2, 10*time.Second))
			w := &chain.Walker{Images: images, Policy: policy}
			begun := time.Now()
			found, err := w.Walk(t.Context(), f.top("top.qcow2"))
			if err != nil {
				t.Fatal(err)
			}
			wantFixable(t, found, 2)
			if asked, took := opener.asked.Load(), time.Since(begun); asked != 1 || took != 10*time.Second {
				t.Errorf("asked for %d times in %s", asked, took)
			}
		})
	}
}

// TestUnansweredKeptChain: so does a disk that a policy keeps.
func TestUnansweredKeptChain(t *testing.T) {
	f := conflictingFiles(t)
	inBubble(t, "kept", func(t *testing.T) {
		opener := unanswering{f, "silent", make(chan struct{}), new(atomic.Int64)}
		defer close(opener.released)
		images := image.NewCache(opener)
		images.SetRequests(limit.New(2, 10*time.Second))
		w := &chain.Walker{Images: images, Policy: chain.Policy{KeptChains: []string{f.path("silent"), f.path("./flat")}}}
		begun := time.Now()
		found, err := w.Walk(t.Context(), f.explicit("flat", f.layer("base", probe.Raw)))
		if err != nil {
			t.Fatal(err)
		}
		wantFinding(t, found, finding.ChainKept, finding.Warn)
		if asked, took := opener.asked.Load(), time.Since(begun); asked != 1 || took != 10*time.Second {
			t.Errorf("asked for %d times in %s", asked, took)
		}
	})
}

// inBubble runs a subtest with a clock of its own, and lets the goroutines that have made
// its requests end.
func inBubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t)
			time.Sleep(time.Second)
		})
	})
}

// dead is an opener that has given an image up.
type dead struct {
	*files
	name string
}

func (d dead) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	if path, _ := storage.LocalPath(src); path == d.path(d.name) {
		return nil, &limit.UnansweredError{Path: path, Mount: "/mnt", After: time.Second}
	}
	return d.files.Open(ctx, src)
}
