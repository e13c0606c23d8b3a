package storage

import (
	"net/url"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// Name returns the key of an image: the name by which an operator states
// something about it, and by which names are compared:
// the path of a local one, and of one on the network a URI without
// credentials: "nbd://host:10809/export",
// "nbd+unix:///export?socket=/run/nbd", "https://host:443/image.qcow2", and
// for protocols without URIs of their own likewise "rbd://host/pool/image". The
// port is there even if it is the protocol's own, several hosts are separated
// by commas, and the configuration of a Ceph cluster stands last:
// "rbd:///pool/image?conf=/etc/ceph/a.conf". It is "" for every other source.
//
// The query of a URL is a part of the name, since it may choose the image; it
// may also be a secret, so a Name is never shown to people: see [Describe] and
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
		// libvirt puts a slash in front only where there is none
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

// port returns the port of a host, which is the protocol's own where the XML
// says none, or 0 (virStorageSourceNetworkAssignDefaultPorts, libvirt 9.0); "" if it has
// none.
func port(protocol string, h libvirtxml.DomainDiskSourceHost) string {
	if h.Port != "" && h.Port != "0" {
		return h.Port
	}
	return NetworkProtocol(protocol).DefaultPort()
}

// bracketed puts an IPv6 address in brackets, as a URI has it. (Package net
// does so too, and costs a start of the program a quarter more.)
func bracketed(host string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "[" + host + "]"
	}
	return host
}

// ShownName is the [Name] of an image for people who are to type it: of a query,
// which may hold a secret, they see that there is one.
func ShownName(src *libvirtxml.DomainDiskSource) string {
	if src == nil || src.Network == nil || src.Network.Query == "" {
		return Name(src)
	}
	shown, network := *src, *src.Network
	network.Query = "..."
	shown.Network = &network
	return Name(&shown)
}

// Describe names a source for people in a sentence: by its quoted path, or its
// kind and quoted name. Credentials never appear.
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

// Printable is for people too, and for a name as it stands in a header or in a
// statement: a file name is shown whole, and of any other, which may hold a
// password, the protocol alone, if it looks like one.
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

// Shown is [Printable] for people who have asked for the very name: they see it
// whole even if it has a protocol, where it certainly holds no password.
func Shown(name string) string {
	src, err := ParseBacking(name, nil)
	if err != nil || src.Cookies != nil || src.Network != nil && src.Network.Query != "" {
		return Printable(name)
	}
	return name
}
