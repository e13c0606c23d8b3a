//go:build !small

package main

import (
	"fmt"
	"io"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// hostJSON writes guests one by one, so that memory does not grow with their
// number. It writes nothing before the first guest or the end.
type hostJSON struct {
	w       io.Writer
	head    report.Host
	started bool
}

// next is what is written before the next guest, or before the end.
func (j *hostJSON) next(separator string) ([]byte, error) {
	if j.started {
		return []byte(separator), nil
	}
	j.started = true
	schema, err := encodeJSON(j.head.Schema)
	if err != nil {
		return nil, err
	}
	libvirt, err := encodeJSON(j.head.Libvirt)
	if err != nil {
		return nil, err
	}
	run, err := encodeJSON(j.head.Run)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"schema": %s, "libvirt": %s, "run": %s, "guests": [`+"\n", schema, libvirt, run), nil
}

func (j *hostJSON) guest(g *report.Guest) error {
	before, err := j.next(",\n")
	if err != nil {
		return err
	}
	text, err := encodeJSON(g)
	if err != nil {
		return err
	}
	return write(j.w, append(before, text...))
}

// end writes what is known after the last guest.
func (j *hostJSON) end(h *report.Host) error {
	before, err := j.next("\n")
	if err != nil {
		return err
	}
	if err := write(j.w, append(before, ']')); err != nil {
		return err
	}
	if err := writeList(j.w, "images", h.Images); err != nil {
		return err
	}
	if err := writeList(j.w, "decisions", h.Decisions); err != nil {
		return err
	}
	if err := writeList(j.w, "problems", h.Problems); err != nil {
		return err
	}
	if len(h.Findings) > 0 {
		if err := writeList(j.w, "findings", h.Findings); err != nil {
			return err
		}
	}
	summary, err := encodeJSON(h.Summary)
	if err != nil {
		return err
	}
	return write(j.w, fmt.Appendf(nil, `, "summary": %s}`+"\n", summary))
}
