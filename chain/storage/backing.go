package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"
)

var (
	// ErrBacking: libvirt refuses the backing string, now or when the guest
	// starts: an unknown protocol, a malformed address, a JSON driver other
	// than those of libvirt's list.
	ErrBacking = errors.New("libvirt can make nothing of the backing string")
	// ErrCredentials: a backing string holds a user name, a password or a
	// reference to a secret. libvirt drops some of these and leaves the chain
	// to QEMU for others; a domain XML names secrets and never holds them.
	ErrCredentials = errors.New("backing string holds credentials")
	// ErrUnmapped: a backing string says something that libvirt silently
	// drops, such as the tls-creds of an nbd server.
	ErrUnmapped = errors.New("backing string says what has no place in the domain XML")
	// ErrDisputed: libvirt and QEMU read a backing string differently.
	ErrDisputed = errors.New("libvirt and QEMU read the backing string differently")
	// ErrRelative: a file, folder or socket inside a backing string is named
	// by a relative path, which no program joins to the image's directory.
	ErrRelative = errors.New("relative path inside a backing string")
	// ErrDuplicate: a backing string gives one option twice, or as a value
	// and as an object.
	ErrDuplicate = errors.New("backing string gives an option twice")
	// ErrDuplicateKey and ErrNotANumber: a json: description gives a key twice,
	// or NaN or Infinity for a number. QEMU refuses both, and libvirt before
	// 10.8.
	ErrDuplicateKey = fmt.Errorf("%w in JSON", ErrDuplicate)
	ErrNotANumber   = fmt.Errorf("%w: it has NaN or Infinity for a number", ErrBacking)
	// ErrNoPool: an rbd image without its pool, or a gluster file without its
	// volume. libvirt cannot start a guest with either.
	ErrNoPool = errors.New("backing string lacks a pool and image, or a volume and file")
	// ErrUnrepresentable: a name holds bytes that a domain XML cannot carry,
	// or is empty or divided where the XML needs it otherwise.
	ErrUnrepresentable = errors.New("name cannot be written in a domain XML")
	// ErrNoDirectory: a relative backing string, and the overlay is nothing
	// whose directory it could start from.
	ErrNoDirectory = errors.New("relative backing string below an overlay without a directory")
)

// maxBacking bounds a backing string, in bytes. qcow2 allows 1023; QED and VMDK
// are bounded by what is read of them, and Linux by PATH_MAX.
const maxBacking = 4096

// ParseBacking returns the storage source that libvirt makes of the backing
// string s, at most 4096 bytes, of an overlay that the XML names by parent.
//
// The rules are virStorageSourceNewFromBacking's, the same in libvirt 9.0 and
// 11.3. A string is no file name if a colon stands in it before any slash; it
// is then fat:DIRECTORY, a json: description, a URI, or the older form of nbd:
// or rbd:. A relative file name starts in the directory of the overlay as it is
// named, with no symlink resolved and nothing cleaned; below an overlay on the
// network, where names are paths there, it stays with the overlay's server, and
// what it makes with the directory has at most 4096 bytes too.
// Nothing is looked at: a file source may turn out to be a block device. The
// ports that libvirt fills in are filled in. The namespace of an rbd image
// becomes part of its name, "pool/namespace/image", which libvirt reads since
// 11.6.
//
// It is stricter than libvirt wherever that would quietly do something else
// than the string says. Errors wrap one of [ErrBacking], [ErrCredentials],
// [ErrUnmapped], [ErrDisputed], [ErrRelative], [ErrDuplicate], [ErrNoPool],
// [ErrUnrepresentable] and [ErrNoDirectory]. They show file names, and of every
// other string no more than its protocol and the names of known options.
func ParseBacking(s string, parent *libvirtxml.DomainDiskSource) (*libvirtxml.DomainDiskSource, error) {
	if len(s) > maxBacking {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrBacking, maxBacking)
	}
	src, err := parseBacking(s, parent)
	if err == nil {
		err = writable(src)
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", Printable(s), err)
	}
	return src, nil
}

func parseBacking(s string, parent *libvirtxml.DomainDiskSource) (*libvirtxml.DomainDiskSource, error) {
	if LooksLikeFile(s) {
		if strings.HasPrefix(s, "/") {
			return LocalSource(s, false), nil
		}
		return relativeTo(parent, s)
	}
	if directory, ok := strings.CutPrefix(s, "fat:"); ok {
		return parseFAT(directory)
	}
	if text, ok := strings.CutPrefix(s, "json:"); ok {
		return parseJSON(text)
	}
	if strings.Contains(s, "://") {
		return parseURI(s)
	}
	return parseColon(s)
}

// LooksLikeFile is virStorageIsFile of libvirt and path_has_protocol of QEMU:
// a colon in front of the first slash makes a protocol.
func LooksLikeFile(s string) bool {
	colon := strings.IndexByte(s, ':')
	slash := strings.IndexByte(s, '/')
	return colon < 0 || slash >= 0 && slash < colon
}

// relativeTo joins a relative file name to the directory of the overlay.
func relativeTo(parent *libvirtxml.DomainDiskSource, name string) (*libvirtxml.DomainDiskSource, error) {
	if overlay, ok := LocalPath(parent); ok && strings.HasPrefix(overlay, "/") {
		return LocalSource(Directory(overlay)+name, false), nil
	}
	if parent != nil && parent.Network != nil {
		return relativeOnNetwork(parent, name)
	}
	return nil, ErrNoDirectory
}

// Directory is g_path_get_dirname, with the slash that joins it to a name:
// "/a//b" gives "/a/", "/b" gives "/". Of a name without a slash, which only
// the network has, it is "".
func Directory(path string) string {
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 {
		return ""
	}
	return strings.TrimRight(path[:slash+1], "/") + "/"
}

// parseFAT reads what follows "fat:". QEMU takes options in front of the
// directory and cuts them off at the last colon, libvirt takes all for the
// directory (QEMU 7.2, libvirt 9.0).
func parseFAT(directory string) (*libvirtxml.DomainDiskSource, error) {
	if strings.Contains(directory, ":") {
		return nil, fmt.Errorf("%w: a colon in the directory's name", ErrDisputed)
	}
	if err := absolute(directory); err != nil {
		return nil, err
	}
	return &libvirtxml.DomainDiskSource{Dir: &libvirtxml.DomainDiskSourceDir{Dir: directory}}, nil
}

// absolute demands that a path inside a backing string is a full one.
func absolute(path string) error {
	if path == "" {
		return fmt.Errorf("%w: it has an empty path", ErrBacking)
	}
	if !strings.HasPrefix(path, "/") {
		return ErrRelative
	}
	return nil
}

// credentials are the options of QEMU's network drivers that identify a user,
// or hold or name a secret (qapi/block-core.json, QEMU 7.2 and 10.0), and those that
// rbd: strings hand to Ceph.
var credentials = []string{
	"user", "username", "password", "password-secret",
	"proxy-username", "proxy-password", "proxy-password-secret",
	"cookie-secret", "key-secret", "=keyvalue-pairs",
	"id", "key", "keyring", "keyfile",
}

// known are the other options that QEMU reads and libvirt drops. They may be
// shown; a name that is not among them may be a secret that has slipped.
var known = []string{
	"tls-creds", "tls-hostname", "reconnect-delay", "open-timeout",
	"namespace", "auth-client-required", "auth_supported", "auth_client_required", "encrypt",
	"initiator-name", "header-digest",
	"host_key_check", "host-key-check",
	"sslverify", "cookie", "readahead", "timeout",
	"debug", "logfile", "snapshot", "snap-id", "tag",
	"uid", "gid", "tcp-syn-count", "readahead-size", "page-cache-size", "pagecache",
	"numeric", "to", "ipv4", "ipv6", "keep-alive", "mptcp", "abstract", "tight",
	"locking", "aio", "aio-max-batch", "drop-cache", "x-check-cache-dropped", "pr-manager",
	"offset", "size", "file", "backing", "driver", "filename", "path", "socket",
	"host", "port", "server", "export", "url", "type", "lun",
	"node-name", "read-only", "auto-read-only", "discard", "cache", "detect-zeroes", "force-share",
}

// unmapped refuses an option that libvirt would drop.
func unmapped(option string) error {
	switch {
	case slices.Contains(credentials, option):
		return fmt.Errorf("%w: %q", ErrCredentials, option)
	case slices.Contains(known, option):
		return fmt.Errorf("%w: %q", ErrUnmapped, option)
	}
	return ErrUnmapped
}
