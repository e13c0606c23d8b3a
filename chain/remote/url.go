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

// errHosts: libvirt 9.0 does not start a guest with another number of hosts
// (for iscsi it uses the first).
var errHosts = errors.New("a source of this protocol must have exactly one host")

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
		return "", "", fmt.Errorf("%s is not a host name", strconv.Quote(h.Name))
	}
	if port = h.Port; port == "" {
		// rbd has no default port; libvirt uses 0.
		return name, strconv.Itoa(storage.NetworkProtocol(protocol).Port), nil
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("%s is not a port", strconv.Quote(port))
	}
	return name, port, nil
}

// location returns the URL that libvirt passes to QEMU for a source
// (qemuBlockStorageSourceGetURI, libvirt 9.0).
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
		// libvirt ignores the query of other protocols.
		u.RawQuery = n.Query
	}
	if strings.ContainsFunc(u.RawQuery, func(r rune) bool { return r <= ' ' || r == '#' || r >= 0x7F }) {
		return nil, errors.New("its query is not encoded")
	}
	return u, nil
}
