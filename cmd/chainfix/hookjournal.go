package main

import (
	"errors"
	"fmt"
	"io"
	"os"
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
	// A pipe that nobody reads is not waited for.
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOCTTY, 0o600)
	if err == nil {
		_, err = io.WriteString(file, line)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		fmt.Fprintf(j.err, "chainfix: warning: cannot write to %q: %v\n", j.path, unwrapPath(err))
	}
}
