package probe

import (
	"errors"
	"fmt"
)

// Errors about an image. Every error of [Read] about the image is an [*Error]
// that wraps exactly one of these; it wraps an error of the reader otherwise.
var (
	// ErrSignature: the image does not have the signature of the format.
	ErrSignature = errors.New("signature is missing")
	// ErrTruncated: the image ends before something that its header refers to.
	ErrTruncated = errors.New("image is truncated")
	// ErrCorrupt: a field violates the format's specification, or a limit of
	// QEMU.
	ErrCorrupt = errors.New("header is corrupt")
	// ErrUnsupported: the header is valid, but requires a version or a feature
	// that QEMU does not support.
	ErrUnsupported = errors.New("feature is not supported")
	// ErrLimit: the header requires reading more than this package allows (2 MiB
	// of an image).
	ErrLimit = errors.New("header exceeds a limit")
	// ErrUnread: this package does not know the format.
	ErrUnread = errors.New("format is not read")
)

// Error says what is wrong with an image, and where. Its text quotes all data
// from the image.
type Error struct {
	Format Format // the format as which the image was read
	Field  string // the wrong field, as named in the format's specification
	Offset int64  // offset of the field in the image, in bytes; -1 for none
	Detail string // what is wrong with it; may be ""
	Err    error  // one of the Err... variables
	// Tolerated: QEMU opens such an image anyway, but other programs may read it
	// differently.
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
