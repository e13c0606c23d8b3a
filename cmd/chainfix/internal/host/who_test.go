package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// whoHost is a host whose libvirt has left all its folders.
func whoHost(t *testing.T) storedHost {
	h := newStoredHost(t)
	for _, dir := range []string{"snapshot", "checkpoint", "save"} {
		h.mkdir("var/lib/libvirt/qemu/" + dir)
	}
	h.qcow2("base.img", "")
	h.qcow2("free.img", "")
	h.qcow2("clean.qcow2", "")
	h.guest("clean", diskOf(fileDisk, "qcow2", "<source file='DIR/clean.qcow2'/>"))
	return h
}

func (h storedHost) who(image string) *host.Usage {
	h.Helper()
	return h.whoBy(&host.Scan{}, image)
}

func (h storedHost) whoBy(s *host.Scan, image string) *host.Usage {
	h.Helper()
	s.Inventory = h.folder()
	if !strings.Contains(image, "://") {
		image = h.dir + "/" + image
	}
	usage, err := s.Who(h.Context(), image)
	if err != nil {
		h.Fatal(err)
	}
	return usage
}

// answer is what a usage comes to.
func answer(u *host.Usage) string {
	switch {
	case len(u.Uses) > 0:
		return "somebody"
	case len(u.Doubts) > 0:
		return "unknown"
	}
	return "nobody"
}

func (h storedHost) wantAnswer(image, want string) {
	h.Helper()
	if usage := h.who(image); answer(usage) != want {
		h.Errorf("%s: %s, want %s: %+v %+v", image, answer(usage), want, usage.Uses, usage.Doubts)
	}
}

func (h storedHost) symlink(old, name string) {
	h.Helper()
	if err := os.Symlink(filepath.Join(h.dir, old), filepath.Join(h.dir, name)); err != nil {
		h.Fatal(err)
	}
}

func (h storedHost) status(name, disks string) {
	h.Helper()
	h.text("run/libvirt/qemu/"+name+".xml", "<domstatus state='running' pid='1'>\n"+
		strings.Replace(stored(name, disks), "<domain type='qemu'>", "<domain type='qemu' id='1'>", 1)+"</domstatus>\n")
}

func vmdk(t *testing.T, extent string) []byte {
	t.Helper()
	return fmt.Appendf(nil, "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\nRW 2048 FLAT \"%s\" 0\n\nddb.adapterType = \"ide\"\n", extent)
}

// byHand makes a guest whose QEMU is given an argument.
func byHand(h storedHost, argument string) {
	h.text("etc/libvirt/qemu/a.xml", strings.Replace(stored("a", ""), "</devices>",
		"</devices><qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='"+argument+"'/></qemu:commandline>", 1))
}

const baseBelow = "<backingStore type='file'><format type='qcow2'/>" + baseFile + "<backingStore/></backingStore>"

// TestWhoIsNeverNobody: every possible use of base.img is reported, or at
// least a doubt. An unused image is free if nothing can hide a use.
func TestWhoIsNeverNobody(t *testing.T) {
	overlay := diskOf(fileDisk, "qcow2", "<source file='DIR/o.qcow2'/>")
	over := func(h storedHost) {
		h.qcow2Over("o.qcow2", "base.img", "qcow2")
		h.guest("a", overlay)
	}
	raw := func(file string) string { return diskOf(fileDisk, "raw", "<source file='DIR/"+file+"'/>") }
	for name, c := range map[string]struct {
		make       func(storedHost)
		base, free string
	}{
		"nothing": {func(storedHost) {}, "nobody", "nobody"},
		// Uses.
		"its own image": {func(h storedHost) { h.guest("a", diskOf(fileDisk, "qcow2", baseFile)) }, "somebody", "nobody"},
		"read only":     {func(h storedHost) { h.guest("a", diskOf(fileDisk, "qcow2", baseFile+"<readonly/>")) }, "somebody", "nobody"},
		"without a type": {func(h storedHost) {
			h.guest("a", "<disk type='file' device='disk'>"+baseFile+"<target dev='vda'/></disk>")
		}, "somebody", "nobody"},
		"a floppy": {func(h storedHost) {
			h.guest("a", "<disk type='file' device='floppy'><driver name='qemu' type='raw'/>"+baseFile+"<target dev='fda' bus='fdc'/></disk>")
		}, "somebody", "nobody"},
		"an optional CD": {func(h storedHost) {
			h.guest("a", "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='DIR/base.img' startupPolicy='optional'/><target dev='sda' bus='sata'/></disk>")
		}, "somebody", "nobody"},
		"by a recorded header":    {over, "somebody", "nobody"},
		"by an unrecorded header": {func(h storedHost) { h.qcow2("o.qcow2", "base.img"); h.guest("a", overlay) }, "somebody", "nobody"},
		"two below": {func(h storedHost) {
			h.qcow2Over("m.qcow2", "base.img", "qcow2")
			h.qcow2Over("o.qcow2", "m.qcow2", "qcow2")
			h.guest("a", overlay)
		}, "somebody", "nobody"},
		"by the explicit chain alone": {func(h storedHost) {
			h.qcow2("o.qcow2", "")
			h.guest("a", diskOf(fileDisk, "qcow2", "<source file='DIR/o.qcow2'/>"+baseBelow))
		}, "somebody", "unknown"},
		"by the header alone, which the XML ends": {func(h storedHost) {
			h.qcow2Over("o.qcow2", "base.img", "qcow2")
			h.guest("a", diskOf(fileDisk, "qcow2", "<source file='DIR/o.qcow2'/><backingStore/>"))
		}, "somebody", "unknown"},
		"by a symlink": {func(h storedHost) {
			h.symlink("base.img", "link")
			h.guest("a", diskOf(fileDisk, "qcow2", "<source file='DIR/link'/>"))
		}, "somebody", "nobody"},
		"by a hard link": {func(h storedHost) {
			must(h, os.Link(filepath.Join(h.dir, "base.img"), filepath.Join(h.dir, "hard")))
			h.guest("a", diskOf(fileDisk, "qcow2", "<source file='DIR/hard'/>"))
		}, "somebody", "nobody"},
		"a part of it": {func(h storedHost) {
			h.guest("a", diskOf(fileDisk, "raw", "<source file='DIR/base.img'><slices><slice type='storage' offset='4096' size='4096'/></slices></source>"))
		}, "somebody", "nobody"},
		"a data file": {func(h storedHost) {
			h.write("o.qcow2", imageOf(h, mkimage.Qcow2{VirtualSize: imageSize, DataFile: filepath.Join(h.dir, "base.img")}))
			h.guest("a", overlay)
		}, "somebody", "unknown"},
		"a stated data file": {func(h storedHost) {
			h.guest("a", diskOf(fileDisk, "qcow2", "<source file='DIR/clean.qcow2'><dataStore type='file'><format type='raw'/>"+baseFile+"</dataStore></source>"))
		}, "somebody", "unknown"},
		"an extent": {func(h storedHost) {
			h.write("o.vmdk", vmdk(h.T, "base.img"))
			h.guest("a", diskOf(fileDisk, "vmdk", "<source file='DIR/o.vmdk'/>"))
		}, "somebody", "unknown"},
		"firmware": {func(h storedHost) {
			h.text("etc/libvirt/qemu/a.xml", strings.Replace(stored("a", ""), "<devices>", "<os><loader type='pflash'>DIR/base.img</loader></os><devices>", 1))
		}, "somebody", "nobody"},
		"a kernel": {func(h storedHost) {
			h.text("etc/libvirt/qemu/a.xml", strings.Replace(stored("a", ""), "<devices>", "<os><kernel>DIR/base.img</kernel></os><devices>", 1))
		}, "somebody", "nobody"},
		"the template of variables": {func(h storedHost) {
			h.text("etc/libvirt/qemu/a.xml", strings.Replace(stored("a", ""), "<devices>", "<os><nvram template='DIR/base.img'/></os><devices>", 1))
		}, "somebody", "nobody"},
		"an argument of QEMU": {func(h storedHost) {
			h.text("etc/libvirt/qemu/a.xml", strings.Replace(stored("a", ""), "</devices>", "</devices><qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='file=DIR/base.img,if=none'/></qemu:commandline>", 1))
		}, "somebody", "nobody"},
		"an overlay as an argument of QEMU": {func(h storedHost) {
			h.qcow2Over("o.qcow2", "base.img", "qcow2")
			h.text("etc/libvirt/qemu/a.xml", strings.Replace(stored("a", ""), "</devices>", "</devices><qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='{\"filename\":\"DIR/o.qcow2\"}'/></qemu:commandline>", 1))
		}, "unknown", "unknown"},
		"a name with signs in it as an argument of QEMU": {func(h storedHost) {
			must(h, os.Link(filepath.Join(h.dir, "base.img"), filepath.Join(h.dir, "a disk: b=c,d.img")))
			byHand(h, "if=none,file=DIR/a disk: b=c,,d.img,format=qcow2")
		}, "somebody", "nobody"},
		"a relative name as an argument of QEMU": {func(h storedHost) { byHand(h, "file=images/base.img") }, "unknown", "nobody"},
		"a name with escapes as an argument of QEMU": {func(h storedHost) {
			byHand(h, `{"driver":"file","filename":"DIR/b\u0061se.img"}`)
		}, "somebody", "nobody"},
		"a folder as an argument of QEMU": {func(h storedHost) {
			h.mkdir("share")
			byHand(h, "local,path=DIR/share,mount_tag=x")
			h.guest("b", "<filesystem type='mount'><source dir='DIR/share'/><target dir='x'/></filesystem>")
			must(h, os.Rename(filepath.Join(h.dir, "base.img"), filepath.Join(h.dir, "share/base.img")))
			h.symlink("share/base.img", "base.img")
		}, "somebody", "nobody"},
		"too much as an argument of QEMU": {func(h storedHost) { byHand(h, strings.Repeat("/x ", 300)) }, "unknown", "unknown"},
		"a folder that another process shows": {func(h storedHost) {
			h.guest("a", "<filesystem type='mount'><driver type='virtiofs'/><source socket='/run/x'/><target dir='x'/></filesystem>")
		}, "unknown", "unknown"},
		"an overlay of a snapshot on the network": {func(h storedHost) {
			h.text("var/lib/libvirt/qemu/snapshot/clean/s.xml", strings.Replace(snapshotOf("domain", ""), "<domain ",
				"<disks><disk name='vda' snapshot='external' type='network'><driver type='qcow2'/><source protocol='nbd' name='x'><host name='h'/></source></disk></disks><domain ", 1))
		}, "unknown", "unknown"},
		"a shared folder": {func(h storedHost) {
			h.guest("a", "<filesystem type='mount'><source dir='DIR'/><target dir='x'/></filesystem>")
		}, "somebody", "somebody"},
		"another shared folder": {func(h storedHost) {
			h.mkdir("share")
			h.guest("a", "<filesystem type='mount'><source dir='DIR/share'/><target dir='x'/></filesystem>")
		}, "nobody", "nobody"},
		"a folder as a disk": {func(h storedHost) {
			h.guest("a", "<disk type='dir' device='floppy'><driver name='qemu' type='fat'/><source dir='DIR'/><target dev='fda'/></disk>")
		}, "somebody", "somebody"},
		"a running guest": {func(h storedHost) { over(h); h.guest("b", ""); h.status("b", diskOf(fileDisk, "qcow2", baseFile)) }, "somebody", "nobody"},
		"a guest that runs without a definition": {func(h storedHost) {
			h.qcow2Over("o.qcow2", "base.img", "qcow2")
			h.status("transient", diskOf(fileDisk, "qcow2", "<source file='DIR/o.qcow2'/><backingStore type='file'><format type='qcow2'/><source file='DIR/base.img'/><backingStore/></backingStore>"))
		}, "somebody", "nobody"},
		"a guest that runs beside a copy of another's definition": {func(h storedHost) {
			h.text("etc/libvirt/qemu/copy.xml", stored("clean", ""))
			h.status("copy", diskOf(fileDisk, "qcow2", baseFile))
		}, "somebody", "nobody"},
		"a running backup": {func(h storedHost) {
			h.text("run/libvirt/qemu/clean.xml", "<domstatus state='running' pid='1'><blockjobs active='yes'><blockjob type='backup'><store type='file' format='qcow2'>"+baseFile+
				"</store></blockjob></blockjobs>\n"+strings.Replace(stored("clean", ""), "<domain type='qemu'>", "<domain type='qemu' id='1'>", 1)+"</domstatus>\n")
		}, "somebody", "nobody"},
		"a block job": {func(h storedHost) {
			h.guest("a", diskOf(fileDisk, "qcow2", "<source file='DIR/clean.qcow2'/>"))
			h.status("a", diskOf(fileDisk, "qcow2", "<source file='DIR/clean.qcow2'/><backingStore/><mirror type='file' job='copy'><format type='qcow2'/><source file='DIR/base.img'/></mirror>"))
		}, "somebody", "nobody"},
		"a snapshot": {func(h storedHost) {
			h.text("var/lib/libvirt/qemu/snapshot/clean/s.xml", snapshotOf("domain", diskOf(fileDisk, "raw", baseFile)))
		}, "somebody", "nobody"},
		"a snapshot in a file with another suffix": {func(h storedHost) {
			h.text("var/lib/libvirt/qemu/snapshot/clean/s.xml.bak", snapshotOf("domain", diskOf(fileDisk, "raw", baseFile)))
		}, "somebody", "nobody"},
		"what a snapshot's guest ran with": {func(h storedHost) {
			h.text("var/lib/libvirt/qemu/snapshot/clean/s.xml", snapshotOf("inactiveDomain", diskOf(fileDisk, "raw", baseFile)))
		}, "somebody", "nobody"},
		"a snapshot's memory": {func(h storedHost) {
			h.text("var/lib/libvirt/qemu/snapshot/clean/s.xml", strings.Replace(snapshotOf("domain", ""), "<domain ", "<memory snapshot='external' file='DIR/base.img'/><domain ", 1))
		}, "somebody", "nobody"},
		"the overlay of a snapshot": {func(h storedHost) {
			h.text("var/lib/libvirt/qemu/snapshot/clean/s.xml", strings.Replace(snapshotOf("domain", ""), "<domain ",
				"<disks><disk name='vda' snapshot='external' type='file'><driver type='raw'/><source file='DIR/base.img'/></disk></disks><domain ", 1))
		}, "somebody", "nobody"},
		"below the overlay of a snapshot": {func(h storedHost) {
			over(h)
			h.text("var/lib/libvirt/qemu/snapshot/clean/s.xml", strings.Replace(snapshotOf("domain", ""), "<domain ",
				"<disks><disk name='vda' snapshot='external' type='file'><driver type='qcow2'/><source file='DIR/o.qcow2'/></disk></disks><domain ", 1))
			h.guest("a", "")
		}, "unknown", "unknown"},
		"the state of a TPM": {func(h storedHost) {
			h.guest("a", "")
			h.write("swtpm/"+uuidOf("a")+"/base", nil)
			must(h, os.Rename(filepath.Join(h.dir, "base.img"), filepath.Join(h.dir, "swtpm", uuidOf("a"), "base")))
			h.symlink("swtpm/"+uuidOf("a")+"/base", "base.img")
		}, "unknown", "nobody"},
		"a checkpoint": {func(h storedHost) {
			h.text("var/lib/libvirt/qemu/checkpoint/clean/c.xml", strings.ReplaceAll(snapshotOf("domain", diskOf(fileDisk, "raw", baseFile)), "domainsnapshot", "domaincheckpoint"))
		}, "somebody", "nobody"},
		"a saved state": {func(h storedHost) {
			h.write("var/lib/libvirt/qemu/save/clean.save", savedImage(strings.ReplaceAll(stored("clean", diskOf(fileDisk, "raw", baseFile)), "DIR", h.dir)))
		}, "somebody", "nobody"},
		"a snapshot of a guest that is gone": {func(h storedHost) {
			h.text("var/lib/libvirt/qemu/snapshot/gone/s.xml", snapshotOf("domain", diskOf(fileDisk, "raw", baseFile)))
		}, "somebody", "nobody"},
		"a volume": {func(h storedHost) {
			h.text("etc/libvirt/storage/p.xml", "<pool type='dir'><name>p</name><target><path>DIR</path></target></pool>")
			h.guest("a", "<disk type='volume' device='disk'><driver name='qemu' type='qcow2'/><source pool='p' volume='base.img'/><target dev='vda'/></disk>")
		}, "somebody", "nobody"},

		// What hides a use.
		"a definition that cannot be read":   {func(h storedHost) { h.text("etc/libvirt/qemu/a.xml", "<domain") }, "unknown", "unknown"},
		"a definition that means two things": {func(h storedHost) { h.text("etc/libvirt/qemu/a.xml", "<!DOCTYPE domain>"+stored("a", "")) }, "unknown", "unknown"},
		"a disk that cannot be read":         {func(h storedHost) { h.guest("a", diskOf("type='wrong'", "qcow2", baseFile)) }, "somebody", "unknown"},
		"a snapshot that cannot be read":     {func(h storedHost) { h.text("var/lib/libvirt/qemu/snapshot/clean/s.xml", "<domainsnapshot") }, "unknown", "unknown"},
		"a saved state that cannot be read":  {func(h storedHost) { h.write("var/lib/libvirt/qemu/save/clean.save", []byte("?")) }, "unknown", "unknown"},
		"a record that cannot be read":       {func(h storedHost) { h.text("run/libvirt/qemu/b.xml", "<domstatus") }, "unknown", "unknown"},
		"a chain that is refused":            {func(h storedHost) { h.qcow2("m.img", "base.img"); h.qcow2("o.qcow2", "m.img"); h.guest("a", overlay) }, "unknown", "unknown"},
		"an image that is not there":         {func(h storedHost) { h.guest("a", overlay) }, "unknown", "unknown"},
		"an optional one that is not there": {func(h storedHost) {
			h.guest("a", diskOf(fileDisk, "qcow2", "<source file='DIR/o.qcow2' startupPolicy='optional'/>"))
		}, "unknown", "unknown"},
		"one that is not there below, and optional": {func(h storedHost) {
			h.qcow2Over("o.qcow2", "gone.qcow2", "qcow2")
			h.guest("a", diskOf(fileDisk, "qcow2", "<source file='DIR/o.qcow2' startupPolicy='optional'/>"))
		}, "unknown", "unknown"},
		"an explicit chain to one that is not there": {func(h storedHost) {
			h.qcow2Over("o.qcow2", "gone.qcow2", "qcow2")
			h.guest("a", diskOf(fileDisk, "qcow2", "<source file='DIR/o.qcow2'/><backingStore type='file'><format type='qcow2'/><source file='DIR/gone.qcow2'/><backingStore/></backingStore>"))
		}, "unknown", "unknown"},
		"an image that is broken": {func(h storedHost) { h.write("o.qcow2", []byte("QFI\xfb")); h.guest("a", overlay) }, "unknown", "unknown"},
		"an image on the network": {func(h storedHost) {
			h.guest("a", "<disk type='network' device='disk'><driver name='qemu' type='qcow2'/><source protocol='nbd' name='x'><host name='h' port='10809'/></source><target dev='vda'/></disk>")
		}, "unknown", "unknown"},
		"a raw image on the network": {func(h storedHost) {
			h.guest("a", "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='nbd' name='x'><host name='h' port='10809'/></source><target dev='vda'/></disk>")
		}, "nobody", "nobody"},
		"a volume of no pool": {func(h storedHost) {
			h.guest("a", "<disk type='volume' device='disk'><driver name='qemu' type='raw'/><source pool='p' volume='base.img'/><target dev='vda'/></disk>")
		}, "unknown", "unknown"},
		"a process that has the image": {func(h storedHost) {
			h.guest("a", "<disk type='vhostuser' device='disk'><driver name='qemu' type='raw'/><source type='unix' path='/run/x.sock'/><target dev='vda'/></disk>")
		}, "unknown", "unknown"},
		"a CD that is not there": {func(h storedHost) {
			h.guest("a", "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='DIR/gone.iso'/><target dev='sda'/></disk>")
		}, "nobody", "nobody"},
		"an empty drive": {func(h storedHost) {
			h.guest("a", "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><target dev='sda'/></disk>")
		}, "nobody", "nobody"},
		"people's words": {func(h storedHost) {
			h.text("etc/libvirt/qemu/a.xml", strings.Replace(stored("a", ""), "<devices>", "<description>DIR/base.img</description><devices>", 1))
		}, "nobody", "nobody"},
		"a snapshot over it that nothing of now speaks for": {func(h storedHost) {
			h.qcow2Over("o.qcow2", "base.img", "qcow2")
			h.text("var/lib/libvirt/qemu/snapshot/clean/s.xml", snapshotOf("domain", overlay))
		}, "unknown", "unknown"},
		// A guest that writes a header into its raw disk makes neither base.img
		// certainly used nor others free.
		"a forged header": {func(h storedHost) {
			h.qcow2Over("raw.img", filepath.Join(h.dir, "base.img"), "qcow2")
			h.guest("a", raw("raw.img"))
		}, "unknown", "nobody"},
		"a forged header below": {func(h storedHost) {
			h.qcow2Over("m.img", filepath.Join(h.dir, "base.img"), "qcow2")
			h.qcow2Over("o.qcow2", "m.img", "raw")
			h.guest("a", overlay)
		}, "unknown", "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			h := whoHost(t)
			c.make(h)
			h.wantAnswer("base.img", c.base)
			h.wantAnswer("free.img", c.free)
		})
	}
}

func must(h storedHost, err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func imageOf(h storedHost, image mkimage.Qcow2) []byte {
	h.Helper()
	content, err := image.Bytes()
	must(h, err)
	return content
}

// TestWhoOfWhatIsNotThere: an image that is gone has its names alone, those by
// way of links too; and a folder, a FIFO or an unreadable file is never
// certainly unused.
func TestWhoOfWhatIsNotThere(t *testing.T) {
	h := whoHost(t)
	h.mkdir("images")
	h.symlink("images", "alias")
	h.symlink("images/lost.qcow2", "dangling")
	h.guest("a", "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='DIR/images/gone.iso'/><target dev='sda'/></disk>"+
		"<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='DIR/dangling'/><target dev='sdb'/></disk>")
	for image, want := range map[string]string{
		"images/gone.iso": "somebody", "alias/gone.iso": "somebody", "images/../images//gone.iso": "somebody",
		"dangling": "somebody", "images/lost.qcow2": "somebody", "alias/lost.qcow2": "somebody",
		"images/other.iso": "nobody", "gone.iso": "nobody", "images": "unknown",
	} {
		h.wantAnswer(image, want)
	}
	if u := h.who("images/gone.iso"); u.Exists == nil || *u.Exists {
		t.Errorf("%+v", u)
	}
	must(h, syscall.Mkfifo(filepath.Join(h.dir, "fifo"), 0o644))
	h.wantAnswer("fifo", "unknown")
	h.symlink("loop", "loop")
	h.wantAnswer("loop", "unknown")
	h.wantAnswer("loop/x", "unknown")
}

// TestWhoWhileHeadersAreToWin: until the chain is written that the headers state, what
// is below the one of the XML may be in use.
func TestWhoWhileHeadersAreToWin(t *testing.T) {
	h := whoHost(t)
	h.qcow2("other.qcow2", "")
	h.qcow2Over("m.qcow2", "base.img", "qcow2")
	h.qcow2Over("o.qcow2", "other.qcow2", "qcow2")
	h.guest("a", diskOf(fileDisk, "qcow2", "<source file='DIR/o.qcow2'/><backingStore type='file'><format type='qcow2'/><source file='DIR/m.qcow2'/></backingStore>"))
	for _, whose := range []chain.Disagreement{chain.RefuseDisagreement, chain.HeadersWin, chain.XMLWins} {
		for image, not := range map[string]string{"base.img": "nobody", "m.qcow2": "unknown", "other.qcow2": "unknown"} {
			got := answer(h.whoBy(&host.Scan{Policy: chain.Policy{Disagreement: whose}}, image))
			if got == "nobody" || got == not {
				t.Errorf("%v: %s: %s", whose, image, got)
			}
		}
	}
}

// TestWhoWithoutFolders: where a copy of the definitions alone is read, nobody knows of
// snapshots.
func TestWhoWithoutFolders(t *testing.T) {
	h := newStoredHost(t)
	h.qcow2("free.img", "")
	h.guest("clean", diskOf(fileDisk, "raw", "<source file='DIR/none.img'/>"))
	h.wantAnswer("free.img", "unknown")
	h.mkdir("var/lib/libvirt/qemu/snapshot")
	h.wantAnswer("free.img", "unknown")
	h.mkdir("var/lib/libvirt/qemu/save")
	h.wantAnswer("free.img", "nobody")
	// What runs is not known of a session's folder.
	folder := host.FolderAt(h.dir + "/session")
	for _, name := range []string{"snapshot/x", "save/x"} {
		h.mkdir("session/" + name)
	}
	h.text("session/clean.xml", stored("clean", ""))
	u, err := (&host.Scan{Inventory: folder}).Who(t.Context(), filepath.Join(h.dir, "free.img"))
	if err != nil || answer(u) != "unknown" {
		t.Errorf("%+v, %v", u, err)
	}
}

// TestWhoSaysWhere: a use is said once, with all places that state it; what other guests
// state of an image makes a chain known that is refused alone.
func TestWhoSaysWhere(t *testing.T) {
	h := whoHost(t)
	h.qcow2("m.img", "base.img")
	h.qcow2("o.qcow2", "m.img")
	disk := diskOf(fileDisk, "qcow2", "<source file='DIR/o.qcow2'/>")
	h.guest("a", disk)
	h.wantAnswer("base.img", "unknown")
	h.guest("b", diskOf(fileDisk, "qcow2", "<source file='DIR/m.img'/>"))
	h.wantAnswer("base.img", "somebody")
	h.wantAnswer("free.img", "nobody")
	u := h.whoBy(&host.Scan{Policy: chain.Policy{Rule: chain.Leaf}}, "o.qcow2")
	if len(u.Uses) != 1 || !u.Uses[0].Writes || u.Uses[0].Disk != "vda" || !slices.Equal(u.Uses[0].In, []string{"definition"}) || u.Guests != 3 {
		t.Errorf("%+v", u)
	}
	h.status("a", disk)
	u = h.who("o.qcow2")
	if len(u.Uses) != 1 || !slices.Equal(u.Uses[0].In, []string{"definition", "running XML"}) {
		t.Errorf("%+v", u)
	}
	// The operator's word counts, too.
	h = whoHost(t)
	h.qcow2("m.img", "base.img")
	h.qcow2("o.qcow2", "m.img")
	h.guest("a", disk)
	u = h.whoBy(&host.Scan{Policy: chain.Policy{Trust: []chain.Statement{{Path: filepath.Join(h.dir, "m.img"), Format: probe.Qcow2}}}}, "base.img")
	if answer(u) != "somebody" || len(u.Doubts) > 0 {
		t.Errorf("%+v", u)
	}
}
