//go:build !unix

package pools

// The flags of flags_unix.go do not exist here, nor do FIFOs and devices that
// are opened like files.
const dontWait, onlyFolder = 0, 0
