package chain

import (
	"errors"
	"fmt"
	"strings"

	"libvirt.org/go/libvirtxml"
)

var (
	// ErrNotLocal: a backing string names something other than a local
	// path: a protocol, a URI, or a json: description.
	ErrNotLocal = errors.New("backing string does not name a local file")
	// ErrUnrepresentable: a name holds bytes that a domain XML cannot carry.
	ErrUnrepresentable = errors.New("name cannot be written in a domain XML")
	// ErrNoDirectory: a relative backing string, and the overlay is no local
	// file whose directory it could start from.
	ErrNoDirectory = errors.New("relative backing string below an overlay without a directory")
)

// ParseBacking returns the storage source that libvirt makes of the backing
// string s of an overlay that the XML names by parent.
//
// The rules are virStorageSourceNewFromBacking's, the same in libvirt 9.0 and
// 11.3: a string is no file name if a colon stands in it before any slash; a
// relative file name starts in the directory of the overlay as it is named,
// with no symlink resolved and nothing cleaned. The result is always a file
// source: only a look at the file can tell that it is a block device.
//
// Errors wrap [ErrNotLocal], [ErrUnrepresentable] or [ErrNoDirectory].
func ParseBacking(s string, parent *libvirtxml.DomainDiskSource) (*libvirtxml.DomainDiskSource, error) {
	if !looksLikeFile(s) {
		return nil, fmt.Errorf("%w: %q", ErrNotLocal, redact(s))
	}
	if !representable(s) {
		return nil, fmt.Errorf("%w: %q", ErrUnrepresentable, s)
	}
	if strings.HasPrefix(s, "/") {
		return localSource(s, false), nil
	}
	overlay, ok := LocalPath(parent)
	if !ok || !strings.HasPrefix(overlay, "/") {
		return nil, fmt.Errorf("%w: %q", ErrNoDirectory, s)
	}
	return localSource(directory(overlay)+s, false), nil
}

// looksLikeFile is virStorageIsFile of libvirt and path_has_protocol of QEMU:
// a colon in front of the first slash makes a protocol.
func looksLikeFile(s string) bool {
	colon := strings.IndexByte(s, ':')
	slash := strings.IndexByte(s, '/')
	return colon < 0 || slash >= 0 && slash < colon
}

// directory is g_path_get_dirname of an absolute path, with the slash that
// joins it to a name: "/a//b" gives "/a/", "/b" gives "/".
func directory(path string) string {
	dir := strings.TrimRight(path[:strings.LastIndexByte(path, '/')+1], "/")
	return dir + "/"
}

// redact keeps the protocol of a backing string that is no file name and drops
// the rest, which may hold a password.
func redact(s string) string {
	return s[:strings.IndexByte(s, ':')+1] + "..."
}
