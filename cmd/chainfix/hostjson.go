package main

import (
	"fmt"
	"io"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// hostJSON writes one guest after the other, so that memory does not grow with
// their number, and nothing before there is one, or the end.
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

func (j *hostJSON) guest(_ *host.Report, g *report.Guest) error {
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

// end writes what is known once all guests are.
func (j *hostJSON) end(h *report.Host) error {
	before, err := j.next("\n")
	if err != nil {
		return err
	}
	text := append(before, ']')
	if text, err = appendList(text, "images", h.Images); err != nil {
		return err
	}
	if text, err = appendList(text, "decisions", h.Decisions); err != nil {
		return err
	}
	if text, err = appendList(text, "problems", h.Problems); err != nil {
		return err
	}
	summary, err := encodeJSON(h.Summary)
	if err != nil {
		return err
	}
	return write(j.w, fmt.Appendf(text, ", \"summary\": %s}\n", summary))
}

// appendList appends a member of an object, with a line for each element.
func appendList[T any](text []byte, name string, list []T) ([]byte, error) {
	text = fmt.Appendf(text, ", %q: [", name)
	for i, element := range list {
		if i > 0 {
			text = append(text, ',')
		}
		encoded, err := encodeJSON(element)
		if err != nil {
			return nil, err
		}
		text = append(append(text, '\n'), encoded...)
	}
	return append(text, "\n]"...), nil
}
