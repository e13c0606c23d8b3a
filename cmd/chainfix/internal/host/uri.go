package host

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// maxSocketPath is the maximum length of the path in a socket's address
// (sun_path of unix(7), without the final NUL).
const maxSocketPath = 107

// address is where a daemon listens, with the URI for it.
type address struct {
	uri     string   // for the daemon: "qemu:///system" or "qemu:///session"
	sockets []string // candidate sockets, the preferred first
}

// parseURI reads the URIs that [Connect] takes. Errors quote only the scheme
// of a URI, because it may contain a password.
func parseURI(s string, env func(string) string, uid int) (address, error) {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" {
		return address{}, fmt.Errorf("%w (want qemu:///system, qemu:///session, or one of them with ?socket=PATH)", ErrURI)
	}
	switch scheme := strings.ToLower(u.Scheme); {
	case u.Host != "" || u.User != nil:
		return address{}, fmt.Errorf("%w: it names another host; run chainfix there", ErrURI)
	case scheme != "qemu" && scheme != "qemu+unix":
		return address{}, fmt.Errorf("%w: its scheme is %q, not qemu or qemu+unix", ErrURI, scheme)
	case u.Path != "/system" && u.Path != "/session":
		return address{}, fmt.Errorf("%w: its path is %q, not /system or /session", ErrURI, u.Path)
	case u.Fragment != "":
		return address{}, fmt.Errorf("%w: it has a fragment", ErrURI)
	}
	a := address{uri: "qemu://" + u.Path}
	socket, err := socketOption(u.RawQuery)
	if err != nil {
		return address{}, err
	}
	if socket != "" {
		a.sockets = []string{socket}
		return a, nil
	}
	dir := "/var/run/libvirt"
	if u.Path == "/session" && uid != 0 {
		// libvirt has no session for root.
		dir = userRuntimeDir(env)
	}
	// The QEMU daemon is preferred to libvirtd, or the proxy that replaces it.
	for _, name := range []string{"virtqemud-sock", "libvirt-sock"} {
		a.sockets = append(a.sockets, filepath.Join(dir, name))
	}
	return a, nil
}

// socketOption returns the value of the only allowed option. libvirt does not
// decode "+" as a space, as package net/url does.
func socketOption(query string) (string, error) {
	if query == "" {
		return "", nil
	}
	name, value, _ := strings.Cut(query, "=")
	if name != "socket" || strings.ContainsAny(value, "&;") {
		return "", fmt.Errorf("%w: it has an option other than socket", ErrURI)
	}
	path, err := url.PathUnescape(value)
	if err != nil || !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("%w: its socket is not an absolute path", ErrURI)
	}
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("%w: the path of its socket has %d bytes; the system's limit is %d", ErrURI, len(path), maxSocketPath)
	}
	return path, nil
}

// userRuntimeDir is virGetUserRuntimeDirectory.
func userRuntimeDir(env func(string) string) string {
	for _, variable := range []struct{ name, below string }{
		{"XDG_RUNTIME_DIR", ""}, {"XDG_CACHE_HOME", ""}, {"HOME", ".cache"},
	} {
		if dir := env(variable.name); filepath.IsAbs(dir) {
			return filepath.Join(dir, variable.below, "libvirt")
		}
	}
	return "/.cache/libvirt"
}

// socket returns the socket that libvirt's clients would choose: the first
// that exists, or the last.
func (a address) socket() string {
	for _, path := range a.sockets {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return a.sockets[len(a.sockets)-1]
}
