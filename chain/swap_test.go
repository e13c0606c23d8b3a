package chain_test

import (
	"context"
	"os"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// swapper replaces one image as soon as it has been opened.
type swapper struct {
	*files
	name string
}

func (s swapper) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	img, err := s.files.Open(ctx, src)
	if path, _ := storage.LocalPath(src); err == nil && path == s.path(s.name) {
		s.qcow2("new", forgery())
		if err := os.Rename(s.path("new"), path); err != nil {
			s.t.Fatal(err)
		}
	}
	return img, err
}

func forgery() img { return img{backing: "/etc/passwd", backingFormat: "raw"} }

// An image that is replaced during the walk is refused, whichever layer it is.
func TestSwappedImages(t *testing.T) {
	for _, name := range []string{"top.qcow2", "middle.img", "base.img"} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			f.raw("base.img", 1<<20)
			f.qcow2("middle.img", img{backing: "base.img", backingFormat: "raw"})
			f.qcow2("top.qcow2", img{backing: "middle.img", backingFormat: "qcow2"})
			f.touched, f.opened = map[string]bool{}, map[string]int{}
			w := &chain.Walker{Images: image.NewCache(swapper{f, name})}
			got, err := w.Walk(context.Background(), f.top("top.qcow2"))
			if err != nil {
				t.Fatal(err)
			}
			wantRefused(t, got, finding.ImageSwapped)

			// A walk that another one follows leaves it to that, which finds it as well.
			images := image.NewCache(swapper{f, name})
			first := &chain.Walker{Images: images, Preliminary: true}
			if got, err = first.Walk(t.Context(), f.top("top.qcow2")); err != nil {
				t.Fatal(err)
			}
			for _, found := range got.Findings {
				if found.Code == finding.ImageSwapped {
					t.Errorf("told at once: %s", found.Text)
				}
			}
			if got, err = first.WithEvidence(chain.NewEvidence(images, nil)).Walk(t.Context(), f.top("top.qcow2")); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, got, finding.ImageSwapped)
		})
	}
}

// An image that was not opened takes no part in that, wherever it is.
func TestNothingIsSwappedBelowAnUnreadImage(t *testing.T) {
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	f.qcow2("top.qcow2", img{backing: "nbd://storage.example/disk", backingFormat: "raw"})
	s := f.top("top.qcow2")
	s.Layers = append(s.Layers, layerOf(nbd("disk"), probe.Raw), f.layer("base.raw", probe.Raw))
	s.Terminated = true
	wantVerdict(t, f.walk(t, chain.Policy{Disagreement: chain.XMLWins}, s), chain.Explicit, 3)
}
