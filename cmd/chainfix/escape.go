package main

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf16"
)

// escapeJSON replaces what a terminal might act on, and JSON allows in
// strings, by JSON's own escapes. encoding/json has dealt with the control
// characters below space, and with bytes that are not UTF-8.
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
