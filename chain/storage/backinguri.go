package storage

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// parseURI reads SCHEME[+TRANSPORT]://HOST[:PORT][/PATH][?QUERY], as
// virStorageSourceParseBackingURI does with libxml2's parser (libvirt 9.0 and 11.3).
func parseURI(s string) (*libvirtxml.DomainDiskSource, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	name, transport, _ := strings.Cut(scheme, "+")
	p := NetworkProtocol(name)
	if !ok || p.Name == "" {
		return nil, fmt.Errorf("%w: its protocol is unknown", ErrBacking)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, rest := rest[:end], rest[end:]
	if strings.Contains(authority, "@") {
		return nil, ErrCredentials
	}
	rest, _, fragment := strings.Cut(rest, "#")
	if fragment {
		return nil, fmt.Errorf("%w: a fragment", ErrUnmapped)
	}
	rawPath, query, hasQuery := strings.Cut(rest, "?")
	path, err := uriPath(p, rawPath)
	if err != nil {
		return nil, err
	}
	if _, err := unescape(query); err != nil {
		return nil, err
	}

	src := networkSource(name, path)
	switch {
	case name == "rbd":
		// libvirt finds no pool in it, and QEMU does not support such a URI.
		return nil, ErrNoPool
	case name == "gluster" && !glusterName(path):
		return nil, ErrNoPool
	case transport == "unix" && p.unix:
		host, err := uriSocket(authority, query)
		if err != nil {
			return nil, err
		}
		src.Network.Hosts = append(src.Network.Hosts, host)
		return src, nil
	case transport == "rdma" && p.rdma, transport == "tcp", scheme == name:
	default:
		return nil, fmt.Errorf("%w: its transport is unknown", ErrBacking)
	}
	host, err := uriHost(name, authority)
	if err != nil {
		return nil, err
	}
	if transport == "rdma" {
		host.Transport = transport
	}
	src.Network.Hosts = append(src.Network.Hosts, host)
	if !hasQuery {
		return src, nil
	}
	if !p.Query {
		key, _, _ := strings.Cut(query, "=")
		return nil, unmapped(key)
	}
	if query == "" {
		return nil, fmt.Errorf("%w: its query is empty", ErrUnrepresentable)
	}
	src.Network.Query = query
	return src, nil
}

// uriPath returns the name that libvirt makes from a URI's path: without the
// first slash, and unescaped.
func uriPath(p Protocol, raw string) (string, error) {
	path, err := unescape(raw)
	if err != nil {
		return "", err
	}
	switch {
	case p.curl && strings.Contains(strings.ToLower(raw), "%2f"):
		return "", fmt.Errorf("%w: an escaped slash, which libvirt unescapes", ErrDisputed)
	case p.curl && strings.HasPrefix(path, "//"):
		return "", fmt.Errorf("%w: libvirt drops one of its first two slashes", ErrDisputed)
	case p.homes && !strings.HasPrefix(path, "//"):
		// To QEMU the path is absolute; libvirt passes one that is relative to the
		// user's home folder, or to nothing.
		return "", fmt.Errorf("%w: libvirt drops the slash of its path", ErrDisputed)
	}
	return strings.TrimPrefix(path, "/"), nil
}

// uriHost reads HOST[:PORT]. Escapes are refused: libvirt unescapes them, and
// the result could be read as other parts of the URL.
func uriHost(protocol, authority string) (libvirtxml.DomainDiskSourceHost, error) {
	malformed := fmt.Errorf("%w: it has no valid server", ErrBacking)
	name, port, hasPort := strings.Cut(authority, ":")
	if inner, ok := strings.CutPrefix(authority, "["); ok {
		var behind string
		if name, behind, ok = strings.Cut(inner, "]"); !ok {
			return libvirtxml.DomainDiskSourceHost{}, malformed
		}
		if ip, err := netip.ParseAddr(name); err != nil || !ip.Is6() || ip.Zone() != "" {
			return libvirtxml.DomainDiskSourceHost{}, malformed
		}
		if port, hasPort = strings.CutPrefix(behind, ":"); behind != "" && !hasPort {
			return libvirtxml.DomainDiskSourceHost{}, malformed
		}
	} else if strings.Trim(name, letters+digits+"-._~") != "" {
		return libvirtxml.DomainDiskSourceHost{}, malformed
	}
	if hasPort && port == "" {
		return libvirtxml.DomainDiskSourceHost{}, malformed
	}
	return tcpHost(protocol, name, port)
}

// uriSocket reads the query "socket=PATH". libvirt uses the rest of the string
// as the path; QEMU splits and unescapes it.
func uriSocket(authority, query string) (libvirtxml.DomainDiskSourceHost, error) {
	socket, ok := strings.CutPrefix(query, "socket=")
	if !ok || authority != "" {
		return libvirtxml.DomainDiskSourceHost{}, fmt.Errorf("%w: a unix transport needs a socket and cannot have a server", ErrBacking)
	}
	if strings.ContainsAny(socket, "%&;+") {
		return libvirtxml.DomainDiskSourceHost{}, fmt.Errorf("%w: an escape or a second parameter after socket=", ErrDisputed)
	}
	return unixHost(socket)
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// unescape unescapes a path or query. Like libxml2 it accepts only what RFC
// 3986 allows there.
func unescape(s string) (string, error) {
	plain, err := url.PathUnescape(s)
	if err != nil || strings.Trim(s, letters+digits+"-._~!$&'()*+,;=:@/?%") != "" {
		return "", fmt.Errorf("%w: it is not a URI", ErrBacking)
	}
	return plain, nil
}

// glusterName reports whether a name has a volume and a file in it.
func glusterName(name string) bool {
	slash := strings.IndexByte(name, '/')
	return slash > 0 && slash < len(name)-1
}
