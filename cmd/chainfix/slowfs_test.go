package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/testdata/slowfs/mount"
)

// slowFolder mounts a folder with files of these names, each of which has its name
// as content.
func slowFolder(t *testing.T, o mount.Options, names ...string) *peers.SlowFS {
	t.Helper()
	source := t.TempDir()
	for _, name := range names {
		writeFile(t, filepath.Join(source, name), []byte(name))
	}
	return peers.StartSlowFS(t, source, o)
}

// TestSlowFSFaults: each operation fails as the name says, and no other.
func TestSlowFSFaults(t *testing.T) {
	source := t.TempDir()
	for _, name := range []string{"plain", "err-lookup-EIO", "err-getattr-ESTALE", "err-open-EACCES", "err-read-ETIMEDOUT", "err-statfs-EIO"} {
		writeFile(t, filepath.Join(source, name), []byte(name))
	}
	for _, name := range []string{"folder", "err-opendir-EACCES", "err-readdir-EIO"} {
		if err := os.Mkdir(filepath.Join(source, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"link", "err-readlink-EIO"} {
		if err := os.Symlink("plain", filepath.Join(source, name)); err != nil {
			t.Fatal(err)
		}
	}
	slow := peers.StartSlowFS(t, source, mount.Options{Cache: time.Hour})

	stat := func(path string) error { _, err := os.Lstat(path); return err }
	open := func(path string) error {
		f, err := os.Open(path)
		if err == nil {
			f.Close()
		}
		return err
	}
	read := func(path string) error { _, err := os.ReadFile(path); return err }
	readDir := func(path string) error { _, err := os.ReadDir(path); return err }
	readLink := func(path string) error { _, err := os.Readlink(path); return err }
	statFS := func(path string) error { return unix.Statfs(path, new(unix.Statfs_t)) }
	for _, tt := range []struct {
		name string
		do   func(path string) error
		want error
	}{
		{"plain", stat, nil},
		{"plain", read, nil},
		{"plain", statFS, nil},
		{"missing", stat, unix.ENOENT},
		{"folder", readDir, nil},
		{"link", readLink, nil},
		{"err-lookup-EIO", stat, unix.EIO},
		{"err-getattr-ESTALE", stat, unix.ESTALE},
		{"err-getattr-ESTALE", open, nil},
		{"err-open-EACCES", stat, nil},
		{"err-open-EACCES", open, unix.EACCES},
		{"err-read-ETIMEDOUT", open, nil},
		{"err-read-ETIMEDOUT", read, unix.ETIMEDOUT},
		{"err-statfs-EIO", statFS, unix.EIO},
		{"err-opendir-EACCES", stat, nil},
		{"err-opendir-EACCES", readDir, unix.EACCES},
		{"err-readdir-EIO", open, nil},
		{"err-readdir-EIO", readDir, unix.EIO},
		{"err-readlink-EIO", stat, nil},
		{"err-readlink-EIO", readLink, unix.EIO},
		{"err-readlink-EIO", open, unix.EIO},
	} {
		if err := tt.do(filepath.Join(slow.Dir, tt.name)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestSlowFSCounts: every request is counted that a program causes, once.
func TestSlowFSCounts(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    mount.Options
		want map[string]int
	}{
		{"nothing remembered", mount.Options{}, map[string]int{"lookup": 2, "open": 1, "read": 1}},
		{"names and attributes remembered", mount.Options{Cache: time.Hour}, map[string]int{"lookup": 1, "open": 1, "read": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slow := slowFolder(t, tt.o, "image")
			path := filepath.Join(slow.Dir, "image")
			slow.Counts() // what mounting takes
			if _, err := os.Lstat(path); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.ReadAt(make([]byte, 5), 0); err != nil {
				t.Fatal(err)
			}
			got := slow.Counts()
			if tt.o.Cache == 0 && got.Requests["getattr"] > 0 {
				delete(got.Requests, "getattr") // how often is the kernel's business
			}
			if diff := cmp.Diff(mount.Counts{Requests: tt.want, Most: 1}, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if diff := cmp.Diff(mount.Counts{Requests: map[string]int{}}, slow.Counts()); diff != "" {
				t.Errorf("asked again: -want +got\n%s", diff)
			}
		})
	}
}

// TestSlowFSHangs: a request that hangs is there to see, and the process that waits
// for it ends when the file system does; where its name says so, when it is killed.
func TestSlowFSHangs(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*peers.SlowFS, *os.Process) error
		want syscall.Signal // that ends it; 0 if it ends by itself
	}{
		{"hang-lookup-intr", kill(syscall.SIGKILL), syscall.SIGKILL},
		{"hang-open-intr", kill(syscall.SIGTERM), syscall.SIGTERM},
		{"hang-read-intr", kill(syscall.SIGKILL), syscall.SIGKILL},
		{"hang-getattr-intr", kill(syscall.SIGTERM), syscall.SIGTERM},
		{"hang-lookup", closeSlowFS, 0},
		{"hang-read", closeSlowFS, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slow := slowFolder(t, mount.Options{}, tt.name, "other")
			cat := exec.Command("cat", filepath.Join(slow.Dir, tt.name))
			if err := cat.Start(); err != nil {
				t.Fatal(err)
			}
			slow.AwaitHung(1)
			if got, err := os.ReadFile(filepath.Join(slow.Dir, "other")); err != nil || string(got) != "other" {
				t.Errorf("meanwhile another file is %q, %v", got, err)
			}
			if got := slow.Counts(); got.Hung != 1 || got.Most != 2 {
				t.Errorf("%d hang, at most %d were in flight", got.Hung, got.Most)
			}
			if err := tt.end(slow, cat.Process); err != nil {
				t.Fatal(err)
			}
			cat.Wait()
			status := cat.ProcessState.Sys().(syscall.WaitStatus)
			if tt.want == 0 && status.ExitStatus() != 1 || tt.want != 0 && status.Signal() != tt.want {
				t.Errorf("cat: %v", cat.ProcessState)
			}
		})
	}
}

func kill(s syscall.Signal) func(*peers.SlowFS, *os.Process) error {
	return func(_ *peers.SlowFS, p *os.Process) error { return p.Signal(s) }
}

func closeSlowFS(slow *peers.SlowFS, _ *os.Process) error {
	slow.Close()
	return nil
}

// TestSlowFSStops: nothing is answered while the server is stopped, and everything
// after; a test that ends meanwhile leaves no mount.
func TestSlowFSStops(t *testing.T) {
	slow := slowFolder(t, mount.Options{}, "image")
	slow.Stop()
	cat := exec.Command("cat", filepath.Join(slow.Dir, "image"))
	out, err := cat.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	slow.Continue()
	if got, err := io.ReadAll(out); err != nil || string(got) != "image" {
		t.Errorf("%q, %v", got, err)
	}
	if err := cat.Wait(); err != nil {
		t.Error(err)
	}

	slow.Stop()
	cat = exec.Command("cat", filepath.Join(slow.Dir, "image"))
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	slow.Close()
	if err := cat.Wait(); err == nil {
		t.Error("a file of a file system that is no more was read")
	}
	if _, err := os.Lstat(slow.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", slow.Dir, err)
	}
}

// TestSlowFSMisspelt: a fault that there is not is no quiet success, and is named
// in the end.
func TestSlowFSMisspelt(t *testing.T) {
	slowFolder(t, mount.Options{}) // or the machine lacks something
	for _, name := range []string{"hang-raed", "err-opne-EIO", "err-open-EOI", "hang-write"} {
		slow, err := mount.Start(t.TempDir(), mount.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(filepath.Join(slow.Dir, name)); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if err := slow.Close(); err == nil || !strings.Contains(err.Error(), "there is no fault") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
