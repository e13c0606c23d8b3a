package report

import (
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
)

// SourceOf names a source by its attributes in libvirt's XML. It contains no credentials, and
// only marks that there is a query, which may be one.
func SourceOf(src *libvirtxml.DomainDiskSource) Source {
	s := kindOf(src)
	if src == nil {
		return s
	}
	if part, ok := storage.SliceOf(src); ok {
		s.Slice = &Slice{part.Offset, part.Size}
	}
	return s
}

// kindOf is SourceOf without the slice.
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

// value returns the value of an optional number.
func value(n *uint) uint {
	if n == nil {
		return 0
	}
	return *n
}
