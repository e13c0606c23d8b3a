package peers

import (
	"errors"
	"fmt"
	"sync"

	"github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket/dialers"
)

// Starting virsh takes longer than most calls. Tests make calls that they need
// thousands of times without virsh.

// connection is a connection to a daemon, made when first needed, and again
// after the daemon was restarted.
type connection struct {
	mu  sync.Mutex
	rpc *libvirt.Libvirt
}

// call makes one call. The error comes from libvirt or from the connection.
func (l *Libvirt) call(f func(*libvirt.Libvirt) error) error {
	l.t.Helper()
	l.calls.mu.Lock()
	if l.calls.rpc == nil || !l.calls.rpc.IsConnected() {
		rpc := libvirt.NewWithDialer(dialers.NewLocal(dialers.WithSocket(l.Socket())))
		uri := libvirt.QEMUSession
		if l.system {
			uri = libvirt.QEMUSystem
		}
		if err := rpc.ConnectToURI(uri); err != nil {
			l.calls.mu.Unlock()
			l.t.Fatalf("connect to %q: %v", l.Socket(), err)
		}
		l.calls.rpc = rpc
	}
	rpc := l.calls.rpc
	l.calls.mu.Unlock()
	return f(rpc)
}

// TryDefine defines a guest; libvirt may refuse it.
func (l *Libvirt) TryDefine(document string) error {
	l.t.Helper()
	return l.call(func(rpc *libvirt.Libvirt) error {
		_, err := rpc.DomainDefineXMLFlags(document, 0)
		return said("define", err)
	})
}

// Define is TryDefine that must not fail.
func (l *Libvirt) Define(document string) {
	l.t.Helper()
	if err := l.TryDefine(document); err != nil {
		l.t.Fatalf("%v\n%s", err, document)
	}
}

// TryStart starts a guest paused; libvirt may refuse it.
func (l *Libvirt) TryStart(guest string) error {
	l.t.Helper()
	return l.call(func(rpc *libvirt.Libvirt) error {
		domain, err := rpc.DomainLookupByName(guest)
		if err == nil {
			_, err = rpc.DomainCreateWithFlags(domain, uint32(libvirt.DomainStartPaused))
		}
		return said("start", err)
	})
}

// NativeBlockdevs returns the -blockdev options that libvirt makes from a
// definition, without reading images ("virsh domxml-to-native").
func (l *Libvirt) NativeBlockdevs(document string) (options []string, err error) {
	l.t.Helper()
	err = l.call(func(rpc *libvirt.Libvirt) error {
		commandLine, err := rpc.ConnectDomainXMLToNative("qemu-argv", document, 0)
		options = blockdevs(commandLine)
		return said("domxml-to-native", err)
	})
	return options, err
}

// said returns an error in the form that virsh prints.
func said(what string, err error) error {
	var refused libvirt.Error
	if errors.As(err, &refused) {
		return fmt.Errorf("%s: error: %s", what, refused.Message)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
