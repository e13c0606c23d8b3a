package host

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	env := map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}
	for uri, want := range map[string]address{
		"qemu:///system":                              {"qemu:///system", []string{"/var/run/libvirt/virtqemud-sock", "/var/run/libvirt/libvirt-sock"}},
		"qemu:///session":                             {"qemu:///session", []string{"/run/user/7/libvirt/virtqemud-sock", "/run/user/7/libvirt/libvirt-sock"}},
		"qemu+unix:///system":                         {"qemu:///system", []string{"/var/run/libvirt/virtqemud-sock", "/var/run/libvirt/libvirt-sock"}},
		"QEMU+UNIX:///session?socket=/a":              {"qemu:///session", []string{"/a"}},
		"qemu:///system?socket=/a+b%20c%3d=":          {"qemu:///system", []string{"/a+b c=="}},
		"qemu+unix:///system?socket=/run/%C3%A4/sock": {"qemu:///system", []string{"/run/ä/sock"}},
	} {
		got, err := parseURI(uri, func(name string) string { return env[name] }, 7)
		if err != nil || got.uri != want.uri || !slices.Equal(got.sockets, want.sockets) {
			t.Errorf("%q: %+v, %v", uri, got, err)
		}
	}
	for _, uri := range []string{
		"", "qemu", "qemu:", "qemu://", "qemu:///", "qemu:///other", "qemu:///system/", "qemu:system",
		"test:///default", "xen:///system", "virtqemud:///system", "/run/libvirt/libvirt-sock",
		"qemu://host/system", "qemu+ssh://root@host/system", "qemu+tcp://host/session", "qemu+tls:///system", "qemu+ssh:///system",
		"qemu+unix://host/system", "qemu+unix://user:secret@/system", "qemu+tcp://user:secret@host:1/system",
		"qemu+libssh2://user:secret@ho st/system", "qemu:///system?socket=/a#secret",
		"qemu:///system?socket=", "qemu:///system?socket=a", "qemu:///system?socket=%zz", "qemu:///system?socket=/a%00",
		"qemu:///system?socket=/a&mode=legacy", "qemu:///system?mode=legacy", "qemu:///system?socket=/a;b", "qemu:///system?Socket=/a",
		"qemu:///system?socket=/" + strings.Repeat("a", 107),
	} {
		got, err := parseURI(uri, func(string) string { return "" }, 7)
		if !errors.Is(err, ErrURI) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %+v, %v", uri, got, err)
		}
	}
}

// TestSessionSocket: where libvirt 9.0 looks for a session's daemon
// (virGetUserRuntimeDirectory, remoteGetURIDaemonInfo).
func TestSessionSocket(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		uid  int
		want string
	}{
		{map[string]string{"XDG_RUNTIME_DIR": "/r", "XDG_CACHE_HOME": "/c", "HOME": "/h"}, 7, "/r/libvirt"},
		{map[string]string{"XDG_CACHE_HOME": "/c", "HOME": "/h"}, 7, "/c/libvirt"},
		{map[string]string{"HOME": "/h"}, 7, "/h/.cache/libvirt"},
		{map[string]string{"XDG_RUNTIME_DIR": "/r"}, 0, "/var/run/libvirt"},
	} {
		got, err := parseURI("qemu:///session", func(name string) string { return c.env[name] }, c.uid)
		if err != nil || got.sockets[1] != c.want+"/libvirt-sock" {
			t.Errorf("%v: %+v, %v", c, got, err)
		}
	}
}
