package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// hookJournal is the file for what a hook has to say: libvirt 9.0 drops the
// standard error of a hook that succeeds, but for its debug log.
type hookJournal struct {
	path string // "" for none
	call hookCall
	err  io.Writer
}

// note appends a line. That it cannot is no reason to fail.
func (j hookJournal) note(text string) {
	if j.path == "" {
		return
	}
	line := fmt.Sprintf("%s guest %q, %s %s: %s\n", time.Now().UTC().Format(time.RFC3339), j.call.guest, j.call.operation, j.call.subOperation, text)
	if err := appendTo(j.path, []byte(line)); err != nil {
		fmt.Fprintf(j.err, "chainfix: warning: cannot write to %q: %v\n", j.path, err)
	}
}

// appendTo writes to a file, and waits for no pipe: not for one that nobody has
// open, nor for one that is full, which package os would do.
func appendTo(path string, line []byte) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	n, err := unix.Write(fd, line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	return cmp.Or(err, unix.Close(fd))
}
