package host

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// maxSocketPath is the length of the longest path that a socket's address
// takes (sun_path of unix(7), without the final NUL).
const maxSocketPath = 107

// address is where a daemon listens, and which of its connections is wanted.
type address struct {
	uri     string   // as the daemon gets it: "qemu:///system" or "qemu:///session"
	sockets []string // where it may listen, the best first
}

// parseURI reads the URIs that [Connect] takes. Nothing of a URI that it
// refuses gets into the error but its scheme: there may be a password in it.
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
		// For root libvirt has no session of its own.
		dir = userRuntimeDir(env)
	}
	// The daemon for QEMU alone comes before the one for everything, or the
	// proxy that stands in for that.
	for _, name := range []string{"virtqemud-sock", "libvirt-sock"} {
		a.sockets = append(a.sockets, filepath.Join(dir, name))
	}
	return a, nil
}

// socketOption returns the value of the only option that there may be. libvirt
// does not take "+" for a space, as package net/url does.
func socketOption(query string) (string, error) {
	if query == "" {
		return "", nil
	}
	name, value, _ := strings.Cut(query, "=")
	if name != "socket" || strings.ContainsAny(value, "&;") {
		return "", fmt.Errorf("%w: it has another option than socket", ErrURI)
	}
	path, err := url.PathUnescape(value)
	if err != nil || !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("%w: its socket is no absolute path", ErrURI)
	}
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("%w: the path of its socket has %d bytes, and the system takes %d", ErrURI, len(path), maxSocketPath)
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
// that is there, or the last.
func (a address) socket() string {
	for _, path := range a.sockets {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return a.sockets[len(a.sockets)-1]
}
