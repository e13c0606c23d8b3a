package main

import (
	"fmt"
	"io"
	"os"

	"github.com/chainfix/chainfix/xmlfix"
)

// stdinName is how messages call standard input.
const stdinName = "<stdin>"

// input is one document to work on.
type input struct {
	name string // as messages show it
	path string // "" for standard input
}

func inputOf(arg string) input {
	if arg == "" || arg == "-" {
		return input{name: stdinName}
	}
	return input{name: arg, path: arg}
}

// read returns the document's bytes, at most one more than xmlfix takes: an
// endless stream ends here.
func (in input) read(stdin io.Reader) ([]byte, error) {
	r := stdin
	if in.path != "" {
		f, err := os.Open(in.path)
		if err != nil {
			return nil, fmt.Errorf("cannot read %q: %w", in.name, unwrapPath(err))
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, xmlfix.MaxInput+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", in.name, unwrapPath(err))
	}
	return data, nil
}

// unwrapPath drops the path that the system's error repeats unquoted.
func unwrapPath(err error) error {
	if e, ok := err.(*os.PathError); ok {
		return e.Err
	}
	return err
}
