package xmlfix_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/xmlfix"
)

// noImages is a host that has none of the images.
type noImages struct{}

func (noImages) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	_, err := noImages{}.Identify(ctx, src)
	return nil, err
}

func (noImages) Identify(_ context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	if _, local := storage.LocalPath(src); !local {
		return storage.FileID{}, storage.ErrNotReadable
	}
	return storage.FileID{}, fs.ErrNotExist
}

// refusedThoughStated are the findings for which disks are refused that state
// their whole chain: in the XML of a running guest nobody can tell what was
// stated, and a block job will rewrite it.
var refusedThoughStated = []finding.Code{finding.LiveDump, finding.MirrorRunning}

// TestWhatIsStatedToTheEndIsLeftAlone: a disk of libvirt's test documents with
// a completely stated chain is explicit wherever its images are, whatever its
// kinds of source, unless it is on the list. Any other is refused because its
// images do not exist, or skipped.
func TestWhatIsStatedToTheEndIsLeftAlone(t *testing.T) {
	stated := 0
	refused, open := make(map[finding.Code]int), make(map[finding.Code]int)
	for _, d := range documentsOf(t, "libvirt") {
		doc, err := xmlfix.Parse(d.Name, d.Data)
		if err != nil {
			continue
		}
		for _, disk := range doc.Disks() {
			s, err := disk.Stated()
			if err != nil {
				continue
			}
			w := &chain.Walker{Images: image.NewCache(noImages{})}
			got, err := w.Walk(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if !statesAll(s) {
				for _, f := range got.Findings {
					if f.Severity == finding.Refuse {
						open[f.Code]++
					}
				}
				continue
			}
			stated++
			if got.Verdict == chain.Explicit || got.Verdict == chain.Skipped {
				continue
			}
			for _, f := range got.Findings {
				if f.Severity != finding.Refuse {
					continue
				}
				refused[f.Code]++
				if !slices.Contains(refusedThoughStated, f.Code) {
					t.Errorf("%s: %s: [%s] %s", filepath.Base(d.Name), s.Target, f.Code, f.Text)
				}
			}
		}
	}
	t.Logf("%d disks state everything, and were refused for %v; the others for %v", stated, refused, open)
	if stated < 500 {
		t.Errorf("only %d disks state everything", stated)
	}
}

// statesAll reports whether nothing of a disk's chain is left to be found.
func statesAll(s chain.Stated) bool {
	for _, layer := range s.Layers {
		if layer.From == chain.Unstated {
			return false
		}
	}
	last := s.Layers[len(s.Layers)-1]
	return s.Terminated || !last.Format.CanHaveBacking() && s.Inexpressible == ""
}
