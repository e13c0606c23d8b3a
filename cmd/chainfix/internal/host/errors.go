package host

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var (
	// ErrURI is returned for a URI that names no libvirt of this machine's, or has
	// parts that [Connect] does not know.
	ErrURI = errors.New("not the URI of a libvirt on this machine")
	// ErrGone is returned once the connection to the daemon is lost: the daemon has
	// ended or has closed it, sent what is no answer, or the context of an
	// earlier call has ended. Whether the last call had an effect is unknown.
	ErrGone = errors.New("the connection to libvirt is lost")
	// ErrNoGuest is returned where libvirt has no persistent definition of a guest.
	ErrNoGuest = errors.New("no such guest")
	// ErrNoStored is returned where libvirt does not keep a snapshot, a checkpoint or
	// a saved state any more.
	ErrNoStored = errors.New("libvirt does not keep it any more")
	// errLost is returned where libvirt, which refuses a text, has forgotten what it was
	// for: as it does with a snapshot that it cannot write down, until it is
	// restarted (libvirt 9.0, qemuSnapshotCreateWriteMetadata).
	errLost = errors.New("libvirt has lost it")
	// ErrTooLong is returned for a text that is longer than libvirt's protocol, or
	// this package, takes.
	ErrTooLong = errors.New("too long")
	// ErrNoDefinitions is returned for a folder that has no definition of a guest.
	ErrNoDefinitions = errors.New("no definition of a guest (NAME.xml) is in the folder")
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

// maxMessage is how much of a message of libvirt's is kept, in bytes.
const maxMessage = 2000

// Error is libvirt's own answer that it did not do what it was asked. One with
// the code of VIR_ERR_NO_DOMAIN is an [ErrNoGuest].
type Error struct {
	Call    string // the function of libvirt's API, such as "virDomainDefineXMLFlags"
	Code    int    // virErrorNumber
	Message string // libvirt's words, as they came, but for a quotation of the XML; at most 2000 bytes
}

func newError(call string, code uint32, message string) *Error {
	if code == codeXMLDetail {
		// After the first line comes the line of the XML that libxml2 could
		// not read. There may be a password in it.
		message, _, _ = strings.Cut(message, "\n")
	}
	if len(message) > maxMessage {
		message = message[:maxMessage] + "..."
	}
	return &Error{Call: call, Code: int(code), Message: message}
}

// Error returns one line, with libvirt's words quoted.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: libvirt says %s (error %d)", e.Call, strconv.Quote(e.Message), e.Code)
}

// Is reports whether the error is target: [ErrNoGuest], or nothing.
func (e *Error) Is(target error) bool {
	return target == ErrNoGuest && e.Code == codeNoDomain
}

// isLibvirtError reports whether err is libvirt's own answer, about one guest
// alone, and not a lost connection.
func isLibvirtError(err error) bool {
	var e *Error
	return errors.As(err, &e) && !errors.Is(err, ErrNoGuest)
}

// hasCode reports whether err is libvirt's answer with one of the codes.
func hasCode(err error, codes ...int) bool {
	var e *Error
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}
