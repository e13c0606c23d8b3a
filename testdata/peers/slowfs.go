package peers

import (
	"errors"
	"os"
	"testing"

	"github.com/chainfix/chainfix/testdata/slowfs/mount"
)

// SlowFS is a folder seen as through a slow, faulty network. Names in it choose
// faults: see testdata/slowfs.
//
// A process that waits for something that hangs cannot be killed, unless "intr" is
// in its name. Whoever waits for such a process must call Close before.
type SlowFS struct {
	Dir string // where it is mounted, read-only

	mount *mount.Mount
	t     testing.TB
}

// StartSlowFS mounts a folder until the test ends, whoever uses it then. It takes
// root, and /dev/fuse. What is put into the folder later is there, too.
func StartSlowFS(t testing.TB, source string, o mount.Options) *SlowFS {
	t.Helper()
	if os.Geteuid() != 0 {
		Lacking(t, "only root mounts file systems")
	}
	m, err := mount.Start(source, o)
	if errors.Is(err, mount.ErrNotMounted) {
		Lacking(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &SlowFS{Dir: m.Dir, mount: m, t: t}
	t.Cleanup(s.Close)
	return s
}

// Counts returns what was asked for since it was called last.
func (s *SlowFS) Counts() mount.Counts {
	s.t.Helper()
	counts, err := s.mount.Counts()
	if err != nil {
		s.t.Fatal(err)
	}
	return counts
}

// AwaitHung waits until n requests hang.
func (s *SlowFS) AwaitHung(n int) {
	s.t.Helper()
	if err := s.mount.AwaitHung(n); err != nil {
		s.t.Fatal(err)
	}
}

// Stop lets nothing be answered until Continue.
func (s *SlowFS) Stop() {
	s.t.Helper()
	if err := s.mount.Stop(); err != nil {
		s.t.Fatal(err)
	}
}

// Continue lets the answers come that Stop has kept.
func (s *SlowFS) Continue() {
	s.t.Helper()
	if err := s.mount.Continue(); err != nil {
		s.t.Fatal(err)
	}
}

// Close ends the file system before the test ends. Whoever waits for it gets an
// error, and whoever asks it later.
func (s *SlowFS) Close() {
	s.t.Helper()
	if err := s.mount.Close(); err != nil {
		s.t.Error(err)
	}
}
