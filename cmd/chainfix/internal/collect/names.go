package collect

import (
	"fmt"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// shownName returns the name of an image as --trust takes it. If it has no such name, the
// result describes it by its XML and is for display only.
func shownName(src *libvirtxml.DomainDiskSource) string {
	if name := storage.ShownName(src); name != "" {
		return name
	}
	switch s := report.SourceOf(src); s.Type {
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

// sourceKey identifies images that were not opened, by everything that says where an image is. It is never
// shown, because it may contain a secret.
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
