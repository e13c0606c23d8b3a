package storage

import (
	"net/url"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// Name returns the name by which an operator states something about an image:
// the path of a local one, and of one on the network a URI without
// credentials: "nbd://host:10809/export",
// "nbd+unix:///export?socket=/run/nbd", "https://host:443/image.qcow2", and
// for protocols without URIs of their own likewise "rbd://host/pool/image". The
// port is there even if it is the protocol's own, several hosts are separated
// by commas, and the configuration of a Ceph cluster stands last:
// "rbd:///pool/image?conf=/etc/ceph/a.conf". It is "" for every other source.
//
// The query of a URL is a part of the name, since it may choose the image; it
// may also be a secret, so a Name is not for showing.
func Name(src *libvirtxml.DomainDiskSource) string {
	if path, ok := LocalPath(src); ok {
		return path
	}
	if src == nil || src.Network == nil {
		return ""
	}
	n := src.Network
	name := url.URL{Scheme: n.Protocol, Path: "/" + n.Name, RawQuery: n.Query}
	switch p := networkProtocols[n.Protocol]; {
	case n.Name == "":
		name.Path = ""
	case p.curl && strings.HasPrefix(n.Name, "/"):
		// libvirt puts a slash in front only where there is none
		// (qemuBlockStorageSourceGetURI, 9.0).
		name.Path = n.Name
	}
	if n.Config != nil && n.Config.File != "" {
		name.RawQuery = "conf=" + n.Config.File
	}
	var hosts []string
	for _, h := range n.Hosts {
		switch {
		case h.Transport == "unix":
			name.Scheme = n.Protocol + "+unix"
			name.Path = "/" + n.Name
			name.RawQuery = "socket=" + h.Socket
		case port(n.Protocol, h) != "":
			hosts = append(hosts, bracketed(h.Name)+":"+port(n.Protocol, h))
		default:
			hosts = append(hosts, bracketed(h.Name))
		}
	}
	name.Host = strings.Join(hosts, ",")
	if n.Snapshot != nil && n.Snapshot.Name != "" {
		name.Path += "@" + n.Snapshot.Name
	}
	return name.String()
}

// port returns the port of a host, which is the protocol's own where the XML
// says none, or 0 (virStorageSourceNetworkAssignDefaultPorts, 9.0); "" if it has
// none.
func port(protocol string, h libvirtxml.DomainDiskSourceHost) string {
	if h.Port != "" && h.Port != "0" {
		return h.Port
	}
	if own := networkProtocols[protocol].port; own != 0 {
		return strconv.Itoa(own)
	}
	return ""
}

// ShownName is the name of an image for people: of a query, which may hold a
// secret, they see that there is one.
func ShownName(src *libvirtxml.DomainDiskSource) string {
	if src == nil || src.Network == nil || src.Network.Query == "" {
		return Name(src)
	}
	shown, network := *src, *src.Network
	network.Query = "..."
	shown.Network = &network
	return Name(&shown)
}

// bracketed puts an IPv6 address in brackets, as a URI has it. (Package net
// does so too, and costs a start of the program a quarter more.)
func bracketed(host string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "[" + host + "]"
	}
	return host
}

// Printable hides what may hold a password: of a name that is no file, only
// the protocol is shown.
func Printable(name string) string {
	if LooksLikeFile(name) {
		return name
	}
	return redact(name)
}

// Shown returns what people may see of the name that a header has for another
// image: all of it, unless it has a protocol and holds a password, or may for
// all that can be told; then the protocol alone.
func Shown(name string) string {
	src, err := ParseBacking(name, nil)
	if err != nil || src.Cookies != nil || src.Network != nil && src.Network.Query != "" {
		return Printable(name)
	}
	return name
}
