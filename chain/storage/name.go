package storage

import (
	"net/url"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// Name returns the key of an image, for comparison and for the operator's
// statements: its path if it is local, or a URI without credentials if it is
// on the network: "nbd://host:10809/export",
// "nbd+unix:///export?socket=/run/nbd", "https://host:443/image.qcow2", and
// for protocols without URIs in the same style "rbd://host/pool/image". The
// URI always has the port, separates hosts by commas, and ends with the
// configuration file of a Ceph cluster:
// "rbd:///pool/image?conf=/etc/ceph/a.conf". It is "" for every other source.
//
// The query of a URL is a part of the name, since it may choose the image; it
// may also be a secret, so a Name is never shown: see [Describe] and
// [ShownName].
func Name(src *libvirtxml.DomainDiskSource) string {
	if path, ok := LocalPath(src); ok {
		return path
	}
	if src == nil || src.Network == nil {
		return ""
	}
	n := src.Network
	name := url.URL{Scheme: n.Protocol, Path: "/" + n.Name, RawQuery: n.Query}
	switch p := NetworkProtocol(n.Protocol); {
	case n.Name == "":
		name.Path = ""
	case p.curl && strings.HasPrefix(n.Name, "/"):
		// libvirt adds a slash only if the name does not begin with one
		// (qemuBlockStorageSourceGetURI, libvirt 9.0).
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

// port returns the port of a host: the protocol's default if the XML has none
// or 0 (virStorageSourceNetworkAssignDefaultPorts, libvirt 9.0); "" if the
// protocol has no ports.
func port(protocol string, h libvirtxml.DomainDiskSourceHost) string {
	if h.Port != "" && h.Port != "0" {
		return h.Port
	}
	return NetworkProtocol(protocol).DefaultPort()
}

// bracketed puts an IPv6 address in brackets, as in a URI. (Package net can do
// this too, but makes the program's start a quarter slower.)
func bracketed(host string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "[" + host + "]"
	}
	return host
}

// ShownName is the [Name] of an image for somebody who has to type it. The
// query, which may contain a secret, is replaced by a placeholder.
func ShownName(src *libvirtxml.DomainDiskSource) string {
	if src == nil || src.Network == nil || src.Network.Query == "" {
		return Name(src)
	}
	shown, network := *src, *src.Network
	network.Query = "..."
	shown.Network = &network
	return Name(&shown)
}

// Describe returns a source for a sentence in a message: its quoted path, or
// its kind and quoted name, never credentials.
func Describe(src *libvirtxml.DomainDiskSource) string {
	if path, ok := LocalPath(src); ok {
		return strconv.Quote(path)
	}
	switch {
	case src == nil:
		return "an empty source"
	case src.File != nil && src.File.FDGroup != "":
		return "the descriptor group " + strconv.Quote(src.File.FDGroup)
	case src.Network != nil:
		return "the " + strconv.Quote(src.Network.Protocol) + " source " + strconv.Quote(src.Network.Name)
	case src.Volume != nil:
		return "the volume " + strconv.Quote(src.Volume.Volume) + " of the pool " + strconv.Quote(src.Volume.Pool)
	case src.Dir != nil:
		return "the directory " + strconv.Quote(src.Dir.Dir)
	case src.NVME != nil:
		return "an nvme device"
	case src.VHostUser != nil, src.VHostVDPA != nil:
		return "a vhost device"
	}
	return "an empty source"
}

// Printable returns a name from a header or a statement for messages: a file
// name in full; of any other name, which may contain a password, only the
// protocol, if it looks like one.
func Printable(name string) string {
	if LooksLikeFile(name) {
		return name
	}
	protocol, _, _ := strings.Cut(name, ":")
	if len(protocol) > 16 || strings.Trim(protocol, letters+digits+"+-._") != "" {
		return "..."
	}
	return protocol + ":..."
}

// Shown is [Printable] for an operator who asked for this name: a name with a
// protocol is shown in full too, if it certainly contains no password.
func Shown(name string) string {
	src, err := ParseBacking(name, nil)
	if err != nil || src.Cookies != nil || src.Network != nil && src.Network.Query != "" {
		return Printable(name)
	}
	return name
}
