package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/ordered"
	"github.com/chainfix/chainfix/xmlfix"
)

// stdinName is the name of standard input in messages.
const stdinName = "<stdin>"

// input is one document to work on.
type input struct {
	name string // its name in messages
	path string // "" for standard input
}

func inputOf(arg string) input {
	if arg == "" || arg == "-" {
		return input{name: stdinName}
	}
	return input{name: arg, path: arg}
}

// patient requests have no time limit.
var patient = limit.New(maxJobs, 0)

// reader reads documents.
type reader struct {
	requests *limit.Requests // nil bounds nothing
	stdin    io.Reader
	take     ordered.Take // waits until there is room for a document; nil where there is
	reports  bool         // the documents are chainfix reports, not XML of guests
}

// read returns a document's bytes, at most one more than xmlfix takes, so that an
// endless stream ends. It waits for standard input and pipes without limit.
func (r reader) read(ctx context.Context, in input) (data []byte, err error) {
	file := r.stdin
	if in.path != "" {
		var opened openedInput
		opened, err = limit.Do(ctx, r.requests, in.path, func(context.Context) (opened openedInput, err error) {
			if opened, err = openInput(in.path); err == nil && opened.regular && r.take == nil {
				opened.data, opened.err = readDocument(opened.file)
			}
			return opened, err
		})
		if err == nil {
			defer opened.file.Close()
			file, data, err = opened.file, opened.data, opened.err
			if r.take != nil {
				err = r.take(opened.size)
			}
		}
		if err == nil && opened.regular && r.take != nil {
			data, err = limit.Do(ctx, r.requests, in.path, func(context.Context) ([]byte, error) { return readDocument(file) })
		}
		if err != nil || opened.regular {
			return data, r.failed(in, err)
		}
	}
	data, err = limit.Do(ctx, patient, in.name, func(context.Context) ([]byte, error) { return readDocument(file) })
	return data, r.failed(in, err)
}

func (r reader) failed(in input, err error) error {
	if err == nil {
		return nil
	}
	failed := fmt.Errorf("cannot read %q: %w", in.name, unwrapPath(err))
	if r.reports {
		return failed
	}
	return withHint(failed, unreadHint(in, err))
}

// openedInput is a document that was opened.
type openedInput struct {
	file    *os.File
	regular bool  // and no pipe
	size    int64 // in bytes, of a regular file; no more than is read
	// The content of a regular file, or the read error, if nothing had to be waited for in
	// between.
	data []byte
	err  error
}

func openInput(path string) (openedInput, error) {
	f, err := os.Open(path)
	if err != nil {
		return openedInput{}, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return openedInput{}, err
	}
	return openedInput{file: f, regular: info.Mode().IsRegular(), size: min(info.Size(), xmlfix.MaxInput)}, nil
}

func readDocument(r io.Reader) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r, xmlfix.MaxInput+1))
}

// unwrapPath drops the path that the system's error repeats unquoted.
func unwrapPath(err error) error {
	if e, ok := err.(*os.PathError); ok {
		return e.Err
	}
	return err
}
