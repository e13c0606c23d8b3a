package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// output is a standard output that remembers write errors, so that callers need
// not check them: [run] ends the program with exitInput.
type output struct {
	w   io.Writer
	err error
}

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	if err != nil {
		o.err = fmt.Errorf("cannot write to standard output: %w", unwrapPath(err))
	}
	return n, err
}

// closedOutput is a standard output that was closed before the program began.
type closedOutput struct{}

var errClosed = errors.New("it is closed")

// Write implements [io.Writer].
func (closedOutput) Write([]byte) (int, error) { return 0, errClosed }

// standardOutput returns the standard output, which may be closed. Go opens
// /dev/null in its place then, before any of the program runs (Go 1.21). So no
// other file gets its number, but output is lost without an error.
func standardOutput() io.Writer {
	if closedByShell(os.Stdout) {
		return closedOutput{}
	}
	return os.Stdout
}

// closedByShell reports whether file is one that Go has opened because a shell
// closed it, as for "chainfix >&-". Many programs open /dev/null like Go, for
// reading and writing, to start another one with it. A shell that redirects to
// /dev/null opens it for writing alone. So closedByShell checks that the parent is
// a shell, and compares the shell's own file of the same number, which its command
// inherits unless the shell redirects it.
func closedByShell(file *os.File) bool {
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return false
	}
	info, err := file.Stat()
	if err != nil || !os.SameFile(info, null) {
		return false
	}
	flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE != unix.O_RDWR {
		return false
	}
	parent := filepath.Join("/proc", strconv.Itoa(os.Getppid()))
	program, err := os.Readlink(filepath.Join(parent, "exe"))
	if err != nil || !slices.Contains([]string{"sh", "ash", "bash", "busybox", "dash", "fish", "ksh", "ksh93", "mksh", "zsh"}, filepath.Base(program)) {
		return false
	}
	parents, err := os.Readlink(filepath.Join(parent, "fd", strconv.Itoa(int(file.Fd()))))
	return errors.Is(err, fs.ErrNotExist) || err == nil && parents != os.DevNull
}
