package main

import (
	"errors"
	"fmt"
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
