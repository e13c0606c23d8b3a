package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// TestPoolsOfTheHost: without --pools the pools are those of /etc/libvirt/storage, in
// which a broken one, or a missing folder, does not affect those who need no volume of
// it.
func TestPoolsOfTheHost(t *testing.T) {
	t.Parallel()
	peers.Require(t, "unshare", "mount", "libvirtd") // which has a folder /etc/libvirt
	// The mount is of this process's own.
	const inside = `mount --bind "$1" /etc/libvirt && shift && exec chainfix "$@"`
	within := func(etc string, args ...string) *exec.Cmd {
		return exec.Command("unshare", append([]string{"--mount", "--propagation", "private", "sh", "-c", inside, "sh", etc}, args...)...)
	}
	dir := t.TempDir()
	if out, err := within(dir, "version").CombinedOutput(); err != nil {
		peers.Lacking(t, "mounts of its own for root: "+string(out))
	}
	base, err := mkimage.Qcow2{VirtualSize: attackSize}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"images", "full/storage", "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "images", "top.qcow2"), base)
	writeFile(t, filepath.Join(dir, "full", "storage", "images.xml"), []byte("<pool type='dir'><name>images</name><target><path>"+dir+"/images</path></target></pool>"))
	writeFile(t, filepath.Join(dir, "full", "storage", "broken.xml"), []byte("<pool"))
	documents := make(map[string]string)
	for pool, document := range map[string]string{
		"images": peers.VolumeGuest("images", "images", "top.qcow2", "qcow2"), "broken": peers.VolumeGuest("broken", "broken", "top.qcow2", "qcow2"),
		"": peers.SmallGuest("none", ""),
	} {
		documents[pool] = filepath.Join(dir, "of"+pool+".xml")
		writeFile(t, documents[pool], []byte(document))
	}
	for _, tt := range []struct {
		etc, pool string
		flags     []string
		status    int
		says      string
	}{
		{"full", "images", nil, exitChange, ""},
		{"full", "", nil, exitDone, ""},
		{"full", "broken", nil, exitRefused, `"/etc/libvirt/storage/broken.xml": `},
		{"empty", "images", nil, exitRefused, `the storage pool "images" is not defined in "/etc/libvirt/storage"`},
		{"empty", "", nil, exitDone, ""},
		{"full", "images", []string{"--pools", filepath.Join(dir, "images")}, exitRefused, `is not defined in "` + dir + `/images"`},
		{"empty", "images", []string{"--pools", filepath.Join(dir, "full", "storage")}, exitChange, ""},
		{"empty", "images", []string{"--pools", filepath.Join(dir, "absent")}, exitInput, "no such file or directory"},
	} {
		cmd := within(filepath.Join(dir, tt.etc), append([]string{"check", documents[tt.pool]}, tt.flags...)...)
		var said strings.Builder
		cmd.Stderr = &said
		cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != tt.status || !strings.Contains(said.String(), tt.says) || tt.says == "" && said.Len() > 0 {
			t.Errorf("%s, %v: status %d, says\n%s", tt.etc, cmd.Args[6:], got, said.String())
		}
	}
	if _, err := os.Stat("/etc/libvirt/storage/images.xml"); err == nil {
		t.Error("the mount is not of the process's own")
	}
}
