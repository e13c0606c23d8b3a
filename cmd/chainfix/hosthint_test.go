package main

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

// TestUnconnectedHint: the hint is about the libvirt of the URI, and about what the system
// says.
func TestUnconnectedHint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		uri  string
		err  error
		want string // "" for no hint
	}{
		{"qemu:///system", fs.ErrNotExist, "systemctl status virtqemud.socket virtqemud libvirtd.socket libvirtd"},
		{"qemu:///system", syscall.ECONNREFUSED, "systemctl status virtqemud.socket virtqemud libvirtd.socket libvirtd"},
		{"qemu:///system", fs.ErrNotExist, "host scan can read its files: --from /etc/libvirt/qemu"},
		{"qemu+unix:///system?socket=/run/x", fs.ErrNotExist, "systemctl status virtqemud.socket"},
		{"qemu:///session", fs.ErrNotExist, "virsh -c qemu:///session list"},
		{"qemu:///system", syscall.EACCES, "the group libvirt"},
		{"qemu:///session", fs.ErrPermission, "the group libvirt"},
		{"qemu:///system", host.ErrGone, ""},
		{"qemu://elsewhere/system", host.ErrURI, ""},
	} {
		got := unconnectedHint(tt.uri, fmt.Errorf("connect to %q: %w", "/run/x", tt.err)).String()
		if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s, %v: %q", tt.uri, tt.err, got)
		}
	}
}
