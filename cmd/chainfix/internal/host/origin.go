package host

import (
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Origin says by what a run of [Apply] was made, and of which libvirt it is.
//
// The libvirt is known by its machine, its driver and its user, together with the
// UUIDs of the guests: the same daemon has several URIs, and the same URI leads to
// another daemon on another machine.
type Origin struct {
	Program string `json:"program,omitempty"` // the version of chainfix
	Libvirt string `json:"libvirt,omitempty"` // the version of libvirt
	Connect string `json:"connect,omitempty"` // the URI that was connected to; no run is known by it

	Machine string `json:"machine,omitempty"` // the text of /etc/machine-id
	Driver  string `json:"driver,omitempty"`  // "qemu:///system" or "qemu:///session"
	User    string `json:"user,omitempty"`    // the number of the user that the daemon runs as
}

// sameLibvirt reports whether nothing shows that two origins are of different
// libvirts. What one of them does not state, such as the machine where there is no
// /etc/machine-id, shows nothing.
func (o Origin) sameLibvirt(other Origin) bool {
	same := func(a, b string) bool { return a == "" || b == "" || a == b }
	return same(o.Machine, other.Machine) && same(o.Driver, other.Driver) && same(o.User, other.User)
}

// origin is that of a run which a daemon's guests are given their definitions by.
func (d *Daemon) origin() Origin {
	return Origin{Libvirt: d.version.String(), Machine: machineID(), Driver: d.driver, User: d.user}
}

// machineID is "" on a machine that has none (machine-id(5)).
func machineID() string {
	text, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// peerUser returns the number of the user whose process listens at the other end of a
// local socket; "" if the system does not tell.
func peerUser(conn net.Conn) string {
	local, ok := conn.(*net.UnixConn)
	if !ok {
		return ""
	}
	raw, err := local.SyscallConn()
	if err != nil {
		return ""
	}
	user := ""
	err = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			user = strconv.FormatUint(uint64(peer.Uid), 10)
		}
	})
	if err != nil {
		return ""
	}
	return user
}
