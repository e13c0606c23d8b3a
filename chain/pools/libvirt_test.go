package pools_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain/pools"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// TestAsAStartedGuest: a real libvirt starts guests from volumes, and QEMU gets
// the files that Locate names from the folder of that libvirt's definitions.
func TestAsAStartedGuest(t *testing.T) {
	l := peers.StartLibvirt(t)
	peers.Require(t, "qemu-img")
	shm := mountedFolder(t)

	l.StartPool("images", "<pool type='dir'><name>images</name><target><path>//"+l.Images+"/</path></target></pool>")
	l.StartPool("mounted", "<pool type='fs'><name>mounted</name><source><device path='"+shm.device+"'/></source>"+
		"<target><path>"+shm.path+"</path></target></pool>")
	// libvirt writes the definitions anew, and in a way of its own.
	read, err := pools.Read(t.Context(), l.PoolDefinitions(), nil)
	if err != nil {
		t.Fatal(err)
	}

	for n, tt := range []struct{ pool, volume, format string }{
		{"images", "base.raw", "raw"},
		{"images", "top & <more>.qcow2", "qcow2"},
		{"images", "a:b", "qcow2"},
		{"images", ".hidden", "raw"},
		{"mounted", filepath.Base(l.Dir) + ".qcow2", "qcow2"},
	} {
		t.Run(tt.volume, func(t *testing.T) {
			if tt.pool == "mounted" {
				t.Cleanup(func() { os.Remove(filepath.Join(shm.path, tt.volume)) })
			}
			// virsh puts the name into XML as it is.
			escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(tt.volume)
			l.Virsh("vol-create-as", tt.pool, escaped, "1M", "--format", tt.format)
			located, err := read.Locate(t.Context(), volume(tt.pool, tt.volume, ""))
			if err != nil {
				t.Fatal(err)
			}
			path, _ := storage.LocalPath(located)
			if theirs := strings.TrimRight(l.Virsh("vol-path", "--pool", tt.pool, tt.volume), "\n"); theirs != path {
				t.Errorf("libvirt says %q, Locate %q", theirs, path)
			}

			guest := fmt.Sprintf("guest%d", n)
			l.Define(peers.VolumeGuest(guest, tt.pool, escaped, tt.format))
			l.Virsh("start", guest)
			files, err := peers.Filenames(l.Blockdevs(guest))
			if err != nil || !slices.Equal(files, []string{path}) {
				t.Errorf("QEMU is given %q, %v; Locate says %q", files, err, path)
			}
		})
	}
}

// TestFolderAsAStartedGuest: what else lies in a pool's folder.
func TestFolderAsAStartedGuest(t *testing.T) {
	l := peers.StartLibvirt(t)
	for name, content := range map[string]string{
		"folder/file": "", "ploop/root.hds": "WithouFreSpacExt", "ploop/DiskDescriptor.xml": "", "half/root.hds": "",
	} {
		path := filepath.Join(l.Images, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l.Share(l.Images)
	l.StartPool("images", "<pool type='dir'><name>images</name><target><path>"+l.Images+"</path></target></pool>")
	read, err := pools.Read(t.Context(), l.PoolDefinitions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"folder": "dir", "half": "dir", "ploop": "ploop"} {
		info := l.Virsh("vol-info", "--pool", "images", name)
		if !strings.Contains(info, " "+want+"\n") {
			t.Errorf("libvirt takes %s for %s", name, info)
		}
		located, err := read.Locate(t.Context(), volume("images", name, ""))
		if err != nil {
			t.Fatal(err)
		}
		if isDir := located.Dir != nil; isDir != (want == "dir") {
			t.Errorf("%s: %s", name, storage.Describe(located))
		}
	}
}

type mount struct{ device, path string }

// mountedFolder returns a file system that is mounted already and that anyone
// may write to: libvirt takes a pool of it for mounted, so that starting it
// needs no privilege.
func mountedFolder(t *testing.T) mount {
	t.Helper()
	const path = "/dev/shm"
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[1] == path {
			return mount{f[0], path}
		}
	}
	t.Fatalf("nothing is mounted on %s", path)
	return mount{}
}

// TestAsTheTestDriver lets libvirt's test driver read the same definitions and
// tell the paths of volumes.
func TestAsTheTestDriver(t *testing.T) {
	peers.Require(t, "virsh")
	for _, tt := range definitionTests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pool.xml")
			if err := os.WriteFile(file, []byte(tt.xml), 0o600); err != nil {
				t.Fatal(err)
			}
			commands := "pool-define " + file
			if tt.want != "" {
				commands += "; pool-start p; vol-create-as p v 1M; vol-path --pool p v"
			}
			out, err := exec.Command("virsh", "-q", "-c", "test:///default", commands).CombinedOutput()
			if taken := err == nil; taken != (tt.want != "" || tt.stricter) {
				t.Fatalf("libvirt takes it: %v\n%s", taken, out)
			}
			if path := strings.TrimSpace(string(out)); tt.want != "" && path != tt.want {
				t.Errorf("libvirt says %q, want %q", path, tt.want)
			}
		})
	}
}
