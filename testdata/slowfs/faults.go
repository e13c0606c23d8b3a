package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// operations are the requests that are counted, delayed and may fail.
var operations = []string{"lookup", "getattr", "access", "readlink", "open", "read", "lseek", "opendir", "readdir", "statfs"}

// fault is the fault of one operation.
type fault struct {
	hang          bool
	interruptible bool          // of one that hangs
	errno         syscall.Errno // of one that does not
}

var faultInName = regexp.MustCompile(`hang-([a-z]+)|err-([a-z]+)-([A-Z0-9]+)`)

// faultsOf returns the faults that a name chooses, by operation. A misspelt
// fault is an error, because its test would prove nothing.
func faultsOf(name string) (map[string]fault, error) {
	var faults map[string]fault
	for _, m := range faultInName.FindAllStringSubmatch(name, -1) {
		operation, f := m[1], fault{hang: true, interruptible: strings.Contains(name, "intr")}
		if operation == "" {
			operation, f = m[2], fault{errno: errnoOf(m[3])}
		}
		if !slices.Contains(operations, operation) || !f.hang && f.errno == 0 {
			return nil, fmt.Errorf("%q: there is no fault %q", name, m[0])
		}
		if faults == nil {
			faults = make(map[string]fault)
		}
		faults[operation] = f
	}
	return faults, nil
}

// maxErrno is the highest error number of Linux on all architectures but MIPS.
const maxErrno = 133

// errnoOf returns the error with that name, or 0.
func errnoOf(name string) syscall.Errno {
	for errno := syscall.Errno(1); errno <= maxErrno; errno++ {
		if unix.ErrnoName(errno) == name {
			return errno
		}
	}
	return 0
}
