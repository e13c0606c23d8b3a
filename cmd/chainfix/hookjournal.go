package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/chain/finding"
)

// hookJournal is the log file of a hook: libvirt 9.0 drops the standard error
// of a hook that succeeds, except in its debug log.
//
// Its file system may hang, as those of images may. The hook must not lose its result
// over that: after patience it gives the log up.
type hookJournal struct {
	path string // "" for none
	json bool   // a line is an object
	id   string // of the call
	call hookCall
	err  io.Writer

	patience time.Duration // for all lines together
}

// callID returns the id of this call. A reader gets it from the process that started it.
func callID() string {
	return cmp.Or(os.Getenv(readerVariable), strings.ToLower(rand.Text()[:12]))
}

// hookNote is a message about a disk, or about the guest if disk is "". Only findings
// have a code.
type hookNote struct {
	disk string
	finding.Finding
}

// String returns the note in one line.
func (n hookNote) String() string {
	if n.disk == "" {
		return inOneLine(n.Finding)
	}
	return "disk " + strconv.Quote(n.disk) + ": " + inOneLine(n.Finding)
}

// hookNotes are the reasons why a hook cannot do its work. As an error they show the first.
type hookNotes []hookNote

func (n hookNotes) Error() string {
	if len(n) == 1 {
		return n[0].String()
	}
	return fmt.Sprintf("%s (and %d more)", n[0], len(n)-1)
}

// hookLine is a line of the JSON log.
type hookLine struct {
	Time         string `json:"time"` // RFC 3339, in UTC
	ID           string `json:"id"`   // the same in all lines of one hook call
	Guest        string `json:"guest"`
	Operation    string `json:"operation"`     // libvirt's word
	SubOperation string `json:"sub-operation"` // libvirt's word
	Level        string `json:"level"`
	Result       string `json:"result,omitempty"` // the result for the XML or the operation, if this line decides it
	Disk         string `json:"disk,omitempty"`   // its target
	Code         string `json:"code,omitempty"`   // the code of the finding, if it is one
	Text         string `json:"text"`
	Hint         string `json:"hint,omitempty"` // what would help
}

// note logs a finding that does not decide the result.
func (j *hookJournal) note(n hookNote) { j.append("", "", n) }

// conclude logs the reasons for the result: result is for JSON, and as precedes
// each reason in text.
func (j *hookJournal) conclude(result, words string, why error) {
	var all hookNotes
	if !errors.As(why, &all) {
		severity := map[string]finding.Severity{"explicit": finding.Info, "left": finding.Warn}
		of, ok := severity[result]
		if !ok {
			of = finding.Refuse
		}
		all = hookNotes{{Finding: finding.Finding{Severity: of, Text: why.Error()}}}
	}
	for _, n := range all {
		j.append(result, words, n)
	}
}

// append writes a line. A failure is only a warning.
func (j *hookJournal) append(result, words string, n hookNote) {
	if j.path == "" {
		return
	}
	now := time.Now().UTC().Format(time.RFC3339)
	line := fmt.Appendf(nil, "%s guest %q, %s %s: %s%s", now, j.call.guest, j.call.operation, j.call.subOperation, words, n)
	if j.json {
		var err error
		line, err = encodeJSON(hookLine{now, j.id, j.call.guest, j.call.operation, j.call.subOperation,
			n.Severity.Level(), result, n.disk, string(n.Code), n.Text, n.Remedy.String()})
		if err != nil {
			fmt.Fprintf(j.err, "chainfix: warning: cannot write to %q: %v\n", j.path, err)
			return
		}
	}
	if err := j.write(append(line, '\n')); err != nil {
		fmt.Fprintf(j.err, "chainfix: warning: cannot write to %q: %v\n", j.path, err)
		if errors.As(err, new(timeUpError)) {
			j.path = ""
		}
	}
}

// write appends a line, or gives up with a [timeUpError].
func (j *hookJournal) write(line []byte) error {
	path, begun, done := j.path, time.Now(), make(chan error, 1)
	go func() { done <- appendTo(path, line) }()
	timer := time.NewTimer(j.patience)
	defer timer.Stop()
	select {
	case err := <-done:
		j.patience -= time.Since(begun)
		return err
	case <-timer.C:
		return timeUpError{max(j.patience, 0).Round(time.Millisecond)}
	}
}

// appendTo writes to a file without waiting for a pipe that no process has open
// or that is full, as package os would.
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
