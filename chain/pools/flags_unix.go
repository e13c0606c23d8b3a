//go:build unix

package pools

import "golang.org/x/sys/unix"

// Flags to open a file with, besides those of package os, which adds O_CLOEXEC.
const (
	// dontWait: do not wait for the other end of a FIFO, and do not acquire a
	// controlling terminal.
	dontWait = unix.O_NONBLOCK | unix.O_NOCTTY
	// onlyFolder fails on anything but a folder before a driver is called.
	onlyFolder = unix.O_DIRECTORY
)
