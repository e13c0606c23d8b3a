package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// checkSchema is the name and version of check's JSON output.
const checkSchema = "chainfix/check/v1"

// jsonReport writes documents one by one, so that memory does not grow with
// their number.
type jsonReport struct {
	w       io.Writer
	started bool
}

func (r *jsonReport) begin() error {
	return write(r.w, []byte(`{"schema": "`+checkSchema+`", "documents": [`))
}

func (r *jsonReport) document(e *examined) error {
	separator := "\n"
	if r.started {
		separator = ",\n"
	}
	r.started = true
	text, err := encodeJSON(report.DocumentOf(e.name, e.Examination, e.needs))
	if err != nil {
		return err
	}
	return write(r.w, append([]byte(separator), text...))
}

// end writes the warnings that are not about a document.
func (r *jsonReport) end(warnings []string) error {
	if err := write(r.w, []byte("\n]")); err != nil {
		return err
	}
	if len(warnings) > 0 {
		if err := writeList(r.w, "findings", report.Warnings(warnings...)); err != nil {
			return err
		}
	}
	return write(r.w, []byte("}\n"))
}

// encodeJSON does not escape <, > and &: this is not HTML.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, inputError(err)
	}
	return escapeJSON(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// escapeJSON escapes the characters that JSON allows in strings but a terminal
// might act on. encoding/json has escaped the control characters below space,
// and with bytes that are not UTF-8.
func escapeJSON(text []byte) []byte {
	safe := func(r rune) bool { return unicode.IsPrint(r) || r == '\n' }
	if bytes.IndexFunc(text, func(r rune) bool { return !safe(r) }) < 0 {
		return text
	}
	var escaped []byte
	for _, r := range string(text) {
		switch {
		case safe(r):
			escaped = append(escaped, string(r)...)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		}
	}
	return escaped
}

// writeList writes a list as a member of an object, element by element.
func writeList[T any](w io.Writer, name string, list []T) error {
	before := fmt.Sprintf(", %q: [\n", name)
	for i := range list {
		text, err := encodeJSON(&list[i])
		if err != nil {
			return err
		}
		if err := write(w, append([]byte(before), text...)); err != nil {
			return err
		}
		before = ",\n"
	}
	if len(list) == 0 {
		return write(w, fmt.Appendf(nil, ", %q: []", name))
	}
	return write(w, []byte("\n]"))
}
