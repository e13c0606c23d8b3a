package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// operations are the requests that are counted, late and faulty.
var operations = []string{"lookup", "getattr", "access", "readlink", "open", "read", "lseek", "opendir", "readdir", "statfs"}

// fault is what a name says of one operation.
type fault struct {
	hang          bool
	interruptible bool          // of one that hangs
	errno         syscall.Errno // of one that does not
}

var faultInName = regexp.MustCompile(`hang-([a-z]+)|err-([a-z]+)-([A-Z0-9]+)`)

// faultsOf returns the faults that a name chooses, by operation. A fault that is
// misspelt would be a test that shows nothing, and is an error.
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

// maxErrno is the highest number that Linux has for an error, on any of its
// architectures but MIPS.
const maxErrno = 133

// errnoOf returns the error of that name, 0 if there is none.
func errnoOf(name string) syscall.Errno {
	for errno := syscall.Errno(1); errno <= maxErrno; errno++ {
		if unix.ErrnoName(errno) == name {
			return errno
		}
	}
	return 0
}
