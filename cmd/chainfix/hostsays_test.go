package main

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// sayingHost is a real host whose guests say something of each other's images,
// which are in a folder, DIR in the texts below.
type sayingHost struct {
	*testing.T
	l   *peers.Libvirt
	dir string
}

// put writes an image that the daemon's user owns.
func (h sayingHost) put(name string, image []byte) {
	h.Helper()
	writeFile(h.T, filepath.Join(h.dir, name), image)
	h.l.Share(h.dir)
}

// overlays writes qcow2 images over base.img that record no format.
func (h sayingHost) overlays(names ...string) {
	h.Helper()
	for _, name := range names {
		h.put(name, bytesOf(named("base.img", "")))
	}
}

// disk is a disk whose image is a file of the folder, with more inside.
func (h sayingHost) disk(target, format, name string, more ...string) string {
	inside := strings.ReplaceAll(strings.Join(more, ""), "DIR", h.dir)
	return fmt.Sprintf("<disk type='file' device='disk'><driver name='qemu' type='%s'/><source file='%s'/>%s<target dev='%s' bus='virtio'/></disk>",
		format, filepath.Join(h.dir, name), inside, target)
}

// document is the definition of a guest, which has the same UUID each time.
func (h sayingHost) document(guest string, disks ...string) string {
	return h.documentAs(guest, guest, disks...)
}

// documentAs is document with the UUID of another guest.
func (h sayingHost) documentAs(other, guest string, disks ...string) string {
	uuid := fmt.Sprintf("</name><uuid>00000000-0000-4000-8000-0000%08x</uuid>", crc32.ChecksumIEEE([]byte(other)))
	return strings.Replace(peers.SmallGuest(guest, disks[0], disks[1:]...), "</name>", uuid, 1)
}

func (h sayingHost) define(guest string, disks ...string) {
	h.Helper()
	h.l.Define(h.document(guest, disks...))
}

// file writes a text where virsh can read it.
func (h sayingHost) file(name, text string) string {
	h.Helper()
	h.put(name, []byte(text))
	return filepath.Join(h.dir, name)
}

// scanned is what a scan says of a guest's disk: its verdict, the findings, and
// the format and the origin of each layer. texts are those of the findings.
func (h sayingHost) scanned(guest, target string, flags ...string) (said, texts string) {
	h.Helper()
	for _, status := range []int{exitDone, exitChange, exitRefused} {
		r := runHost(h.T, h.l, append(append([]string{"scan"}, flags...), guest)...)
		if r.status != status {
			continue
		}
		_, guests := scanHost(h.T, h.l, status, append(flags, guest)...)
		for _, d := range guests[guest].Disks {
			if d.Target != target {
				continue
			}
			said = d.Verdict + ":"
			for _, f := range d.Findings {
				said += " " + f.Code
				texts += f.Text + "\n"
			}
			said += ";"
			for _, layer := range d.Layers {
				said += " " + layer.Format + "/" + layer.From
			}
			return said, texts
		}
	}
	h.Fatalf("nothing is said of %q of %q", target, guest)
	return "", ""
}

// says checks what a scan reports on a guest's first disk, and that it names
// another guest.
func (h sayingHost) says(guest, want, who string, flags ...string) {
	h.Helper()
	said, texts := h.scanned(guest, "vda", flags...)
	if said != want || !strings.Contains(texts, who) {
		h.Errorf("said of %q: %s\nwant: %s\nwith %s in:\n%s", guest, said, want, who, texts)
	}
}

// apply changes guests, and checks the status.
func (h sayingHost) apply(want int, args ...string) {
	h.Helper()
	r := runHost(h.T, h.l, append([]string{"apply", "--state-dir", filepath.Join(h.dir, "state")}, args...)...)
	if r.status != want {
		h.Errorf("apply %q: status %d, not %d\n%s%s", args, r.status, want, r.out, r.errors)
	}
}

func (h sayingHost) definition(guest string) string {
	h.Helper()
	return h.l.Virsh("dumpxml", "--inactive", "--security-info", guest)
}

// untouched runs the program and checks that no call of it names a file of the
// folder.
func (h sayingHost) untouched(name string, status int, args ...string) {
	h.Helper()
	path := filepath.Join(h.dir, name)
	calls := trace(h.T, h.dir, status, args...)
	if !strings.Contains(calls, "base.img") {
		h.Errorf("%q: the calls do not show what is opened", args)
	}
	for line := range strings.Lines(calls) {
		if strings.Contains(line, path) {
			h.Errorf("%q: %s", args, line)
		}
	}
}

// forged is a qcow2 image that names a file.
func (h sayingHost) forged(name string) []byte {
	return bytesOf(mkimage.Qcow2{VirtualSize: attackSize, Backing: filepath.Join(h.dir, name), BackingFormat: "raw"})
}

// TestStatementsOfGuests: what the guests of a real host say of an image whose format
// is recorded nowhere, now and in what libvirt keeps of the past.
func TestStatementsOfGuests(t *testing.T) {
	l := peers.StartLibvirt(t)
	peers.Require(t, "strace", "qemu-img")
	installProgram(t, l)
	const (
		refusedRaw  = "refused: raw-disk-elsewhere; qcow2/xml /"
		writtenRaw  = "refused: base-written raw-disk-elsewhere; qcow2/xml /"
		byItsHeader = "fixable: probed-format; qcow2/xml qcow2/probe"
	)
	for name, c := range map[string]func(h sayingHost){
		"snapshot of an image that was qcow2 then": func(h sayingHost) {
			h.put("base.img", nil)
			if out, err := l.Command("qemu-img", "create", "-q", "-f", "qcow2", filepath.Join(h.dir, "base.img"), "1M").CombinedOutput(); err != nil {
				h.Fatalf("%v: %s", err, out)
			}
			h.define("asks", h.disk("vda", "qcow2", "base.img"))
			l.Virsh("snapshot-create-as", "asks", "s")
			// From now on it is the guest's raw disk, and the guest writes a
			// header to it.
			h.put("secret", rawDisk)
			h.put("base.img", append(h.forged("secret"), make([]byte, attackSize)...))
			h.overlays("top")
			h.define("asks", h.disk("vda", "qcow2", "top"))
			h.says("asks", "refused: probed-backing; qcow2/xml /", "secret")
			before := h.definition("asks")
			h.apply(exitRefused)
			h.apply(exitRefused, "asks")
			if h.definition("asks") != before {
				h.Error("the definition has changed")
			}
			h.untouched("secret", exitRefused, "host", "scan", "--connect", l.URI())
			h.untouched("secret", exitRefused, "fix", h.file("asks.xml", before))
		},
		"guess that was written for a neighbour": func(h sayingHost) {
			h.put("base.img", qcow2Disk)
			h.overlays("a", "b")
			h.define("applied", h.disk("vda", "qcow2", "a"))
			h.define("asks", h.disk("vda", "qcow2", "b"))
			const unrecorded = "refused: format-unrecorded; qcow2/xml /"
			h.says("asks", unrecorded, "", "--rule", "declared")
			h.says("asks", byItsHeader, "")
			h.apply(exitDone, "applied")
			h.says("applied", "explicit:; qcow2/xml qcow2/xml", "")
			h.says("asks", unrecorded, "", "--rule", "declared")
			h.says("asks", byItsHeader, "")
			// What such an image names later is not trusted either.
			h.put("secret", rawDisk)
			h.put("base.img", h.forged("secret"))
			h.says("asks", "refused: probed-not-raw probed-backing; qcow2/xml /", "", "--rule", "strict")
			h.apply(exitRefused, "--rule", "strict", "asks")
			for _, guest := range []string{"asks", "applied"} {
				file := h.file(guest+".xml", h.definition(guest))
				h.untouched("secret", exitRefused, "check", file)
				h.untouched("secret", exitRefused, "fix", "--refresh", file)
			}
			h.untouched("secret", exitRefused, "host", "scan", "--connect", l.URI())
		},
		"raw disk of a guest that runs": func(h sayingHost) {
			h.put("base.img", append(qcow2Disk, make([]byte, 4*attackSize)...))
			h.overlays("top")
			h.define("asks", h.disk("vda", "qcow2", "top"))
			h.define("writer", h.disk("vda", "raw", "base.img"))
			l.Virsh("start", "--paused", "writer")
			h.says("asks", writtenRaw, `disk "vda" of the guest "writer"`)
			l.Virsh("undefine", "writer") // it goes on, transient
			h.says("asks", writtenRaw, `disk "vda" of the guest "writer"`)
			h.apply(exitRefused, "asks")
			l.Virsh("destroy", "writer")
			h.says("asks", byItsHeader, "")
			l.Virsh("create", h.file("writer.xml", h.document("writer", h.disk("vda", "raw", "base.img"))), "--paused")
			h.says("asks", writtenRaw, `disk "vda" of the guest "writer"`)
			h.apply(exitRefused, "asks")
			if strings.Contains(h.definition("asks"), "<backingStore type=") {
				h.Error("a chain was written")
			}
		},
		"raw below another disk of the guest": func(h sayingHost) {
			h.put("base.img", qcow2Disk)
			h.overlays("two")
			h.put("one", bytesOf(named("base.img", "")))
			document := h.document("asks", h.disk("vda", "qcow2", "two"), h.disk("vdb", "qcow2", "one", over("base.img", "raw", end)))
			l.Define(document)
			const want = "fixable: probed-format raw-disk-elsewhere; qcow2/xml qcow2/probe"
			h.says("asks", want, `below the disk "vdb" of the guest "asks"`)
			fixed := trace(h.T, h.dir, exitDone, "fix", "-w", h.file("asks.xml", document))
			written, err := os.ReadFile(filepath.Join(h.dir, "asks.xml"))
			if err != nil || !strings.Contains(string(written), "<format type='qcow2'/>") || strings.Count(string(written), "<format type='raw'/>") != 1 {
				h.Errorf("fix wrote: %v\n%s\n%s", err, written, fixed)
			}
			before := h.definition("asks")
			h.apply(exitRefused)
			if h.definition("asks") != before {
				h.Error("the guest is changed without being named")
			}
			h.apply(exitDone, "asks")
			h.says("asks", "explicit:; qcow2/xml qcow2/xml", "")
		},
		"raw that is recorded, before and after it is applied": func(h sayingHost) {
			h.put("base.img", qcow2Disk)
			h.put("a", bytesOf(named("base.img", "raw")))
			h.overlays("b")
			h.define("other", h.disk("vda", "qcow2", "a"))
			h.define("asks", h.disk("vda", "qcow2", "b"))
			const want = "fixable: probed-format raw-disk-elsewhere; qcow2/xml qcow2/probe"
			h.says("other", "fixable: raw-with-signature; qcow2/xml raw/header", "")
			h.says("asks", want, `below the disk "vda" of the guest "other"`)
			h.apply(exitDone, "other")
			h.says("other", "explicit: raw-with-signature; qcow2/xml raw/xml", "")
			h.says("asks", want, `below the disk "vda" of the guest "other"`)
			h.apply(exitDone, "--trust", filepath.Join(h.dir, "base.img")+"=raw", "asks")
			h.says("asks", "explicit: raw-with-signature; qcow2/xml raw/xml", "")
		},
		"record in QEMU's own word": func(h sayingHost) {
			for format, image := range map[string][]byte{"vhdx": vhdxDisk, "parallels": ploopDisk, "qcow2": qcow2Disk} {
				h.put("base.img", image)
				h.put("top", bytesOf(named("base.img", format)))
				h.define("asks", h.disk("vda", "qcow2", "top", over("base.img", "raw", end)))
				h.says("asks", "refused: format-conflict; qcow2/xml", "its overlay records "+format)
				l.Virsh("undefine", "asks")
			}
		},

		"internal snapshot with a raw disk": func(h sayingHost) {
			h.put("base.img", qcow2Disk)
			h.overlays("top")
			h.define("asks", h.disk("vda", "qcow2", "top"))
			// libvirt does not make such a snapshot, so it is redefined.
			writer := h.document("writer", h.disk("vda", "raw", "base.img"))
			l.Define(h.document("writer", h.disk("vda", "raw", "none")))
			h.redefineSnapshot("writer", writer)
			h.says("asks", refusedRaw, `disk "vda" of the guest "writer"`)
			// The same metadata of a guest that has another name by now.
			l.Virsh("undefine", "--snapshots-metadata", "writer")
			h.says("asks", byItsHeader, "")
			l.Define(h.documentAs("writer", "renamed", h.disk("vda", "raw", "none")))
			h.redefineSnapshot("renamed", writer)
			h.says("asks", refusedRaw, `disk "vda" of the guest "renamed"`)
		},
		"external snapshot of a raw disk": func(h sayingHost) {
			h.put("base.img", qcow2Disk)
			h.overlays("top")
			h.define("asks", h.disk("vda", "qcow2", "top"))
			h.define("writer", h.disk("vda", "raw", "base.img"))
			l.Virsh("start", "--paused", "writer")
			l.Virsh("snapshot-create-as", "writer", "s", "--disk-only", "--diskspec", "vda,file="+filepath.Join(h.dir, "overlay"))
			h.says("asks", refusedRaw, `disk "vda" of the guest "writer"`)
			l.Virsh("destroy", "writer")
			h.says("asks", refusedRaw, `disk "vda" of the guest "writer"`)
			// Without the snapshot it is a raw one below an overlay.
			l.Virsh("snapshot-delete", "writer", "s", "--metadata")
			h.says("asks", "fixable: probed-format raw-disk-elsewhere; qcow2/xml qcow2/probe", `below the disk "vda" of the guest "writer"`)
		},
		"copy to a raw image": func(h sayingHost) {
			h.put("base.img", make([]byte, attackSize))
			h.put("disk", rawDisk)
			h.overlays("top")
			h.define("asks", h.disk("vda", "qcow2", "top"))
			h.define("writer", h.disk("vda", "raw", "disk"))
			l.Virsh("start", "--paused", "writer")
			l.Virsh("blockcopy", "writer", "vda", filepath.Join(h.dir, "base.img"), "--format", "raw", "--reuse-external", "--transient-job")
			h.put("base.img", qcow2Disk) // as the guest may
			h.says("asks", writtenRaw, `disk "vda" of the guest "writer"`)
		},
		"commit into a raw image": func(h sayingHost) {
			h.put("base.img", rawDisk)
			h.put("overlay", bytesOf(named("base.img", "raw")))
			h.overlays("top")
			h.define("asks", h.disk("vda", "qcow2", "top"))
			h.define("writer", h.disk("vda", "qcow2", "overlay"))
			l.Virsh("start", "--paused", "writer")
			l.Virsh("blockcommit", "writer", "vda", "--active")
			h.put("base.img", append(bytesOf(mkimage.Qcow2{VirtualSize: attackSize}), make([]byte, 12345)...))
			said, texts := h.scanned("asks", "vda")
			if !strings.HasPrefix(said, "refused:") || !strings.Contains(said, " raw-disk-elsewhere") || !strings.Contains(texts, `raw disk "vda" of the guest "writer"`) {
				h.Errorf("said: %s\n%s", said, texts)
			}
		},
		"managed save of a guest that had it": func(h sayingHost) {
			h.put("base.img", qcow2Disk)
			h.put("none", rawDisk)
			h.overlays("top")
			h.define("asks", h.disk("vda", "qcow2", "top"))
			h.define("writer", h.disk("vda", "raw", "base.img"))
			l.Virsh("start", "--paused", "writer")
			l.Virsh("managedsave", "writer")
			h.define("writer", h.disk("vda", "raw", "none"))
			h.says("asks", refusedRaw, `disk "vda" of the guest "writer"`)
			l.Virsh("managedsave-remove", "writer")
			h.says("asks", byItsHeader, "")
		},
		"checkpoint of a guest that had it": func(h sayingHost) {
			h.put("base.img", qcow2Disk)
			h.put("disk", qcow2Disk)
			h.overlays("top")
			h.define("asks", h.disk("vda", "qcow2", "top"))
			h.define("writer", h.disk("vda", "qcow2", "disk"), h.disk("vdb", "raw", "base.img"))
			l.Virsh("start", "--paused", "writer")
			l.Virsh("checkpoint-create", "writer", h.file("c.xml",
				"<domaincheckpoint><name>c</name><disks><disk name='vda' checkpoint='bitmap'/><disk name='vdb' checkpoint='no'/></disks></domaincheckpoint>"))
			l.Virsh("destroy", "writer")
			h.define("writer", h.disk("vda", "qcow2", "disk"))
			h.says("asks", refusedRaw, `disk "vdb" of the guest "writer"`)
		},
		"image by other names": func(h sayingHost) {
			h.put("base.img", qcow2Disk)
			h.overlays("top")
			h.define("asks", h.disk("vda", "qcow2", "top"))
			for name, link := range map[string]func(old, new string) error{"hard": os.Link, "soft": os.Symlink} {
				if err := link(filepath.Join(h.dir, "base.img"), filepath.Join(h.dir, name)); err != nil {
					h.Fatal(err)
				}
				h.define("writer", h.disk("vda", "raw", name))
				h.says("asks", writtenRaw, `disk "vda" of the guest "writer"`)
				h.define("writer", h.disk("vda", "qcow2", name))
				h.says("asks", "fixable: base-written stated-elsewhere; qcow2/xml qcow2/libvirt", `disk "vda" of the guest "writer"`)
				l.Virsh("undefine", "writer")
			}
			part := func(format string, offset int) string {
				return strings.Replace(h.disk("vda", format, "base.img"), "/><target", fmt.Sprintf("><slices><slice type='storage' offset='%d' size='512'/></slices></source><target", offset), 1)
			}
			h.define("writer", part("raw", 512))
			h.says("asks", writtenRaw, `disk "vda" of the guest "writer"`)
			// What a part of it is says nothing of the whole.
			h.define("writer", part("qcow2", 0))
			h.says("asks", "fixable: base-written probed-format; qcow2/xml qcow2/probe", `disk "vda" of the guest "writer"`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp(l.Images, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			l.Share(dir)
			c(sayingHost{t, l, dir})
			for guest := range strings.FieldsSeq(l.Virsh("list", "--name", "--state-running", "--state-paused")) {
				l.Virsh("destroy", guest)
			}
			for guest := range strings.FieldsSeq(l.Virsh("list", "--all", "--name")) {
				l.Virsh("undefine", guest, "--managed-save", "--snapshots-metadata", "--checkpoints-metadata")
			}
		})
	}
}

// redefineSnapshot tells libvirt of a snapshot of a guest that was off, with the
// definition that the guest had.
func (h sayingHost) redefineSnapshot(guest, definition string) {
	h.Helper()
	h.l.Virsh("snapshot-create", guest, "--redefine", h.file("snapshot.xml",
		"<domainsnapshot><name>s</name><state>shutoff</state><creationTime>1</creationTime><memory snapshot='no'/>"+
			"<disks><disk name='vda' snapshot='internal'/></disks>"+definition+"</domainsnapshot>"))
}
