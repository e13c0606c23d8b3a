package remote

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
)

// blockdev returns the options of the protocol node that libvirt makes from a
// network source (qemuBlockStorageSourceGetBackendProps, 9.0), without those
// that do not change what is read.
func blockdev(src *libvirtxml.DomainDiskSource) (map[string]any, error) {
	n := src.Network
	node := map[string]any{"driver": n.Protocol}
	switch n.Protocol {
	case "ftp", "ftps":
		return node, curlOptions(node, src)
	case "ssh":
		return node, sshOptions(node, n)
	case "iscsi":
		return node, iscsiOptions(node, n)
	case "rbd":
		return node, rbdOptions(node, n)
	case "gluster":
		return node, glusterOptions(node, n)
	case "nfs":
		return node, nfsOptions(node, n)
	}
	return nil, fmt.Errorf("%s is not a protocol that QEMU reads: %w", strconv.Quote(n.Protocol), storage.ErrNotReadable)
}

func curlOptions(node map[string]any, src *libvirtxml.DomainDiskSource) error {
	u, err := location(src.Network)
	if err != nil {
		return err
	}
	node["url"] = u.String()
	if src.SSL != nil && src.SSL.Verify == "no" {
		node["sslverify"] = false
	}
	return nil
}

func sshOptions(node map[string]any, n *libvirtxml.DomainDiskSourceNetwork) error {
	if n.KnownHosts != nil || n.Identity != nil && (n.Identity.Keyfile != "" || n.Identity.AgentSock != "") {
		return fmt.Errorf("its keys are for nbdkit, not for QEMU: %w", storage.ErrNotReadable)
	}
	server, err := inetServer(n)
	if err != nil {
		return err
	}
	node["path"], node["server"] = n.Name, server
	if n.Identity != nil && n.Identity.UserName != "" {
		node["user"] = n.Identity.UserName
	}
	return nil
}

func iscsiOptions(node map[string]any, n *libvirtxml.DomainDiskSourceNetwork) error {
	if len(n.Hosts) != 1 {
		return errHosts
	}
	name, port, err := tcp(n.Protocol, n.Hosts[0])
	if err != nil {
		return err
	}
	target, number, found := strings.Cut(n.Name, "/")
	if !found {
		number = "0"
	}
	lun, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return fmt.Errorf("%s is not a unit number", strconv.Quote(number))
	}
	node["transport"], node["portal"], node["target"], node["lun"] = "tcp", net.JoinHostPort(name, port), target, lun
	if n.Initiator != nil && n.Initiator.IQN != nil && n.Initiator.IQN.Name != "" {
		node["initiator-name"] = n.Initiator.IQN.Name
	}
	return nil
}

func rbdOptions(node map[string]any, n *libvirtxml.DomainDiskSourceNetwork) error {
	pool, image, _ := strings.Cut(n.Name, "/")
	if pool == "" || image == "" {
		return errors.New("its name is not a pool and an image")
	}
	if strings.Contains(image, "/") {
		return fmt.Errorf("the meaning of %s depends on the libvirt (a namespace since 11.6): %w", strconv.Quote(n.Name), storage.ErrNotReadable)
	}
	node["pool"], node["image"] = pool, image
	if n.Snapshot != nil && n.Snapshot.Name != "" {
		node["snapshot"] = n.Snapshot.Name
	}
	if n.Config != nil && n.Config.File != "" {
		node["conf"] = n.Config.File
	}
	var servers []any
	for _, h := range n.Hosts {
		name, port, err := tcp(n.Protocol, h)
		if err != nil {
			return err
		}
		servers = append(servers, map[string]any{"host": name, "port": port})
	}
	if servers != nil {
		node["server"] = servers
	}
	return nil
}

func glusterOptions(node map[string]any, n *libvirtxml.DomainDiskSourceNetwork) error {
	volume, path, _ := strings.Cut(strings.TrimPrefix(n.Name, "/"), "/")
	if volume == "" || path == "" {
		return errors.New("its name is not a volume and a path")
	}
	var servers []any
	for _, h := range n.Hosts {
		if h.Transport == "unix" {
			servers = append(servers, map[string]any{"type": "unix", "path": h.Socket})
			continue
		}
		name, port, err := tcp(n.Protocol, h)
		if err != nil {
			return err
		}
		servers = append(servers, map[string]any{"type": "inet", "host": name, "port": port})
	}
	if servers == nil {
		return errors.New("it names no host")
	}
	node["volume"], node["path"], node["server"] = volume, path, servers
	return nil
}

func nfsOptions(node map[string]any, n *libvirtxml.DomainDiskSourceNetwork) error {
	server, err := inetServer(n)
	if err != nil {
		return err
	}
	// QEMU does not support a port for NFS.
	node["server"], node["path"] = map[string]any{"type": "inet", "host": server["host"]}, n.Name
	if n.Identity == nil {
		return nil
	}
	for key, value := range map[string]string{"user": n.Identity.User, "group": n.Identity.Group} {
		if value == "" {
			continue
		}
		// libvirt would look up a name in the host's users.
		number, err := strconv.ParseUint(strings.TrimPrefix(value, "+"), 10, 32)
		if err != nil {
			return fmt.Errorf("%s is not a numeric %s: %w", strconv.Quote(value), key, storage.ErrNotReadable)
		}
		node[key] = number
	}
	return nil
}

func inetServer(n *libvirtxml.DomainDiskSourceNetwork) (map[string]any, error) {
	if len(n.Hosts) != 1 {
		return nil, errHosts
	}
	name, port, err := tcp(n.Protocol, n.Hosts[0])
	return map[string]any{"host": name, "port": port}, err
}
