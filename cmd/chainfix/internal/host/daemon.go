package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/digitalocean/go-libvirt"

	versions "github.com/chainfix/chainfix/chain/libvirt"
)

// Daemon is a connection to a libvirt daemon. It is safe for concurrent use;
// the daemon gets one call at a time.
//
// libvirt's protocol cannot cancel a call: if the context of a call ends
// before the reply arrives, the connection is closed, and every later call
// returns [ErrGone].
type Daemon struct {
	rpc     *libvirt.Libvirt
	guard   *guard
	turn    chan struct{} // holds one while a call is under way
	version versions.Version
	qemu    versions.Version

	// Parts of the [Origin] of a run.
	driver, user string
}

// Connect connects to the daemon that a URI names: qemu:///system or
// qemu:///session, both also as qemu+unix:///..., and with ?socket=PATH, which
// names the daemon's socket. The default is that of libvirt's own clients
// (virtqemud-sock, then libvirt-sock, in /var/run/libvirt or the user's
// runtime folder). No daemon is started.
//
// A URI of another kind is an [ErrURI]. If no daemon listens, the error wraps
// the system's (fs.ErrNotExist, fs.ErrPermission, syscall.ECONNREFUSED).
func Connect(ctx context.Context, uri string) (*Daemon, error) {
	a, err := parseURI(uri, os.Getenv, os.Geteuid())
	if err != nil {
		return nil, err
	}
	socket := a.socket()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("connect to %q: %w", socket, systemError(err))
	}
	d := &Daemon{guard: newGuard(conn), turn: make(chan struct{}, 1), driver: a.uri, user: peerUser(conn)}
	d.rpc = libvirt.NewWithDialer(d.guard)
	err = d.call(ctx, "virConnectOpen", func() error { return d.rpc.ConnectToURI(libvirt.ConnectURI(a.uri)) })
	if err == nil {
		err = d.askVersion(ctx)
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("connect to %q: %w", socket, err)
	}
	return d, nil
}

// systemError unwraps package net's error, which repeats the path without
// quotes.
func systemError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}

func (d *Daemon) askVersion(ctx context.Context) error {
	err := d.call(ctx, "virConnectGetLibVersion", func() error {
		v, err := d.rpc.ConnectGetLibVersion()
		d.version = versionOf(v)
		return err
	})
	if err != nil {
		return err
	}
	err = d.call(ctx, "virConnectGetVersion", func() error {
		v, err := d.rpc.ConnectGetVersion()
		d.qemu = versionOf(v)
		return err
	})
	if ends(ctx, err) {
		return err
	}
	return nil // QEMU may be absent
}

// versionOf reads a version as libvirt counts it: each part up to 999.
func versionOf(v uint64) versions.Version {
	return versions.Version{Major: int(v / 1_000_000 % 1000), Minor: int(v / 1000 % 1000), Release: int(v % 1000)}
}

// QEMU returns the version of the daemon's QEMU; the zero Version if unknown.
func (d *Daemon) QEMU() versions.Version { return d.qemu }

// Version is the version of the daemon's libvirt.
func (d *Daemon) Version() versions.Version { return d.version }

// Close ends the connection. A pending call returns [ErrGone].
func (d *Daemon) Close() error { return d.guard.Close() }

// call makes one call of libvirt's API after earlier ones have ended. All
// errors of go-libvirt pass through it.
func (d *Daemon) call(ctx context.Context, name string, f func() error) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", name, context.Cause(ctx))
	}
	stop := context.AfterFunc(ctx, func() { d.guard.end(errors.New("a call was given up")) })
	defer stop()

	err := f()
	var refused libvirt.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return newError(name, refused.Code, refused.Message)
	case errors.Is(err, libvirt.ErrUnsupported):
		return newError(name, codeRPC, "unknown procedure")
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", name, context.Cause(ctx))
	}
	// The next reply could belong to any call.
	return fmt.Errorf("%s: %w: %w", name, ErrGone, d.guard.end(errReply))
}

// Pools reads the pools from the daemon. See [Inventory]. A daemon without a
// driver for storage has none.
func (d *Daemon) Pools(ctx context.Context) iter.Seq2[*Pool, error] {
	return func(yield func(*Pool, error) bool) {
		var listed []libvirt.StoragePool
		err := d.call(ctx, "virConnectListAllStoragePools", func() (err error) {
			listed, _, err = d.rpc.ConnectListAllStoragePools(1, 0)
			return err
		})
		if hasCode(err, codeNoSupport) {
			return
		}
		if err != nil {
			yield(nil, err)
			return
		}
		slices.SortFunc(listed, func(a, b libvirt.StoragePool) int { return strings.Compare(a.Name, b.Name) })
		for _, pool := range listed {
			text, err := d.text(ctx, "virStoragePoolGetXMLDesc", func() (string, error) { return d.rpc.StoragePoolGetXMLDesc(pool, 0) })
			switch {
			case hasCode(err, codeNoStoragePool):
				continue
			case ends(ctx, err):
				yield(nil, err)
				return
			}
			if !yield(&Pool{Name: pool.Name, XML: text}, err) {
				return
			}
		}
	}
}
