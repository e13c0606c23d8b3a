package nbd

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
)

// Errors besides those of the connection, which are wrapped. A missing export
// is an [fs.ErrNotExist], one that the server refuses an [fs.ErrPermission].
var (
	// ErrProtocol: the server violates the protocol.
	ErrProtocol = errors.New("the server violates the NBD protocol")
	// ErrUnsupported: the server requires TLS, or a handshake from before
	// NBD_OPT_GO (QEMU before 2.10), which this package does not support.
	ErrUnsupported = errors.New("the server requires an unsupported part of the NBD protocol")
	// ErrServer: the server reports an error.
	ErrServer = errors.New("the server reports an error")
)

// maxMessage bounds how much of a server's message is quoted, in bytes.
const maxMessage = 200

// quote makes a server's message safe to print.
func quote(message []byte) string {
	if len(message) > maxMessage {
		return strconv.Quote(string(message[:maxMessage])) + "..."
	}
	return strconv.Quote(string(message))
}

// Error replies to an option.
const (
	repErrUnsup    = 1<<31 + 1
	repErrPolicy   = 1<<31 + 2
	repErrPlatform = 1<<31 + 4
	repErrTLSReqd  = 1<<31 + 5
	repErrUnknown  = 1<<31 + 6
	repErrShutdown = 1<<31 + 7
)

// optionError returns the error for a server's error reply.
func optionError(reply uint32, message []byte) error {
	said := ""
	if len(message) > 0 {
		said = ": " + quote(message)
	}
	switch reply {
	case repErrUnknown:
		return fmt.Errorf("the server has no such export%s: %w", said, fs.ErrNotExist)
	case repErrPolicy:
		return fmt.Errorf("the server refuses access to the export%s: %w", said, fs.ErrPermission)
	case repErrTLSReqd:
		return fmt.Errorf("%w: it requires TLS%s", ErrUnsupported, said)
	case repErrUnsup, repErrPlatform:
		return fmt.Errorf("%w: it does not support NBD_OPT_GO%s", ErrUnsupported, said)
	case repErrShutdown:
		return fmt.Errorf("%w: it is shutting down%s", ErrServer, said)
	}
	return fmt.Errorf("%w: reply %#x to NBD_OPT_GO%s", ErrServer, reply, said)
}

// readErrors are the protocol's error values; servers answer reads with EPERM,
// EIO and EINVAL.
var readErrors = map[uint32]string{
	1: "EPERM", 5: "EIO", 12: "ENOMEM", 22: "EINVAL", 28: "ENOSPC", 75: "EOVERFLOW", 95: "ENOTSUP", 108: "ESHUTDOWN",
}

func readError(value uint32) error {
	name, ok := readErrors[value]
	if !ok {
		name = fmt.Sprintf("error %d", value)
	}
	if name == "EPERM" {
		return fmt.Errorf("%w: EPERM: %w", ErrServer, fs.ErrPermission)
	}
	return fmt.Errorf("%w: %s", ErrServer, name)
}
