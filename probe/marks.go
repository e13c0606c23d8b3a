package probe

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// mark has the tests for one signature of a format. A nil test finds nothing.
type mark struct {
	qemu    test // QEMU's probe function, on the first sector
	libvirt test // libvirt's table of formats, on the first 4 KiB

	// The rest is looked for elsewhere, or by neither program.
	iso  test // libvirt's, on the bytes at 32769
	head test // neither's, on the first sector
	tail test // neither's, on the last sector
}

// test looks for a signature in bytes of an image. A test that needs more
// bytes finds nothing.
type test func(b []byte) bool

// in returns t(b), or false for a nil test.
func (t test) in(b []byte) bool { return t != nil && t(b) }

func both(tests ...test) test {
	return func(b []byte) bool {
		return !slices.ContainsFunc(tests, func(t test) bool { return !t(b) })
	}
}

func either(tests ...test) test {
	return func(b []byte) bool {
		return slices.ContainsFunc(tests, func(t test) bool { return t(b) })
	}
}

func bytesAt(off int, want string) test {
	return func(b []byte) bool {
		return off+len(want) <= len(b) && string(b[off:off+len(want)]) == want
	}
}

func be32At(off int, want ...uint32) test {
	return func(b []byte) bool {
		return off+4 <= len(b) && slices.Contains(want, binary.BigEndian.Uint32(b[off:]))
	}
}

func be32AtLeast(off int, least uint32) test {
	return func(b []byte) bool {
		return off+4 <= len(b) && binary.BigEndian.Uint32(b[off:]) >= least
	}
}

func le32At(off int, want ...uint32) test {
	return func(b []byte) bool {
		return off+4 <= len(b) && slices.Contains(want, binary.LittleEndian.Uint32(b[off:]))
	}
}

// vmdkDescriptor finds the text descriptor of a VMDK image as QEMU does: lines
// of comment and lines of spaces may come first, and then a whole line must
// say version 1, 2 or 3. An empty line ends the search.
func vmdkDescriptor(b []byte) bool {
	for len(b) > 0 {
		switch b[0] {
		case '#':
			_, b, _ = bytes.Cut(b, []byte("\n"))
		case ' ':
			rest, ok := cutLineEnd(bytes.TrimLeft(b, " "))
			if !ok {
				return false
			}
			b = rest
		default:
			b, ok := bytes.CutPrefix(b, []byte("version="))
			if !ok || len(b) == 0 || b[0] < '1' || b[0] > '3' {
				return false
			}
			_, ok = cutLineEnd(b[1:])
			return ok
		}
	}
	return false
}

// cutLineEnd returns b without the LF or CRLF that it starts with.
func cutLineEnd(b []byte) (rest []byte, ok bool) {
	return bytes.CutPrefix(bytes.TrimPrefix(b, []byte("\r")), []byte("\n"))
}
