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

// TestSlowFSHangs: a request that hangs is there to see, and nothing else waits for
// it. The process that does so ends when it is killed, if the name says so, and nothing
// is left of its request.
func TestSlowFSHangs(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  syscall.Signal
	}{
		{"hang-lookup-intr", syscall.SIGKILL},
		{"hang-open-intr", syscall.SIGTERM},
		{"hang-read-intr", syscall.SIGKILL},
		{"hang-getattr-intr", syscall.SIGTERM},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slow := slowFolder(t, mount.Options{}, tt.name, "other")
			first, second := startCat(t, slow, tt.name), startCat(t, slow, tt.name)
			// Of two lookups of one name the kernel sends one.
			hang := 2
			if tt.name == "hang-lookup-intr" {
				hang = 1
			}
			slow.AwaitHung(hang)
			if got, err := os.ReadFile(filepath.Join(slow.Dir, "other")); err != nil || string(got) != "other" {
				t.Errorf("meanwhile another file is %q, %v", got, err)
			}
			if got := slow.Counts(); got.Hung != hang || got.Most != hang+1 {
				t.Errorf("%d hang, at most %d were in flight", got.Hung, got.Most)
			}
			cats := []*exec.Cmd{first, second}
			for _, cat := range cats {
				if err := cat.Process.Signal(tt.end); err != nil {
					t.Fatal(err)
				}
			}
			for _, cat := range cats {
				cat.Wait()
				if got := cat.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != tt.end {
					t.Errorf("cat: %v", cat.ProcessState)
				}
			}
			if got := slow.Counts().Hung; got != 0 {
				t.Errorf("%d still hang", got)
			}
		})
	}
}

// TestSlowFSEndsWhatHangs: a process that cannot be killed ends when the file system
// does.
func TestSlowFSEndsWhatHangs(t *testing.T) {
	for _, name := range []string{"hang-lookup", "hang-open", "hang-read", "hang-getattr"} {
		slow := slowFolder(t, mount.Options{}, name)
		cat := startCat(t, slow, name)
		slow.AwaitHung(1)
		slow.Close()
		cat.Wait()
		if got := cat.ProcessState.ExitCode(); got != 1 {
			t.Errorf("%s: cat: %v", name, cat.ProcessState)
		}
	}
}

func startCat(t *testing.T, slow *peers.SlowFS, name string) *exec.Cmd {
	t.Helper()
	cat := exec.Command("cat", filepath.Join(slow.Dir, name))
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	return cat
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
	cat = startCat(t, slow, "image")
	slow.Close()
	if err := cat.Wait(); err == nil {
		t.Error("a file of a file system that is no more was read")
	}
	if _, err := os.Lstat(slow.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", slow.Dir, err)
	}
}

// TestSlowFSMisspelt: an unknown fault is not silently ignored, and is named at
// the end.
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
