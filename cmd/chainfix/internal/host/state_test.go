package host

import (
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
