package nbd

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
)

// What can be wrong besides the connection, whose errors come back wrapped. An
// export that the server does not have is an [fs.ErrNotExist], one that it does
// not give away an [fs.ErrPermission].
var (
	// ErrProtocol: the server does not keep to the protocol.
	ErrProtocol = errors.New("the server breaks the NBD protocol")
	// ErrUnsupported: the server wants what this package does not have: TLS,
	// or a handshake from before NBD_OPT_GO (QEMU before 2.10).
	ErrUnsupported = errors.New("the server does not speak NBD as it is read here")
	// ErrServer: the server reports an error of its own.
	ErrServer = errors.New("the server reports an error")
)

// maxMessage is how much of a server's message is quoted, in bytes.
const maxMessage = 200

// quote makes a server's message safe to print.
func quote(message []byte) string {
	if len(message) > maxMessage {
		return strconv.Quote(string(message[:maxMessage])) + "..."
	}
	return strconv.Quote(string(message))
}

// The replies to an option that are errors.
const (
	repErrUnsup    = 1<<31 + 1
	repErrPolicy   = 1<<31 + 2
	repErrPlatform = 1<<31 + 4
	repErrTLSReqd  = 1<<31 + 5
	repErrUnknown  = 1<<31 + 6
	repErrShutdown = 1<<31 + 7
)

// optionError is what the server said instead of going on.
func optionError(reply uint32, message []byte) error {
	said := ""
	if len(message) > 0 {
		said = ": " + quote(message)
	}
	switch reply {
	case repErrUnknown:
		return fmt.Errorf("the server has no such export%s: %w", said, fs.ErrNotExist)
	case repErrPolicy:
		return fmt.Errorf("the server does not give the export away%s: %w", said, fs.ErrPermission)
	case repErrTLSReqd:
		return fmt.Errorf("%w: it demands TLS%s", ErrUnsupported, said)
	case repErrUnsup, repErrPlatform:
		return fmt.Errorf("%w: it does not know NBD_OPT_GO%s", ErrUnsupported, said)
	case repErrShutdown:
		return fmt.Errorf("%w: it is shutting down%s", ErrServer, said)
	}
	return fmt.Errorf("%w: reply %#x to NBD_OPT_GO%s", ErrServer, reply, said)
}

// readErrors are the protocol's error values, of which EPERM, EIO and EINVAL
// are what servers answer to reads.
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
