//go:build unix

package pools

import "golang.org/x/sys/unix"

// Flags to open a file with, besides those of package os, which adds O_CLOEXEC.
const (
	// dontWait: not for the other end of a FIFO, nor for a terminal to control.
	dontWait = unix.O_NONBLOCK | unix.O_NOCTTY
	// onlyFolder fails on everything else before a driver hears of it.
	onlyFolder = unix.O_DIRECTORY
)
