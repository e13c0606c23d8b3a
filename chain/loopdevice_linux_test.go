package chain_test

import (
	"os"
	"path/filepath"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
)

// TestEvidenceThroughALoopDevice: a guest that has a loop device as its raw
// disk writes to the file, but to no byte before its offset.
func TestEvidenceThroughALoopDevice(t *testing.T) {
	dir := t.TempDir()
	img := filepath.Join(dir, "image")
	if err := os.WriteFile(img, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	evidence := chain.NewEvidence(nil, nil)
	device := chain.Layer{Source: &libvirtxml.DomainDiskSource{Block: &libvirtxml.DomainDiskSourceBlock{Dev: peers.LoopDevice(t, "--offset", "1048576", img)}}, Format: probe.Raw, From: chain.XML}
	evidence.Add(t.Context(), chain.Defined, chain.Stated{Guest: "writer", Target: "vda", Layers: []chain.Layer{device}}, nil)
	id, err := storage.FileOpener{}.Identify(t.Context(), file(img))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		start, length uint64
		written       bool
	}{{0, storage.ToTheEnd, true}, {0, 1 << 20, false}, {0, 1<<20 + 1, true}, {2 << 20, 512, true}} {
		if facts := evidence.Of(storage.Extent{File: id, Start: c.start, Length: c.length}, chain.DiskName{}); (len(facts.RawDisks) > 0) != c.written {
			t.Errorf("%d bytes at %d: %+v", c.length, c.start, facts)
		}
	}
}
