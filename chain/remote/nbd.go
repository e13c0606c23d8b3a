package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/remote/nbd"
	"github.com/chainfix/chainfix/chain/storage"
)

// nbdAddress is where the server of an export listens.
func nbdAddress(n *libvirtxml.DomainDiskSourceNetwork) (network, address string, err error) {
	if len(n.Hosts) != 1 {
		return "", "", errHosts
	}
	h := n.Hosts[0]
	if h.Transport != "unix" {
		name, port, err := tcp(n.Protocol, h)
		return "tcp", net.JoinHostPort(name, port), err
	}
	// QEMU resolves a relative path from its own working directory.
	if !filepath.IsAbs(h.Socket) {
		return "", "", fmt.Errorf("%s is not an absolute path of a socket", strconv.Quote(h.Socket))
	}
	return "unix", h.Socket, nil
}

// nbdPeer closes the connection when its context ends.
type nbdPeer struct {
	client *nbd.Client
	stop   func() bool
}

func openNBD(ctx context.Context, network, address, export string) (peer, int64, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, 0, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	client, err := nbd.Open(conn, export)
	if err != nil {
		stop()
		if errors.Is(err, nbd.ErrUnsupported) {
			err = fmt.Errorf("%w: %w", err, storage.ErrNotReadable)
		}
		return nil, 0, err
	}
	return &nbdPeer{client, stop}, client.Size(), nil
}

// fetch reads blocks of 64 KiB, the maximum block size of a server.
func (n *nbdPeer) fetch(p []byte, off int64) error {
	_, err := n.client.ReadAt(p, off)
	return err
}

func (n *nbdPeer) close() error {
	n.stop()
	return n.client.Close()
}
