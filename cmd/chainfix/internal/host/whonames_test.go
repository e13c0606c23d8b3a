package host_test

import (
	"strings"
	"testing"
)

// TestWhoByURI: images on the network are told apart by their names, and where one may be
// another's that cannot be known.
func TestWhoByURI(t *testing.T) {
	h := whoHost(t)
	h.guest("a", "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='nbd' name='x'><host name='h' port='10809'/></source><target dev='vda'/></disk>")
	for image, want := range map[string]string{
		"nbd://h:10809/x": "somebody", "nbd://other:10809/x": "unknown", "nbd+unix:///x?socket=/run/nbd": "unknown", "nbd://h:10809/y": "nobody",
	} {
		h.wantAnswer(image, want)
	}
	h.guest("b", diskOnNetwork("<source protocol='iscsi' name='iqn.2013-07.com.example:t'><host name='h'/></source>")+
		diskOnNetwork("<source protocol='http' name='a b'><host name='h'/></source>")+
		diskOnNetwork("<source protocol='rbd' name='p/i'><host name='h'/><snapshot name='s'/></source>"))
	h.text("etc/libvirt/qemu/c.xml", strings.Replace(stored("c", ""), "<devices>",
		"<os><nvram type='network'><source protocol='nbd' name='variables'><host name='h'/></source></nvram></os><devices>", 1))
	h.text("var/lib/libvirt/qemu/snapshot/clean/s.xml", strings.Replace(snapshotOf("domain", ""), "<domain ",
		"<disks><disk name='vda' snapshot='external' type='network'><driver type='raw'/><source protocol='nbd' name='overlay'><host name='h' port='10809'/></source></disk></disks><domain ", 1))
	byHand(h, "file=ssh://h/x,if=none")
	for image, want := range map[string]string{
		"iscsi://h:3260/iqn.2013-07.com.example:t/0": "unknown", "iscsi://h:3260/iqn.2013-07.com.example:t/1": "nobody",
		"http://h:80/a b": "unknown", "http://h:80/a%20b": "somebody", "http://h:80/c": "nobody",
		"rbd://h/p/i": "unknown", "rbd://h/p/i@s": "somebody", "rbd://h/p/other": "nobody",
		"nbd://h:10809/variables": "unknown", "nbd://h:10809/overlay": "somebody", "nbd://h:10809/y": "nobody",
		"ssh://h:22/y": "unknown",
	} {
		h.wantAnswer(image, want)
	}
}

func diskOnNetwork(source string) string {
	return "<disk type='network' device='disk'><driver name='qemu' type='raw'/>" + source + "<target dev='vda'/></disk>"
}

// TestWhoAboveASymlink: ".." is above what a symlink leads to, and not above its name.
func TestWhoAboveASymlink(t *testing.T) {
	h := whoHost(t)
	h.mkdir("real/sub")
	h.qcow2("real/up.img", "")
	h.symlink("real/sub", "link")
	h.guest("a", "<filesystem type='mount'><source dir='DIR/real'/><target dir='x'/></filesystem>"+
		"<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='DIR/gone/x.iso'/><target dev='sda'/></disk>")
	for image, want := range map[string]string{
		"link/../up.img": "somebody", "link/../other.img": "somebody", "real/sub/../up.img": "somebody", "up.img": "nobody",
		"link/../../gone/x.iso": "somebody", "link/../../free.img": "nobody",
	} {
		u := h.who(image)
		if answer(u) != want {
			t.Errorf("%s: %s, want %s: %+v %+v", image, answer(u), want, u.Uses, u.Doubts)
		}
	}
}
