package remote

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
)

// errHosts: libvirt starts no guest with another number of hosts, except that
// of iscsi's it takes the first (9.0).
var errHosts = errors.New("a source of this protocol has exactly one host")

// tcp returns the name and the port of a host.
func tcp(protocol string, h libvirtxml.DomainDiskSourceHost) (name, port string, err error) {
	if h.Transport != "" && h.Transport != "tcp" {
		return "", "", fmt.Errorf("transport %s: %w", strconv.Quote(h.Transport), storage.ErrNotReadable)
	}
	name = h.Name
	if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
		name = name[1 : len(name)-1]
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7F || strings.ContainsRune(`/\?#@,[]"`, r) }) {
		return "", "", fmt.Errorf("%s is no name of a host", strconv.Quote(h.Name))
	}
	if port = h.Port; port == "" {
		// rbd has no default port, which is 0 to libvirt.
		return name, strconv.Itoa(storage.NetworkProtocol(protocol).Port), nil
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("%s is no port", strconv.Quote(port))
	}
	return name, port, nil
}

// location is the URL of a source as libvirt hands it to QEMU
// (qemuBlockStorageSourceGetURI, 9.0).
func location(n *libvirtxml.DomainDiskSourceNetwork) (*url.URL, error) {
	if len(n.Hosts) != 1 {
		return nil, errHosts
	}
	name, port, err := tcp(n.Protocol, n.Hosts[0])
	if err != nil {
		return nil, err
	}
	u := &url.URL{Scheme: n.Protocol, Host: net.JoinHostPort(name, port), Path: n.Name}
	if n.Name != "" && !strings.HasPrefix(n.Name, "/") {
		u.Path = "/" + n.Name
	}
	if storage.NetworkProtocol(n.Protocol).Query {
		// Of other protocols libvirt does not read the query.
		u.RawQuery = n.Query
	}
	if strings.ContainsFunc(u.RawQuery, func(r rune) bool { return r <= ' ' || r == '#' || r >= 0x7F }) {
		return nil, errors.New("its query is not encoded")
	}
	return u, nil
}
