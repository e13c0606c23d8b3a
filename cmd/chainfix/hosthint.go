//go:build !small

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

// connectTo connects to the libvirt of a URI.
func connectTo(ctx context.Context, uri string) (*host.Daemon, error) {
	d, err := host.Connect(ctx, uri)
	if err != nil {
		return nil, inputError(withHint(err, unconnectedHint(uri, err)))
	}
	return d, nil
}

// unconnectedHint says where to look where nobody listens. libvirt's services have
// sockets of systemd's that start them.
func unconnectedHint(uri string, err error) finding.Remedy {
	session := strings.Contains(uri, ":///session")
	switch {
	case errors.Is(err, fs.ErrPermission):
		return finding.Say("root may use it, and mostly the members of the group libvirt")
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED):
		return finding.Remedy{}
	case session:
		return finding.Say("the libvirt of a session ends when nobody uses it; this starts it: %s", finding.Command("virsh -c qemu:///session list"))
	}
	return finding.Say("does libvirt run? %s; without it, host scan reads its files: %s",
		finding.Command("systemctl status virtqemud.socket virtqemud libvirtd.socket libvirtd"), finding.Command("--from /etc/libvirt/qemu"))
}

// emptyFolderHint is for somebody who names a folder in which there are no definitions:
// it may be the root of a host, or above the right one.
func emptyFolderHint(ctx context.Context, dir string, requests *limit.Requests) finding.Remedy {
	for _, below := range []string{"qemu", "etc/libvirt/qemu", ".config/libvirt/qemu"} {
		right := filepath.Join(dir, below)
		info, err := limit.Do(ctx, requests, right, func(context.Context) (fs.FileInfo, error) { return os.Stat(right) })
		if err == nil && info.IsDir() {
			return finding.Command("--from " + finding.ShellWord(right))
		}
	}
	return finding.Say("libvirt has those of the system's guests in /etc/libvirt/qemu, and those of a user's in ~/.config/libvirt/qemu")
}
