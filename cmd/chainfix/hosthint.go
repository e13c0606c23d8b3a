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

// unconnectedHint says where to look if nothing listens. systemd's sockets start
// libvirt's services.
func unconnectedHint(uri string, err error) finding.Remedy {
	session := strings.Contains(uri, ":///session")
	switch {
	case errors.Is(err, fs.ErrPermission):
		return finding.Say("only root may use it, and usually the members of the group libvirt")
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED):
		return finding.Remedy{}
	case session:
		return finding.Say("a session's libvirt ends when it is unused; this starts it: %s", finding.Command("virsh -c qemu:///session list"))
	}
	return finding.Say("is libvirt running? %s; without it, host scan can read its files: %s",
		finding.Command("systemctl status virtqemud.socket virtqemud libvirtd.socket libvirtd"), finding.Command("--from /etc/libvirt/qemu"))
}

// emptyFolderHint is for a folder without definitions: it may be the root of a host, or
// above the right folder.
func emptyFolderHint(ctx context.Context, dir string, requests *limit.Requests) finding.Remedy {
	for _, below := range []string{"qemu", "etc/libvirt/qemu", ".config/libvirt/qemu"} {
		right := filepath.Join(dir, below)
		info, err := limit.Do(ctx, requests, right, func(context.Context) (fs.FileInfo, error) { return os.Stat(right) })
		if err == nil && info.IsDir() {
			return finding.Command("--from " + finding.ShellWord(right))
		}
	}
	return finding.Say("libvirt keeps the definitions of the system's guests in /etc/libvirt/qemu, and those of a user's guests in ~/.config/libvirt/qemu")
}
