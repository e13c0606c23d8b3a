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
	ErrBacking = errors.New("libvirt cannot parse the backing string")
	// ErrCredentials: a backing string contains a user name, a password or a
	// reference to a secret. libvirt drops some of these and leaves the chain to
	// QEMU for others; a domain XML refers to secrets and never contains them.
	ErrCredentials = errors.New("backing string contains credentials")
	// ErrUnmapped: a backing string has an option that libvirt silently drops,
	// such as the tls-creds of an nbd server.
	ErrUnmapped = errors.New("backing string has an option that the domain XML cannot express")
	// ErrDisputed: libvirt and QEMU read a backing string differently.
	ErrDisputed = errors.New("libvirt and QEMU read the backing string differently")
	// ErrRelative: a backing string contains the relative path of a file, folder
	// or socket, which no program resolves from the image's directory.
	ErrRelative = errors.New("relative path inside a backing string")
	// ErrDuplicate: a backing string gives one option twice, or as a value
	// and as an object.
	ErrDuplicate = errors.New("backing string gives an option twice")
	// ErrDuplicateKey and ErrNotANumber: a json: description has a key twice, or
	// NaN or Infinity as a number. QEMU and libvirt before 10.8 refuse both.
	ErrDuplicateKey = fmt.Errorf("%w in JSON", ErrDuplicate)
	ErrNotANumber   = fmt.Errorf("%w: it has NaN or Infinity as a number", ErrBacking)
	// ErrNoPool: an rbd image without its pool, or a gluster file without its
	// volume. libvirt cannot start a guest with either.
	ErrNoPool = errors.New("backing string lacks a pool and image, or a volume and file")
	// ErrUnrepresentable: a name contains bytes that a domain XML cannot express,
	// is empty, or has a slash where the XML splits it into two attributes.
	ErrUnrepresentable = errors.New("name cannot be written in a domain XML")
	// ErrNoDirectory: a backing string is relative, and the overlay has no
	// directory.
	ErrNoDirectory = errors.New("relative backing string of an overlay without a directory")
)

// maxBacking bounds a backing string, in bytes. qcow2 allows 1023; package
// probe bounds QED and VMDK, and Linux has PATH_MAX.
const maxBacking = 4096

// ParseBacking returns the storage source that libvirt makes from the backing
// string s (at most 4096 bytes) of an overlay with the source parent.
//
// The rules are those of virStorageSourceNewFromBacking, the same in libvirt
// 9.0 and 11.3. A string with a colon before its first slash is not a file
// name: it is fat:DIRECTORY, a json: description, a URI, or the older form of
// nbd: or rbd:. A relative file name is joined to the overlay's directory,
// without resolving symlinks or cleaning the path. For an overlay on the
// network with a path as its name, the source keeps the overlay's server; the
// joined name may have 4096 bytes too. ParseBacking does not touch the file: a
// file source may be a block device. It fills in the default ports, as libvirt
// does. The namespace of an rbd image becomes part of its name,
// "pool/namespace/image", which libvirt reads since 11.6.
//
// ParseBacking refuses strings that libvirt would silently read as something
// else. Errors wrap one of [ErrBacking], [ErrCredentials], [ErrUnmapped],
// [ErrDisputed], [ErrRelative], [ErrDuplicate], [ErrNoPool],
// [ErrUnrepresentable] and [ErrNoDirectory]. They show file names, but only
// the protocol and the names of known options of other strings.
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
// a colon before the first slash ends a protocol.
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

// Directory is g_path_get_dirname with a trailing slash: "/a//b" gives "/a/",
// "/b" gives "/". For a name without a slash, which exists only on the
// network, it is "".
func Directory(path string) string {
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 {
		return ""
	}
	return strings.TrimRight(path[:slash+1], "/") + "/"
}

// parseFAT parses the part after "fat:". QEMU allows options before the
// directory and splits at the last colon, libvirt reads all of it as the
// directory (QEMU 7.2, libvirt 9.0).
func parseFAT(directory string) (*libvirtxml.DomainDiskSource, error) {
	if strings.Contains(directory, ":") {
		return nil, fmt.Errorf("%w: a colon in the directory name", ErrDisputed)
	}
	if err := absolute(directory); err != nil {
		return nil, err
	}
	return &libvirtxml.DomainDiskSource{Dir: &libvirtxml.DomainDiskSourceDir{Dir: directory}}, nil
}

// absolute refuses a relative or empty path inside a backing string.
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
// or contain or name a secret (qapi/block-core.json, QEMU 7.2 and 10.0), and
// those that rbd: strings pass to Ceph.
var credentials = []string{
	"user", "username", "password", "password-secret",
	"proxy-username", "proxy-password", "proxy-password-secret",
	"cookie-secret", "key-secret", "=keyvalue-pairs",
	"id", "key", "keyring", "keyfile",
}

// known are the other options that QEMU reads and libvirt drops. Errors may
// show them; another name may be a secret in the wrong place.
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
