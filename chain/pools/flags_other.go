//go:build !unix

package pools

// The flags of flags_unix.go are not known here, nor are FIFOs and devices that
// are opened like files.
const dontWait, onlyFolder = 0, 0
