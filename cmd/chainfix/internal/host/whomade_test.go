package host_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirtxml"
	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// textsOf are the XML texts that libvirt has of a made-up host.
func (h *madeUp) textsOf() (all [][]byte) {
	h.Helper()
	must(h.storedHost, filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".xml" && filepath.Ext(path) != ".save" {
			return err
		}
		text, err := os.ReadFile(path)
		_, text, ok := bytes.Cut(text, []byte("<domain"))
		if !ok {
			return err // of a guest that runs: it begins otherwise
		}
		text, _, _ = bytes.Cut(text, []byte{0})
		if text, ok := bytes.CutPrefix(text, []byte("snapshot>")); ok {
			all = append(all, append([]byte("<domainsnapshot>"), text...))
			return err
		}
		text, _, _ = bytes.Cut(text, []byte("</domstatus>"))
		all = append(all, append([]byte("<domain"), text...))
		return err
	}))
	return all
}

// reached are the images that the texts name, and those that headers name below them: of
// every image that somebody takes as qcow2, or for what its overlay does not say, whatever a
// policy makes of it.
func (h *madeUp) reached() (named, reached map[string]bool) {
	h.Helper()
	named, reached = make(map[string]bool), make(map[string]bool)
	seen := make(map[chain.Layer]bool)
	var visit func(name string, format probe.Format)
	visit = func(name string, format probe.Format) {
		key := chain.Layer{Format: format, Located: nil, ID: storage.FileID{Remote: name}}
		if seen[key] {
			return
		}
		seen[key], reached[name] = true, true
		image, err := os.ReadFile(filepath.Join(h.dir, name))
		must(h.storedHost, err)
		if format == probe.Raw {
			return
		}
		header, err := probe.Read(bytes.NewReader(image), int64(len(image)), probe.Qcow2)
		if err == nil && header.Backing != nil {
			visit(filepath.Base(header.Backing.Name), probe.Format(header.Backing.Format))
		}
	}
	for _, text := range h.textsOf() {
		doc, err := xmlfix.ParseMetadata("text", text)
		if err != nil {
			h.Fatalf("%v\n%s", err, text)
		}
		for _, disk := range doc.Disks() {
			stated, err := disk.Stated()
			must(h.storedHost, err)
			for i, layer := range stated.Layers {
				path, _ := storage.LocalPath(layer.Source)
				format := layer.Format
				if i == 0 && layer.From == chain.Unstated {
					format = probe.Raw
				}
				named[filepath.Base(path)] = true
				visit(filepath.Base(path), format)
			}
		}
	}
	return named, reached
}

// TestWhoIsNeverNobodyOfAMadeUpHost: an image that a text names is somebody's, one that is
// reached by headers is never nobody's, and one that has nothing to do with the host is
// nobody's unless something cannot be known.
func TestWhoIsNeverNobodyOfAMadeUpHost(t *testing.T) {
	answers := make(map[string]int)
	rapid.Check(t, func(draw *rapid.T) {
		h := newMadeUp(t, draw)
		for _, dir := range []string{"snapshot", "save"} {
			h.mkdir("var/lib/libvirt/qemu/" + dir)
		}
		h.qcow2("free", pick(draw, "", "i0"))
		whose := pick(draw, chain.RefuseDisagreement, chain.HeadersWin, chain.XMLWins)
		rule := pick(draw, chain.Leaf, chain.Strict)
		named, reached := h.reached()
		for _, image := range append([]string{"free"}, h.images...) {
			u := h.whoBy(&host.Scan{Policy: chain.Policy{Rule: rule, Disagreement: whose}}, image)
			got := answer(u)
			answers[got]++
			switch {
			case named[image] && got != "somebody":
				draw.Fatalf("%s, which a text names, is %s's: %+v", image, got, u)
			case reached[image] && got == "nobody":
				draw.Fatalf("%s, which is reached, is nobody's", image)
			case image == "free" && got == "somebody":
				draw.Fatalf("what nobody names is somebody's: %+v", u.Uses)
			}
		}
	})
	if answers["nobody"] == 0 || answers["unknown"] == 0 {
		t.Errorf("that is no good sample: %v", answers)
	}
}

// TestWhoThroughALoopDevice: the file of a loop device is in use where a guest has the device,
// and a part of it by a guest that has the whole; another part of the file is not.
func TestWhoThroughALoopDevice(t *testing.T) {
	h := whoHost(t)
	h.write("disk.img", make([]byte, 4<<20))
	device := peers.LoopDevice(t, filepath.Join(h.dir, "disk.img"))
	part := peers.LoopDevice(t, "--offset", "1048576", "--sizelimit", "1048576", filepath.Join(h.dir, "disk.img"))
	other := peers.LoopDevice(t, "--offset", "2097152", filepath.Join(h.dir, "disk.img"))
	h.wantAnswer("disk.img", "nobody")
	h.guest("a", diskOf("type='block' device='disk'", "raw", "<source dev='"+part+"'/>"))
	h.wantAnswer("disk.img", "somebody")
	for name, want := range map[string]string{device: "somebody", part: "somebody", other: "nobody"} {
		u, err := (&host.Scan{Inventory: h.folder()}).Who(t.Context(), name)
		if err != nil || answer(u) != want {
			t.Errorf("%s: %+v, %v, want %s", name, u, err, want)
		}
	}
}

// silent is an opener for whom some images do not answer, until the test ends.
type silent struct {
	storage.FileOpener
	names []string
	until <-chan struct{}
}

func (s silent) wait(src *libvirtxml.DomainDiskSource) {
	path, _ := storage.LocalPath(src)
	for _, name := range s.names {
		if strings.HasSuffix(path, name) {
			<-s.until
		}
	}
}

func (s silent) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	s.wait(src)
	return s.FileOpener.Open(ctx, src)
}

func (s silent) Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	s.wait(src)
	return s.FileOpener.Identify(ctx, src)
}

func (s silent) ChangeTime(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, int64, error) {
	s.wait(src)
	return s.FileOpener.ChangeTime(ctx, src)
}

// TestWhoOfWhatDoesNotAnswer: whether an image is in use that does not answer, or of a
// host with one, cannot be known; but what is named is in use all the same.
func TestWhoOfWhatDoesNotAnswer(t *testing.T) {
	h := whoHost(t)
	h.guest("a", diskOf(fileDisk, "raw", "<source file='DIR/raw.img'/>"))
	h.write("raw.img", make([]byte, 4096))
	for _, c := range []struct{ silent, image, want string }{
		{"free.img", "free.img", "unknown"}, {"raw.img", "free.img", "unknown"}, {"raw.img", "raw.img", "somebody"}, {"base.img", "free.img", "nobody"},
	} {
		u := h.whoBy(&host.Scan{Opener: silent{names: []string{c.silent}, until: t.Context().Done()}, Requests: limit.New(4, 20*time.Millisecond)}, c.image)
		if answer(u) != c.want {
			t.Errorf("%s, while %s is silent: %+v", c.image, c.silent, u)
		}
	}
}
