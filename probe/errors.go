package probe

import (
	"errors"
	"fmt"
)

// What can be wrong with an image. Every error that [Read] returns for the
// image's own sake is an [*Error] that wraps exactly one of these; an error of
// the reader comes back as it is, wrapped.
var (
	// ErrSignature: the image does not begin, or end, as its format must.
	ErrSignature = errors.New("signature is missing")
	// ErrTruncated: the image ends inside something that its header claims.
	ErrTruncated = errors.New("image is truncated")
	// ErrCorrupt: a field breaks the format's specification, or a bound that
	// QEMU enforces.
	ErrCorrupt = errors.New("header is corrupt")
	// ErrUnsupported: the header is sound, but asks for a version or a
	// feature that QEMU does not open.
	ErrUnsupported = errors.New("feature is not supported")
	// ErrLimit: the header asks for more than this package is willing to
	// read (2 MiB an image).
	ErrLimit = errors.New("header exceeds a limit")
	// ErrUnread: the format is none of those that are read here.
	ErrUnread = errors.New("format is not read")
)

// Error says what is wrong with an image and where. Its text quotes whatever
// came from the image.
type Error struct {
	Format Format // what the image was read as
	Field  string // the field at fault, in the words of the format's specification
	Offset int64  // where the field stands, in bytes from the image's start; -1 if nowhere
	Detail string // what is wrong with it; may be ""
	Err    error  // one of the Err... variables
	// Tolerated: QEMU opens such an image all the same, and makes of it what
	// another program may not.
	Tolerated bool
}

// Error returns one line: the format, what is wrong, the field and the detail.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s", e.Format, e.Err)
	if e.Field != "" {
		s += ": " + e.Field
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }
