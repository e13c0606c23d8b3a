package host

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var (
	// ErrURI is returned for a URI of another machine or driver, or with parts
	// that [Connect] does not support.
	ErrURI = errors.New("not the URI of a libvirt on this machine")
	// ErrGone is returned after the connection to the daemon was lost: the daemon
	// ended, closed it or sent an invalid reply, or the context of an earlier
	// call ended. Whether the last call had an effect is unknown.
	ErrGone = errors.New("the connection to libvirt is lost")
	// ErrNoGuest is returned if libvirt has no persistent definition of a guest.
	ErrNoGuest = errors.New("no such guest")
	// ErrNoStored is returned if a snapshot, a checkpoint or a saved state no
	// longer exists.
	ErrNoStored = errors.New("it no longer exists")
	// errLost is returned if libvirt refused a text and no longer lists the
	// snapshot either: it drops a snapshot that it cannot store, until it is
	// restarted (libvirt 9.0, qemuSnapshotCreateWriteMetadata).
	errLost = errors.New("libvirt has lost it")
	// ErrTooLong is returned for a text that is too long for libvirt's protocol,
	// or for this package.
	ErrTooLong = errors.New("too long")
	// ErrNoDefinitions is returned for a folder without definitions of guests.
	ErrNoDefinitions = errors.New("the folder contains no definition of a guest (NAME.xml)")
	// ErrDefinition is returned for a file that is not the definition of a guest.
	ErrDefinition = errors.New("not the definition of a guest")
)

// Numbers of libvirt's errors (virErrorNumber, libvirt/virterror.h).
const (
	codeNoSupport        = 3
	codeXMLDetail        = 35
	codeRPC              = 39
	codeNoDomain         = 42
	codeNoStoragePool    = 49
	codeOperationInvalid = 55
	codeNoSnapshot       = 72
	codeUnsupported      = 84
	codeNoCheckpoint     = 103
)

// maxMessage bounds how much of a libvirt message is kept, in bytes.
const maxMessage = 2000

// Error is an error that libvirt returned. With the code VIR_ERR_NO_DOMAIN it
// is an [ErrNoGuest].
type Error struct {
	Call    string // the function of libvirt's API, such as "virDomainDefineXMLFlags"
	Code    int    // virErrorNumber
	Message string // libvirt's message without its quotation of the XML; at most 2000 bytes
}

func newError(call string, code uint32, message string) *Error {
	if code == codeXMLDetail {
		// The second line quotes the XML that libxml2 could not parse, which may
		// contain a password.
		message, _, _ = strings.Cut(message, "\n")
	}
	if len(message) > maxMessage {
		message = message[:maxMessage] + "..."
	}
	return &Error{Call: call, Code: int(code), Message: message}
}

// Error returns one line, with libvirt's message quoted.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: libvirt says %s (error %d)", e.Call, strconv.Quote(e.Message), e.Code)
}

// Is reports whether the error is [ErrNoGuest].
func (e *Error) Is(target error) bool {
	return target == ErrNoGuest && e.Code == codeNoDomain
}

// isLibvirtError reports whether libvirt returned err, about one guest, as
// opposed to a lost connection.
func isLibvirtError(err error) bool {
	var e *Error
	return errors.As(err, &e) && !errors.Is(err, ErrNoGuest)
}

// hasCode reports whether err is a libvirt error with one of the codes.
func hasCode(err error, codes ...int) bool {
	var e *Error
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}
