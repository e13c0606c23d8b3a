package chain

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/probe"
)

// sameImage opens every name as another image of the same bytes, except "gone".
type sameImage struct{ content string }

type sameImageOpen struct {
	*strings.Reader
	id FileID
}

func (i sameImageOpen) Close() error { return nil }
func (i sameImageOpen) ID() FileID   { return i.id }

func (o sameImage) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (Image, error) {
	id, err := o.Identify(ctx, src)
	return sameImageOpen{strings.NewReader(o.content), id}, err
}

func (o sameImage) Identify(_ context.Context, src *libvirtxml.DomainDiskSource) (FileID, error) {
	if name, _ := LocalPath(src); !strings.HasPrefix(name, "/gone") {
		return FileID{Remote: name}, nil
	}
	return FileID{}, fs.ErrNotExist
}

// TestHeldIsBounded: what a walker has at hand takes only so much, whatever the
// images are, and what it reckons is what is there.
func TestHeldIsBounded(t *testing.T) {
	const extents = 4096
	descriptor := "# Disk DescriptorFile\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n" +
		strings.Repeat("\n", extents-1) + `RW 1 FLAT "` + strings.Repeat("x", 500) + `" 0`
	for _, w := range []*Walker{{}, {Foresight: true}} {
		w.Opener = sameImage{descriptor}
		for i := range 300 {
			for _, name := range []string{"/a", "/gone", "/gone" + strings.Repeat("x", 4000)} {
				src := localSource(fmt.Sprint(name, i), false)
				for range 2 {
					if _, err := w.Walk(t.Context(), Stated{Layers: []Layer{{Source: src, Format: probe.VMDK, From: XML}}}); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		held, named := 0, 0
		for _, m := range []map[sightKey]seen{w.seen, w.failed} {
			for key, what := range m {
				held += key.weight() + what.weight()
				if what.sight == nil {
					continue
				}
				for _, r := range what.sight.readings {
					if r.header != nil {
						named += len(r.header.Extents)
					}
				}
			}
		}
		if held != w.held || held > maxHeld || named < extents || named > maxHeld/500 {
			t.Errorf("foresight %t: %d extents, %d bytes, reckoned %d", w.Foresight, named, held, w.held)
		}
		if w.packed.size != 0 {
			t.Errorf("%d bytes are packed", w.packed.size)
		}
	}
}
