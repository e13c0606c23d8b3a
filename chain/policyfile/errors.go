package policyfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What can be wrong with a policy file. Every error of [Parse] is an [*Error]
// that wraps one of these.
var (
	// ErrLimit is returned for a file that is longer than [MaxSize], or has more
	// than [MaxMarks].
	ErrLimit = errors.New("policy file is too large")
	// ErrSyntax is returned for a file that is no YAML, or has something of YAML
	// that could be read in two ways: several documents, directives, anchors, aliases,
	// merge keys, tags, characters that some readers take for line ends.
	ErrSyntax = errors.New("not plain YAML")
	// ErrKey is returned for a key that is unknown, there twice, or missing.
	ErrKey = errors.New("wrong key")
	// ErrValue is returned for a value that is of the wrong type, or not one that
	// the key takes.
	ErrValue = errors.New("wrong value")
	// ErrContradiction is returned for a file that says two things about one
	// image or folder.
	ErrContradiction = errors.New("contradiction")
)

// Error says what is wrong with a policy file, and where.
type Error struct {
	Name   string // the file's, as it was given
	Line   int    // from 1
	Column int    // in characters, from 1
	Detail string // what is wrong; nothing in it can drive a terminal
	Err    error  // one of the Err... variables
}

// Error returns "NAME:LINE:COLUMN: text". The name is quoted if it holds
// anything but plain characters.
func (e *Error) Error() string {
	name := e.Name
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` || strings.ContainsAny(name, ": ") {
		name = quoted
	}
	return fmt.Sprintf("%s:%d:%d: %v: %s", name, e.Line, e.Column, e.Err, e.Detail)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
