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
	exitChange  = 1 // -l, -d or check: something would change
	exitUsage   = 2 // the command line is wrong
	exitRefused = 3 // a chain cannot be made explicit safely
	exitInput   = 4 // the input cannot be read, or reading or writing failed
)

// statusError ends the program with a status. Without a cause the error has
// already been reported.
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

// hinted is an error with a hint.
type hinted struct {
	error
	hint finding.Remedy
}

func (e *hinted) Unwrap() error { return e.error }

// Hint returns what to do about the error.
func (e *hinted) Hint() finding.Remedy { return e.hint }

// withHint returns err with a hint, which replaces any other.
func withHint(err error, hint finding.Remedy) error { return &hinted{err, hint} }

// hintOf returns the hint of an error, if it has one.
func hintOf(err error) finding.Remedy {
	var h *hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return finding.Remedy{}
}

// meant is a hinted error about a misspelt word: the usage of what was probably meant
// is shown.
type meant struct {
	error
	path []string // the words of the command
	flag string   // the one that was meant; "" for the command itself
}

func (e *meant) Unwrap() error { return e.error }

// meantThis returns err with the usage of the command at path, or of one of its flags, and
// the command that explains it.
func meantThis(path []string, flag string, err error) error {
	return &meant{seeHelp(path, err), path, flag}
}

// seeHelp returns err with a hint to the help of the command at path.
func seeHelp(path []string, err error) error {
	words := append(append([]string{"chainfix"}, path...), "--help")
	return withHint(err, finding.Command(strings.Join(words, " ")))
}
