// Package libvirt has the versions of libvirt and QEMU, and every behaviour
// that differs between them: which parts of a domain XML they understand, and
// what they do with a backing chain that the XML does not state. Each is one
// [Fact], and only here.
package libvirt

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Version is a version of libvirt or QEMU. The zero Version is unknown.
type Version struct{ Major, Minor, Release int }

// ParseVersion reads X.Y or X.Y.Z, each number at most 999, as libvirt counts
// them (LIBVIR_CHECK_VERSION).
func ParseVersion(s string) (Version, error) {
	words := strings.Split(s, ".")
	if len(words) != 2 && len(words) != 3 {
		return Version{}, fmt.Errorf("%q is not a version of libvirt (want X.Y or X.Y.Z)", s)
	}
	var numbers [3]int
	for i, word := range words {
		n, err := strconv.ParseUint(word, 10, 16)
		if err != nil || n > 999 {
			return Version{}, fmt.Errorf("%q is not a version of libvirt (want X.Y or X.Y.Z)", s)
		}
		numbers[i] = int(n)
	}
	v := Version{numbers[0], numbers[1], numbers[2]}
	if v == (Version{}) {
		return Version{}, fmt.Errorf("%q is not a version of libvirt", s)
	}
	return v, nil
}

// Known reports whether v is not the zero Version.
func (v Version) Known() bool { return v != Version{} }

// Compare returns -1, 0 or 1 for v being older than w, the same, or newer.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Release, w.Release))
}

// Before reports whether v is older than w.
func (v Version) Before(w Version) bool { return v.Compare(w) < 0 }

// String returns X.Y.Z, or "unknown".
func (v Version) String() string {
	if !v.Known() {
		return "unknown"
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Release)
}
