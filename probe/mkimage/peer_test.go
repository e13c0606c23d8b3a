package mkimage_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// TestQEMURefusesDifferencingVHDX: it is made for that.
func TestQEMURefusesDifferencingVHDX(t *testing.T) {
	peers.Require(t, "qemu-img")
	dir := t.TempDir()
	write(t, dir, "image", mkimage.VHDX{VirtualSize: 1 << 20, Parent: "base.vhdx"})
	out, err := exec.Command("qemu-img", "info", "-f", "vhdx", filepath.Join(dir, "image")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Operation not supported") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestQEMUKnowsLUKS1: it tells what the image is, and wants a passphrase.
func TestQEMUKnowsLUKS1(t *testing.T) {
	peers.Require(t, "qemu-img")
	dir := t.TempDir()
	write(t, dir, "image", mkimage.LUKS1{VirtualSize: 1 << 20})
	info := run(t, dir, "qemu-img", "info", "image")
	for _, want := range []string{"file format: luks", "(1048576 bytes)", "encrypted: yes", "cipher alg: aes-128"} {
		if !strings.Contains(info, want) {
			t.Errorf("no %q:\n%s", want, info)
		}
	}
}
