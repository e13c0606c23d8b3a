package report

import (
	"fmt"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
)

// sourceOf names a source by the attributes that libvirt's XML has for it. Credentials are no
// part of it, and of a query, which may be one, it says only that there is one.
func sourceOf(src *libvirtxml.DomainDiskSource) Source {
	s := kindOf(src)
	if src == nil {
		return s
	}
	if part, ok := storage.SliceOf(src); ok {
		s.Slice = &Slice{part.Offset, part.Size}
	}
	return s
}

// kindOf is sourceOf without the slice.
func kindOf(src *libvirtxml.DomainDiskSource) Source {
	switch {
	case src == nil:
		return Source{}
	case src.File != nil && src.File.FDGroup != "":
		return Source{Type: "file", FDGroup: src.File.FDGroup}
	case src.File != nil:
		return Source{Type: "file", File: src.File.File}
	case src.Block != nil:
		return Source{Type: "block", Dev: src.Block.Dev}
	case src.Dir != nil:
		return Source{Type: "dir", Dir: src.Dir.Dir}
	case src.Network != nil:
		return networkOf(src.Network)
	case src.Volume != nil:
		return Source{Type: "volume", Pool: src.Volume.Pool, Volume: src.Volume.Volume}
	case src.NVME != nil:
		return nvmeOf(src.NVME.PCI)
	case src.VHostUser != nil:
		return Source{Type: "vhostuser"}
	case src.VHostVDPA != nil:
		return Source{Type: "vhostvdpa", Dev: src.VHostVDPA.Dev}
	}
	return Source{}
}

func networkOf(n *libvirtxml.DomainDiskSourceNetwork) Source {
	name := n.Name
	s := Source{Type: "network", Protocol: n.Protocol, Name: &name}
	if n.Query != "" {
		s.Query = "..."
	}
	if n.Snapshot != nil {
		s.Snapshot = n.Snapshot.Name
	}
	if n.Config != nil {
		s.Config = n.Config.File
	}
	for _, h := range n.Hosts {
		s.Hosts = append(s.Hosts, SourceHost{h.Transport, h.Name, h.Port, h.Socket})
	}
	return s
}

// nvmeOf names a device as lspci does.
func nvmeOf(pci *libvirtxml.DomainDiskSourceNVMEPCI) Source {
	s := Source{Type: "nvme"}
	if pci == nil {
		return s
	}
	s.Namespace = pci.Namespace
	if a := pci.Address; a != nil {
		s.Address = fmt.Sprintf("%04x:%02x:%02x.%x", value(a.Domain), value(a.Bus), value(a.Slot), value(a.Function))
	}
	return s
}

// value is what a number is that may be left out.
func value(n *uint) uint {
	if n == nil {
		return 0
	}
	return *n
}

// shownName is the name of an image that --trust takes; of one that has no such name it is made
// of what the XML says, without being a name for anything.
func shownName(src *libvirtxml.DomainDiskSource) string {
	if name := storage.ShownName(src); name != "" {
		return name
	}
	switch s := kindOf(src); s.Type {
	case "file":
		return "fdgroup:" + s.FDGroup
	case "dir":
		return s.Dir
	case "volume":
		return s.Pool + "/" + s.Volume
	case "nvme":
		return fmt.Sprintf("nvme:%s/%d", s.Address, s.Namespace)
	case "vhostvdpa":
		return s.Dev
	default:
		return s.Type
	}
}

// sourceKey tells images that were not opened apart: by all that says where an image is. It is never shown, as
// it may hold a secret.
func sourceKey(src *libvirtxml.DomainDiskSource) string {
	part := ""
	if s, ok := storage.SliceOf(src); ok {
		part = fmt.Sprintf("\x00%d %d", s.Offset, s.Size)
	}
	if path, local := storage.LocalPath(src); local {
		return path + part
	}
	var key strings.Builder
	// No path begins like that.
	fmt.Fprintf(&key, "\x00%s%s", storage.Name(src), part)
	switch {
	case src.Network == nil:
		key.WriteString(storage.Fragment(src, "source"))
	default:
		protocol := storage.NetworkProtocol(src.Network.Protocol)
		for _, h := range src.Network.Hosts {
			port, transport := h.Port, h.Transport
			if port == "" || port == "0" {
				port = protocol.DefaultPort()
			}
			if transport == "tcp" {
				transport = "" // which is the default
			}
			fmt.Fprintf(&key, "\x00%q %q %q %q", transport, h.Name, port, h.Socket)
		}
	}
	return key.String()
}
