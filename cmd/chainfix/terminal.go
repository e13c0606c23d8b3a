package main

import (
	"os"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
	"golang.org/x/term"
)

// colorWhen says when text is coloured; "" means auto.
type colorWhen string

const (
	colorAuto   colorWhen = "auto"
	colorAlways colorWhen = "always"
	colorNever  colorWhen = "never"
)

// on reports whether output to a stream is coloured; see https://no-color.org.
func (c colorWhen) on(stream any) bool {
	switch c {
	case colorAlways:
		return true
	case colorNever:
		return false
	}
	kind := os.Getenv("TERM")
	return isTerminal(stream) && os.Getenv("NO_COLOR") == "" && kind != "" && kind != "dumb"
}

// textOptions are how the report on a host is shown on a stream.
func (o *options) textOptions(stream any) text.Options {
	return text.Options{Detail: o.detail, Width: columnsOf(stream), Color: o.color.on(stream), Some: o.filter.Active()}
}

// columnsOf returns the width of the terminal behind a stream, or 0 if it is not a terminal
// or its width is unknown.
func columnsOf(stream any) int {
	switch s := stream.(type) {
	case *output:
		return columnsOf(s.w)
	case aboveLine:
		return columnsOf(s.w)
	case *os.File:
		if width, _, err := term.GetSize(int(s.Fd())); err == nil {
			return width
		}
	}
	return 0
}
