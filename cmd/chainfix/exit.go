package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/chainfix/chainfix/chain/finding"
)

// The exit statuses of the command-line contract.
const (
	exitDone    = 0 // done, or nothing to do
	exitChange  = 1 // -l, -d or check: there is something to change
	exitUsage   = 2 // the command line is wrong
	exitRefused = 3 // a chain cannot be made explicit safely
	exitInput   = 4 // the input cannot be read, or reading or writing failed
)

// statusError ends the program with a status. Without a cause everything has
// been said already.
type statusError struct {
	status int
	cause  error
}

func (e *statusError) Error() string {
	if e.cause == nil {
		return ""
	}
	return e.cause.Error()
}

func (e *statusError) Unwrap() error { return e.cause }

// ended returns the error that ends the program with status, nil for success.
func ended(status int) error {
	if status == exitDone {
		return nil
	}
	return &statusError{status: status}
}

func usageError(format string, args ...any) error {
	return &statusError{exitUsage, fmt.Errorf(format, args...)}
}

func inputError(err error) error {
	return &statusError{exitInput, err}
}

func statusOf(err error) int {
	var s *statusError
	if errors.As(err, &s) {
		return s.status
	}
	return exitInput
}

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint finding.Remedy
}

func (e *hinted) Unwrap() error { return e.error }

// Hint is what to do about the error.
func (e *hinted) Hint() finding.Remedy { return e.hint }

// withHint returns err with a hint, which takes the place of one that it has already.
func withHint(err error, hint finding.Remedy) error { return &hinted{err, hint} }

// hintOf is what to do about an error, as far as it is known.
func hintOf(err error) finding.Remedy {
	var h *hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return finding.Remedy{}
}

// meant is a hinted error about something misspelt: it says how that is used which was
// probably meant.
type meant struct {
	error
	path []string // the words of the command
	flag string   // the one that was meant; "" for the command itself
}

func (e *meant) Unwrap() error { return e.error }

// meantThis returns err with the use of the command of that path, or of a flag of it, and the
// command that explains it.
func meantThis(path []string, flag string, err error) error {
	return &meant{seeHelp(path, err), path, flag}
}

// seeHelp returns err with the command that explains the one of that path.
func seeHelp(path []string, err error) error {
	words := append(append([]string{"chainfix"}, path...), "--help")
	return withHint(err, finding.Command(strings.Join(words, " ")))
}
