package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLockIsGivenUp: a copy of the lock's descriptor, as a process has that is
// just being started, does not keep the next run waiting.
func TestLockIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	lock, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	other, err := unix.Dup(int(lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	if err := closeState(lock); err != nil {
		t.Fatal(err)
	}
	next, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := closeState(next); err != nil {
		t.Error(err)
	}
}

// TestFirstRuns: of two runs that began before there was a state folder one goes first,
// whether it is at work still or is over, and the other changes nothing.
func TestFirstRuns(t *testing.T) {
	stateDir := filepath.Join(t.TempDir(), "state")
	var runs [3]*Run
	for i := range runs {
		run, err := beginRun(t.Context(), stateDir, Origin{}, nil)
		if err != nil || run.Dir != "" {
			t.Fatalf("%q, %v", run.Dir, err)
		}
		defer run.Close()
		runs[i] = run
	}
	if _, err := os.Lstat(stateDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a run that has taken on no guest has made the state folder: %v", err)
	}
	if err := runs[0].make(); err != nil {
		t.Fatal(err)
	}
	if err := runs[1].make(); !errors.Is(err, ErrBusy) || runs[1].Dir != "" {
		t.Errorf("while another is at work: %q, %v", runs[1].Dir, err)
	}
	runs[0].Close()
	if err := runs[2].make(); !errors.Is(err, ErrBusy) || runs[2].Dir != "" {
		t.Errorf("after another: %q, %v", runs[2].Dir, err)
	}
}
