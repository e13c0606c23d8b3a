package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// sameImage opens every name as another image of the same bytes, except "gone".
type sameImage struct{ content string }

type sameImageOpen struct {
	*strings.Reader
	id storage.FileID
}

func (i sameImageOpen) Close() error       { return nil }
func (i sameImageOpen) ID() storage.FileID { return i.id }

func (o sameImage) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	id, err := o.Identify(ctx, src)
	return sameImageOpen{strings.NewReader(o.content), id}, err
}

func (o sameImage) Identify(_ context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	if name, _ := storage.LocalPath(src); !strings.HasPrefix(name, "/gone") {
		return storage.FileID{Remote: name}, nil
	}
	return storage.FileID{}, fs.ErrNotExist
}

// TestMemoryOfAnImage: the estimated memory of an image is about right. It
// runs first, because memory of other tests is freed with a delay.
func TestMemoryOfAnImage(t *testing.T) {
	img, err := mkimage.Qcow2{VirtualSize: 1 << 20, Backing: "/images/base.qcow2", BackingFormat: "qcow2"}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	const count = 5000
	images := NewCache(sameImage{string(img)})
	heap := func() int64 {
		var memory runtime.MemStats
		for range 3 { // a pool, and so its cache, is known to the collector until the second time
			runtime.GC()
		}
		runtime.ReadMemStats(&memory)
		return int64(memory.HeapAlloc)
	}
	before := heap()
	for i := range count {
		if _, err := images.Look(t.Context(), storage.LocalSource(fmt.Sprint("/a", i), false), probe.Qcow2); err != nil {
			t.Fatal(err)
		}
	}
	each := (heap() - before) / count
	runtime.KeepAlive(images)
	reckoned := int64(images.images.bytes+images.stamps.bytes) / count
	t.Logf("%d bytes an image, reckoned %d", each, reckoned)
	if each > 2<<10 || reckoned > 3*each || each > 2*reckoned {
		t.Errorf("an image takes %d bytes, and is reckoned to take %d", each, reckoned)
	}
}

// TestCacheIsBounded: a cache's memory is bounded, whatever the images, and
// its estimate matches its entries.
func TestCacheIsBounded(t *testing.T) {
	const extents, limit = 4096, 8 << 20
	descriptor := "# Disk DescriptorFile\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n" +
		strings.Repeat("\n", extents-1) + `RW 1 FLAT "` + strings.Repeat("x", 500) + `" 0`
	images := NewCache(sameImage{descriptor})
	images.SetLimit(limit * 8 / 3)
	for i := range 300 {
		for _, name := range []string{"/a", "/gone", "/gone" + strings.Repeat("x", 4000)} {
			src := storage.LocalSource(fmt.Sprint(name, i), false)
			for range 2 {
				_, err := images.Look(t.Context(), src, probe.VMDK)
				if gone := strings.HasPrefix(name, "/gone"); gone != errors.Is(err, fs.ErrNotExist) || !gone && err != nil {
					t.Fatal(err)
				}
			}
		}
		bytes := 0
		for key, entry := range images.images.recent {
			bytes += key.sizeWith(entry)
		}
		if stamps := images.stamps.bytes; stamps > limit/3 || len(images.stamps.recent) == 0 {
			t.Fatalf("after %d images: %d bytes for what names lead to", i, stamps)
		}
		if bytes != images.images.bytes || bytes > limit {
			t.Fatalf("after %d images: %d bytes, reckoned %d", i, bytes, images.images.bytes)
		}
	}
	named := 0
	for _, generation := range []map[cacheKey]cacheEntry{images.images.recent, images.images.older} {
		for _, entry := range generation {
			if entry.info == nil {
				continue
			}
			for _, h := range entry.info.headers {
				if h.Header != nil {
					named += len(h.Header.Extents)
				}
			}
		}
	}
	if named < extents || named > 2*limit/64 {
		t.Errorf("%d extents are kept", named)
	}
}
