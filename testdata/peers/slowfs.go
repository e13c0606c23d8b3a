package peers

import (
	"errors"
	"os"
	"testing"

	"github.com/chainfix/chainfix/testdata/slowfs/mount"
)

// SlowFS is a folder on a slow, faulty file system. Names in it choose faults:
// see testdata/slowfs.
//
// A process that waits for a hanging file cannot be killed, unless the file's
// name contains "intr". Call Close before waiting for such a process.
type SlowFS struct {
	Dir string // where it is mounted, read-only

	mount *mount.Mount
	t     testing.TB
}

// StartSlowFS mounts a folder until the test ends, even if it is in use then.
// It needs root and /dev/fuse. Files that are added to the folder later appear
// too.
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

// Counts returns the requests since its last call.
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

// Stop holds all answers back until Continue.
func (s *SlowFS) Stop() {
	s.t.Helper()
	if err := s.mount.Stop(); err != nil {
		s.t.Fatal(err)
	}
}

// Continue releases the answers that Stop held back.
func (s *SlowFS) Continue() {
	s.t.Helper()
	if err := s.mount.Continue(); err != nil {
		s.t.Fatal(err)
	}
}

// Close ends the file system before the test ends. Pending and later requests
// get an error.
func (s *SlowFS) Close() {
	s.t.Helper()
	if err := s.mount.Close(); err != nil {
		s.t.Error(err)
	}
}
