package chain_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
	"libvirt.org/go/libvirtxml"
)

// loopDevice makes a loop device over a file.
func loopDevice(t *testing.T, args ...string) string {
	t.Helper()
	peers.Require(t, "losetup")
	if os.Geteuid() != 0 {
		peers.Lacking(t, "only root makes loop devices")
	}
	out, err := exec.Command("losetup", append([]string{"--find", "--show"}, args...)...).CombinedOutput()
	if err != nil {
		peers.Lacking(t, "losetup: "+string(out))
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return device
}

// TestEvidenceThroughALoopDevice: a guest that has a loop device as its raw disk
// writes to the file, and to no byte in front of its offset.
func TestEvidenceThroughALoopDevice(t *testing.T) {
	dir := t.TempDir()
	img := filepath.Join(dir, "image")
	if err := os.WriteFile(img, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	evidence := chain.NewEvidence(nil, nil)
	device := chain.Layer{Source: &libvirtxml.DomainDiskSource{Block: &libvirtxml.DomainDiskSourceBlock{Dev: loopDevice(t, "--offset", "1048576", img)}}, Format: probe.Raw, From: chain.XML}
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
