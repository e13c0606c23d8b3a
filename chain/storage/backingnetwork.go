package storage

import (
	"fmt"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// networkSource returns a source on the network.
func networkSource(protocol, name string, hosts ...libvirtxml.DomainDiskSourceHost) *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: protocol, Name: name, Hosts: hosts}}
}

// tcpHost returns a server's address, with the protocol's default port if port
// is "".
func tcpHost(protocol, name, port string) (libvirtxml.DomainDiskSourceHost, error) {
	host := libvirtxml.DomainDiskSourceHost{Name: name}
	if name == "" {
		return host, fmt.Errorf("%w: its server has no name", ErrBacking)
	}
	p := NetworkProtocol(protocol)
	number := p.Port
	if port != "" {
		if p.fixedPort {
			return host, fmt.Errorf("%w: %s takes no port", ErrBacking, protocol)
		}
		var err error
		if number, err = portNumber(port); err != nil {
			return host, err
		}
	}
	if number != 0 {
		host.Port = strconv.Itoa(number)
	}
	return host, nil
}

// portNumber parses 1 to 65535. libvirt also accepts 0, which means the
// default port to libvirt and port 0 to QEMU.
func portNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: its port is not a number from 1 to 65535", ErrBacking)
	}
	return int(n), nil
}

// unixHost returns the address of a unix socket.
func unixHost(socket string) (libvirtxml.DomainDiskSourceHost, error) {
	return libvirtxml.DomainDiskSourceHost{Transport: "unix", Socket: socket}, absolute(socket)
}

// relativeOnNetwork joins a relative name to the directory of an overlay on
// the network. libvirt keeps the protocol, the servers and the volume
// (virStorageSourceNewFromBackingRelative, libvirt 9.0); other connection
// details in the XML stay as well.
func relativeOnNetwork(parent *libvirtxml.DomainDiskSource, name string) (*libvirtxml.DomainDiskSource, error) {
	n := *parent.Network
	p := NetworkProtocol(n.Protocol)
	switch {
	case !p.paths || n.Snapshot != nil:
		return nil, fmt.Errorf("%w: its names are not paths", ErrNoDirectory)
	case n.Query != "":
		// QEMU looks for the directory in the query too (path_combine, QEMU 7.2).
		return nil, fmt.Errorf("%w: the overlay's URL has a query", ErrDisputed)
	case p.curl && strings.ContainsAny(name, "%?#"):
		// libvirt escapes these in the URL, QEMU does not.
		return nil, fmt.Errorf("%w: a character in it has a meaning in URLs", ErrDisputed)
	}
	volume, path := "", n.Name
	if n.Protocol == "gluster" {
		slash := strings.IndexByte(n.Name, '/')
		if slash <= 0 {
			return nil, fmt.Errorf("%w: the overlay has no volume", ErrNoDirectory)
		}
		volume, path = n.Name[:slash+1], n.Name[slash+1:]
	}
	path = Directory(path) + name
	if volume != "" && climbsOut(path) {
		return nil, fmt.Errorf("%w: it points outside of the volume", ErrNoDirectory)
	}
	n.Name = volume + path
	if len(n.Name) > maxBacking {
		// The name may grow with each overlay.
		return nil, fmt.Errorf("%w: the joined name is longer than %d bytes", ErrBacking, maxBacking)
	}
	return &libvirtxml.DomainDiskSource{
		Network: &n, SSL: parent.SSL, Cookies: parent.Cookies, Readahead: parent.Readahead, Timeout: parent.Timeout,
	}, nil
}

// climbsOut reports whether a path has more ".." than folders before them.
func climbsOut(path string) bool {
	depth := 0
	for _, element := range strings.Split(path, "/") {
		switch element {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// writable refuses a source with a name that a domain XML cannot express.
func writable(src *libvirtxml.DomainDiskSource) error {
	var names []string
	switch {
	case src.File != nil:
		names = append(names, src.File.File)
	case src.Block != nil:
		names = append(names, src.Block.Dev)
	case src.Dir != nil:
		names = append(names, src.Dir.Dir)
	case src.Network != nil:
		n := src.Network
		if n.Name == "" && !NetworkProtocol(n.Protocol).unnamed {
			// libvirt requires the attribute, and libvirtxml v1.12001.0 does not write
			// an empty one.
			return fmt.Errorf("%w: it is empty", ErrUnrepresentable)
		}
		names = append(names, n.Name, n.Query)
		for _, host := range n.Hosts {
			names = append(names, host.Name, host.Socket)
		}
		if n.Snapshot != nil {
			names = append(names, n.Snapshot.Name)
		}
		if n.Config != nil {
			names = append(names, n.Config.File)
		}
	}
	if src.Cookies != nil {
		for _, cookie := range src.Cookies.Cookies {
			names = append(names, cookie.Name, cookie.Value)
		}
	}
	for _, name := range names {
		if !Representable(name) {
			return ErrUnrepresentable
		}
	}
	return nil
}
