package chain_test

import (
	"bytes"
	"context"
	"io/fs"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// imageMap is an Opener of images in memory, which records the requests.
type imageMap struct {
	images  map[string][]byte
	touched map[string]int
}

type memoryImage struct {
	*bytes.Reader
	id storage.FileID
}

func (memoryImage) Close() error         { return nil }
func (m memoryImage) ID() storage.FileID { return m.id }
func (m memoryImage) Size() int64        { return m.Reader.Size() }
func (m *imageMap) id(p string) uint64   { return uint64(p[len(p)-1]) }
func (m *imageMap) missing(p string) error {
	return &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
}

func (m *imageMap) Open(_ context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	path, _ := storage.LocalPath(src)
	m.touched[path]++
	data, ok := m.images[path]
	if !ok {
		return nil, m.missing(path)
	}
	return memoryImage{bytes.NewReader(data), storage.FileID{Inode: m.id(path)}}, nil
}

func (m *imageMap) Identify(_ context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	path, _ := storage.LocalPath(src)
	m.touched[path]++
	if _, ok := m.images[path]; !ok {
		return storage.FileID{}, m.missing(path)
	}
	return storage.FileID{Inode: m.id(path)}, nil
}

// Resolve knows no symlinks.
func (m *imageMap) Resolve(_ context.Context, path string) (string, error) {
	m.touched[path]++
	if _, ok := m.images[path]; !ok && path != "/" {
		return "", m.missing(path)
	}
	return path, nil
}

// FuzzWalk walks three images with any content, with any statement about the
// second or the folder. Only layers of the chain, or files that a trusted
// image names, are touched; a layer that chose its own format is the last one
// and refers to nothing; and a chain that is not refused is complete.
func FuzzWalk(f *testing.F) {
	bytesOf := func(i interface{ Bytes() ([]byte, error) }) []byte {
		data, err := i.Bytes()
		if err != nil {
			f.Fatal(err)
		}
		return data
	}
	small := func(backing, format string) []byte {
		return bytesOf(mkimage.Qcow2{ClusterBits: 9, VirtualSize: 1 << 16, Backing: backing, BackingFormat: format})
	}
	raw := bytes.Repeat([]byte{0x90}, 600)
	f.Add(small("b", ""), small("c", ""), raw, uint8(0))
	f.Add(small("b", "qcow2"), small("c", "raw"), raw, uint8(1))
	f.Add(small("b", "qcow2"), small("c", ""), small("a", "qcow2"), uint8(0))
	f.Add(small("b", "file"), small("", ""), raw, uint8(0))
	f.Add(bytesOf(mkimage.QED{ClusterBits: 12, VirtualSize: 1 << 16, Backing: "b"}), bytesOf(mkimage.Qcow{ClusterBits: 9, VirtualSize: 1 << 16, Backing: "c"}), raw, uint8(0))
	f.Add(bytesOf(mkimage.QED{ClusterBits: 12, VirtualSize: 1 << 16, Backing: "b", NoProbe: true}), small("/c", ""), raw, uint8(2))
	vmdk := bytesOf(mkimage.VMDK{VirtualSize: 1 << 16, Backing: "b"})
	f.Add(vmdk, bytesOf(mkimage.VMDK{VirtualSize: 1 << 16, Backing: "c"}), bytesOf(mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Sectors: 8, Name: "d"}}}), uint8(0))
	f.Add(small("b", "vpc"), bytesOf(mkimage.VPC{VirtualSize: 1 << 16, Parent: "c"}), raw, uint8(0))
	f.Add(small("b", ""), bytesOf(mkimage.VPC{VirtualSize: 1 << 16, Fixed: true}), raw, uint8(0))
	f.Add(small("b", "vdi"), bytesOf(mkimage.VDI{VirtualSize: 1 << 16, Differencing: true}), raw, uint8(0))
	f.Add(small("b", ""), bytesOf(mkimage.Parallels{VirtualSize: 1 << 16, ClusterBits: 12}), raw, uint8(0))
	f.Add(small("b", ""), []byte("LUKS\xba\xbe\x00\x01"), raw, uint8(0))
	// The operator's statement: the rule's higher bits select the image.
	f.Add(small("b", ""), small("c", ""), raw, uint8(0<<0|1<<2))
	f.Add(small("b", ""), vmdk, raw, uint8(0<<0|2<<2))
	// All headers are trusted.
	f.Add(small("b", ""), small("c", ""), raw, uint8(0|1<<4))
	f.Add(small("b", ""), small("c", ""), small("d", ""), uint8(2|1<<4))
	f.Add(small("b", ""), small("nbd://c", ""), raw, uint8(1|1<<4))
	f.Fuzz(func(t *testing.T, a, b, c []byte, rule uint8) {
		top := probe.Qcow2
		switch {
		case bytes.HasPrefix(a, []byte("QED")):
			top = probe.QED
		case bytes.HasPrefix(a, []byte("KDMV")):
			top = probe.VMDK
		}
		images := &imageMap{images: map[string][]byte{"/a": a, "/b": b, "/c": c}, touched: map[string]int{}}
		policy := chain.Policy{Rule: chain.Rule(rule & 3 % 3)}
		if stated := []probe.Format{"", probe.Qcow2, probe.VMDK, probe.Raw}[rule>>2&3]; stated != "" {
			policy.Trust = []chain.Statement{{Path: "/b", Format: stated}}
		}
		trusted := len(policy.Trust) > 0
		believed := rule>>4&1 == 1
		if believed {
			policy.Folders = []chain.Folder{{Path: "/", TrustHeaders: true}}
		}
		w := &chain.Walker{Images: image.NewCache(images), Policy: policy}
		got, err := w.Walk(context.Background(), chain.Stated{Layers: []chain.Layer{{Source: file("/a"), Format: top, From: chain.XML}}})
		if err != nil {
			t.Fatal(err)
		}
		layers := map[string]bool{}
		for i, layer := range got.Layers {
			path, _ := storage.LocalPath(layer.Source)
			if layers[path] && got.Verdict != chain.Refused {
				t.Fatalf("%q is there twice", path)
			}
			layers[path] = true
			if layer.From == chain.Probe && i != len(got.Layers)-1 {
				t.Fatalf("layer %d chose its own format and was followed", i)
			}
			if got.Verdict == chain.Refused {
				continue
			}
			if layer.Format == "" || layer.From == chain.Unstated || layer.Header == nil {
				t.Fatalf("layer %d of a chain that is not refused is %+v", i, layer)
			}
			if layer.From == chain.Trust && !trusted && (!believed || i == 0 || layer.Format == probe.Raw) {
				t.Fatalf("layer %d is trusted as %q on nobody's word", i, layer.Format)
			}
			if layer.From == chain.Probe && len(layer.Header.References()) > 0 {
				t.Fatalf("layer %d chose its own format and refers to %+v", i, layer.Header.References())
			}
		}
		for path := range images.touched {
			if !layers[path] && !(trusted && path == "/b") && !believed {
				t.Fatalf("%q was touched and is no layer", path)
			}
		}
		for _, reported := range got.Findings {
			if _, ok := finding.Explain(reported.Code); !ok || reported.Layer >= len(got.Layers) {
				t.Fatalf("finding %+v", reported)
			}
			for _, r := range reported.Text + reported.Remedy.String() {
				if r < ' ' {
					t.Fatalf("a control character is shown: %q", reported.Text)
				}
			}
		}
	})
}
