package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/testdata/peers"
)

// The owner, the group and the mode of a file that is rewritten are those that it
// had.
func TestRewriteKeepsOwnerAndMode(t *testing.T) {
	if os.Geteuid() != 0 {
		peers.Lacking(t, "only root gives files away")
	}
	for _, mode := range []os.FileMode{0o600, 0o640, 0o444, 0o666} {
		path := filepath.Join(t.TempDir(), "vm.xml")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		const owner, group = 65534, 12345
		if err := os.Chown(path, owner, group); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if lost, err := replaceFile(t.Context(), path, []byte("new")); err != nil || lost != "" {
			t.Fatalf("lost %q, %v", lost, err)
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil || string(content) != "new" || st.Uid != owner || st.Gid != group || os.FileMode(st.Mode&0o7777) != mode {
			t.Errorf("mode %o: %q, %v, owner %d, group %d, mode %o", mode, content, err, st.Uid, st.Gid, st.Mode)
		}
	}
}

// withoutChown runs f without the right to give files away.
func withoutChown(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with its rights
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		err := unix.Capget(&header, &data[0])
		data[0].Effective &^= 1 << unix.CAP_CHOWN
		if err == nil {
			err = unix.Capset(&header, &data[0])
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// If owner and group cannot be kept the file is still rewritten, and its new
// group gets no more rights than others.
func TestRewriteTellsWhatItCannotKeep(t *testing.T) {
	if os.Geteuid() != 0 {
		peers.Lacking(t, "only root can make another user's file")
	}
	for was, want := range map[os.FileMode]os.FileMode{0o600: 0o600, 0o660: 0o600, 0o664: 0o644, 0o666: 0o666, 0o640: 0o600} {
		path := filepath.Join(t.TempDir(), "vm.xml")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Chown(path, 65534, 12345), os.Chmod(path, was)); err != nil {
			t.Fatal(err)
		}
		withoutChown(t, func() {
			if lost, err := replaceFile(t.Context(), path, []byte("new")); err != nil || lost != "owner and group" {
				t.Errorf("lost %q, %v", lost, err)
			}
		})
		info, err := os.Stat(path)
		if err != nil || info.Mode() != want || info.Size() != 3 {
			t.Errorf("mode %o became %v, want %o; %v", was, info.Mode(), want, err)
		}
		if content, err := os.ReadFile(path); err != nil || string(content) != "new" {
			t.Errorf("%q, %v", content, err)
		}
	}
}

// Of a file with an access control list, the list is kept; one that the folder
// gives to new files does not come to a file that had none.
func TestRewriteKeepsAccessControlList(t *testing.T) {
	// A list that lets the user 12345 read, as the kernel has it: version 2,
	// then tag, permissions and identity of each entry.
	entry := func(tag, permissions, id int) string {
		return string([]byte{byte(tag), byte(tag >> 8), byte(permissions), 0, byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24)})
	}
	list := []byte("\x02\x00\x00\x00" + entry(1, 6, -1) + entry(2, 4, 12345) + entry(4, 0, -1) + entry(16, 4, -1) + entry(32, 0, -1))
	for name, listed := range map[string]bool{"listed": true, "plain": false} {
		dir := t.TempDir()
		path := filepath.Join(dir, "vm.xml")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		on := dir
		key := "system.posix_acl_default"
		if listed {
			on, key = path, aclAttribute
		}
		if err := unix.Setxattr(on, key, list, 0); err != nil {
			peers.Lacking(t, fmt.Sprintf("no access control lists here: %v", err))
		}
		if lost, err := replaceFile(t.Context(), path, []byte("new")); err != nil || lost != "" {
			t.Fatalf("lost %q, %v", lost, err)
		}
		got, ok := attribute(path, aclAttribute)
		if ok != listed || listed && string(got) != string(list) {
			t.Errorf("%s: access control list %q, %v", name, got, ok)
		}
	}
}

// A file with several names is not rewritten: the others would keep the old
// content.
func TestFileWithSeveralNamesIsNotRewritten(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.xml"), filepath.Join(dir, "second.xml")
	if err := os.WriteFile(first, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(first, second); err != nil {
		t.Fatal(err)
	}
	_, err := replaceFile(t.Context(), first, []byte("new"))
	if err == nil || !strings.Contains(err.Error(), "2 names (hard links)") {
		t.Errorf("error: %v", err)
	}
	for _, path := range []string{first, second} {
		if content, err := os.ReadFile(path); err != nil || string(content) != "old" {
			t.Errorf("%s: %q, %v", path, content, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v in the folder, %v", entries, err)
	}
}
