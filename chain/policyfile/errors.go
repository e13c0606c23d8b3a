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
	// ErrSyntax is returned for a file that is not YAML, or uses a part of YAML
	// that readers may interpret differently: several documents, directives,
	// anchors, aliases, merge keys, tags, characters that some readers treat as
	// line ends.
	ErrSyntax = errors.New("not plain YAML")
	// ErrKey is returned for a key that is unknown, repeated, or missing.
	ErrKey = errors.New("wrong key")
	// ErrValue is returned for a value that has the wrong type, or that the key
	// does not allow.
	ErrValue = errors.New("wrong value")
	// ErrContradiction is returned for a file with two different entries about
	// one image or folder.
	ErrContradiction = errors.New("contradiction")
)

// Error says what is wrong with a policy file, and where.
type Error struct {
	Name   string // of the file, as given
	Line   int    // from 1
	Column int    // in characters, from 1
	Detail string // what is wrong; safe to print on a terminal
	Err    error  // one of the Err... variables
}

// Error returns "NAME:LINE:COLUMN: text". The name is quoted if it contains
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
