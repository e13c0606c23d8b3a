package host

import (
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Origin says which chainfix made a run of [Apply], and for which libvirt.
//
// The machine, the driver and the user identify the libvirt, together with the
// UUIDs of the guests: one daemon has several URIs, and one URI means another
// daemon on another machine.
type Origin struct {
	Program string `json:"program,omitempty"` // the version of chainfix
	Libvirt string `json:"libvirt,omitempty"` // the version of libvirt
	Connect string `json:"connect,omitempty"` // the URI of the connection; does not identify the libvirt

	Machine string `json:"machine,omitempty"` // the text of /etc/machine-id
	Driver  string `json:"driver,omitempty"`  // "qemu:///system" or "qemu:///session"
	User    string `json:"user,omitempty"`    // the number of the user that the daemon runs as
}

// sameLibvirt reports whether two origins may be the same libvirt. It ignores
// fields that one of them lacks, such as the machine without /etc/machine-id.
func (o Origin) sameLibvirt(other Origin) bool {
	same := func(a, b string) bool { return a == "" || b == "" || a == b }
	return same(o.Machine, other.Machine) && same(o.Driver, other.Driver) && same(o.User, other.User)
}

// origin returns the origin of a run on this daemon.
func (d *Daemon) origin() Origin {
	return Origin{Libvirt: d.version.String(), Machine: machineID(), Driver: d.driver, User: d.user}
}

// machineID returns the machine ID (machine-id(5)), or "".
func machineID() string {
	text, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// peerUser returns the number of the user whose process listens at the other
// end of a local socket; "" if unknown.
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
