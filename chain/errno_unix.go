//go:build unix

package chain

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// errnoName returns the name of the error number in err, such as "EACCES"; or
// "". It returns the name because some numbers do not exist on every system
// (ENOMEDIUM is Linux's).
func errnoName(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	return unix.ErrnoName(errno)
}
