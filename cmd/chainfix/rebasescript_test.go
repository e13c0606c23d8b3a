package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// rebaseRow is an overlay without a record, and what the script does with it.
type rebaseRow struct {
	name   string // of the folder that its images are in, too
	images map[string][]byte
	top    string // "" for "top"
	disk   string // instead of a qcow2 disk with the top as its image
	trust  string // IMAGE=FORMAT
	file   string // the image that the row is about; "" for the top

	// make changes the images, once they are there.
	make func(h *rebaseHost, dir string)
	// before is what happens between the scan and the script.
	before func(h *rebaseHost, guest, dir string)

	format  string // that the script records; "" for none
	comment string // in the script, if there is no command for the image
	left    string // what the script says of an image that it leaves
}

// rebaseRows are the rows of [TestRebaseScript].
func rebaseRows() []rebaseRow {
	overRaw := files(named("base.img", ""), rawDisk)
	const injected = "'\"$(touch PWNED)`touch PWNED`;touch PWNED\\"
	unknownBit := patched(bytesOf(named("base.img", "")), 88, 0x80)
	dirty := patched(bytesOf(named("base.img", "")), 79, 1)
	with := func(top []byte) map[string][]byte { return map[string][]byte{"top": top, "base.img": rawDisk} }
	return []rebaseRow{
		{name: "stated by the operator", images: overRaw, trust: "base.img=raw", format: "raw"},
		{name: "stated qcow2", images: files(named("base.img", ""), qcow2Disk), trust: "base.img=qcow2", format: "qcow2"},
		{name: "stated vdi", images: files(named("base.img", ""), vdiDisk), trust: "base.img=vdi", format: "vdi"},
		{name: "small clusters", images: with(bytesOf(mkimage.Qcow2{VirtualSize: attackSize, ClusterBits: 9, Backing: "base.img"})), trust: "base.img=raw", format: "raw"},
		{name: "large clusters", images: with(bytesOf(mkimage.Qcow2{VirtualSize: attackSize, ClusterBits: 21, Backing: "base.img"})), trust: "base.img=raw", format: "raw"},
		{name: "version 2", images: with(bytesOf(mkimage.Qcow2{VirtualSize: attackSize, Version: 2, Backing: "base.img"})), trust: "base.img=raw", format: "raw"},
		{name: "below the top", images: map[string][]byte{"top": bytesOf(named("middle", "qcow2")), "middle": bytesOf(named("base.img", "")), "base.img": rawDisk},
			file: "middle", trust: "base.img=raw", format: "raw"},
		{name: "below another top", images: map[string][]byte{"top": bytesOf(named("../below the top/middle", "qcow2"))}, file: "../below the top/middle", format: "raw"},
		{name: "own disk of another guest", images: map[string][]byte{"top": bytesOf(mkimage.Qcow2{VirtualSize: attackSize, Data: payload})}, comment: "-"},
		{name: "stated by another guest", images: map[string][]byte{"top": bytesOf(named("../own disk of another guest/top", ""))}, format: "qcow2"},
		{name: "a record", images: files(named("base.img", "raw"), rawDisk), comment: "-"},
		{name: "recorded by another overlay", images: map[string][]byte{"top": bytesOf(named("../a record/base.img", ""))}, format: "raw"},
		{name: "sd card", images: overRaw, trust: "base.img=raw", format: "raw",
			disk: `<driver name='qemu' type='qcow2'/><source file='DIR/top'/><target dev='sda' bus='sd'/>`},

		{name: "guess", images: overRaw, comment: "QUESTION"},
		{name: "guess of qcow2", images: files(named("base.img", ""), qcow2Disk), comment: "QUESTION"},
		{name: "refused", images: files(named("base.img", ""), bytesOf(named("secret", ""))), comment: "QUESTION"},
		{name: "by a backingStore alone", images: overRaw, comment: "QUESTION",
			disk: topDisk + over("base.img", "raw", end)},

		{name: "said to be raw", images: map[string][]byte{"top": bytesOf(named("../own disk of another guest/top", ""))}, comment: "QUESTION",
			disk: topDisk + over("../own disk of another guest/top", "raw", end)},
		{name: "said to be qcow2", images: map[string][]byte{"x": nil}, comment: "QUESTION", file: "../said to be raw/top",
			disk: `<driver name='qemu' type='qcow2'/><source file='DIR/../said to be raw/top'/>`},

		{name: injected, images: overRaw, trust: "base.img=raw", format: "raw"},
		{name: "hostile names", top: "-f '$(touch PWNED)", images: map[string][]byte{"-f '$(touch PWNED)": bytesOf(named("-b "+injected+"\u202e.img", "")), "-b " + injected + "\u202e.img": rawDisk},
			trust: "-b " + injected + "\u202e.img=raw", format: "raw"},
		{name: "line\nbreak", images: overRaw, trust: "base.img=raw", comment: "-"}, // libvirt makes a space of it
		{name: "line break in a name", images: files(named("a\nb.img", ""), rawDisk, "a\nb.img", rawDisk), comment: "QUESTION"},

		{name: "bitmaps", images: overRaw, trust: "base.img=raw", comment: "LEFT OUT",
			make: func(h *rebaseHost, dir string) { h.run(dir, "qemu-img", "bitmap", "--add", "-f", "qcow2", "top", "b") }},
		{name: "lazy refcounts", make: created("-o", "lazy_refcounts=on"), trust: "base.img=raw", format: "raw"},
		{name: "extended L2", make: created("-o", "extended_l2=on"), trust: "base.img=raw", format: "raw"},
		{name: "zstd", make: created("-o", "compression_type=zstd"), trust: "base.img=raw", format: "raw"},
		{name: "internal snapshot", trust: "base.img=raw", format: "raw", make: func(h *rebaseHost, dir string) {
			created()(h, dir)
			h.run(dir, "qemu-img", "snapshot", "-c", "s", "top")
		}},
		{name: "encrypted", trust: "base.img=raw", comment: "LEFT OUT",
			disk: `<driver name='qemu' type='qcow2'/><source file='DIR/top'><encryption format='luks'><secret type='passphrase' uuid='00000000-0000-4000-8000-000000000001'/></encryption></source>`,
			// What makes a LUKS header measures how fast the processor is, and fails on a busy one.
			make: created("--object", "secret,id=s,data=secret7", "-o", "encrypt.format=aes,encrypt.key-secret=s")},
		{name: "unknown bit", images: with(unknownBit), trust: "base.img=raw", comment: "LEFT OUT"},
		{name: "unknown extension", images: with(bytesOf(extended("", mkimage.Extension{Type: 0x4711, Data: []byte("x")}))), trust: "base.img=raw", comment: "LEFT OUT"},
		{name: "not closed", images: with(dirty), trust: "base.img=raw", comment: "LEFT OUT"},
		{name: "vmdk", images: with(bytesOf(mkimage.VMDK{VirtualSize: attackSize, Backing: "base.img"})), trust: "base.img=vmdk", comment: "-",
			disk: `<driver name='qemu' type='vmdk'/><source file='DIR/top'/>`},
		{name: "vhdx below", images: files(named("base.img", ""), vhdxDisk), trust: "base.img=vhdx", comment: "LEFT OUT"},

		{name: "running", images: overRaw, trust: "base.img=raw", left: "is not shut off",
			before: func(h *rebaseHost, guest, _ string) { h.l.Virsh("start", "--paused", guest) }},
		{name: "running without a definition", images: overRaw, trust: "base.img=raw", left: `lock`,
			before: func(h *rebaseHost, _, dir string) {
				file := filepath.Join(h.l.Dir, "transient.xml")
				writeFile(h.T, file, []byte(h.document("transient", topDisk, dir)))
				h.l.Virsh("create", "--paused", file)
			}},
		{name: "open to another program", images: overRaw, trust: "base.img=raw", left: `lock`,
			before: func(h *rebaseHost, _, dir string) { h.hold(filepath.Join(dir, "top")) }},
		{name: "changed since", images: overRaw, trust: "base.img=raw", left: "is not the one that was scanned",
			before: func(h *rebaseHost, _, dir string) {
				h.run(dir, "qemu-img", "resize", "-q", "-f", "qcow2", "top", "16M")
			}},
		{name: "replaced since", images: overRaw, trust: "base.img=raw", left: "is not the one that was scanned",
			before: func(h *rebaseHost, _, dir string) { h.put(filepath.Join(dir, "top"), qcow2Disk) }},
		{name: "gone since", images: overRaw, trust: "base.img=raw", left: "is not the one that was scanned",
			before: func(h *rebaseHost, _, dir string) {
				if err := os.Remove(filepath.Join(dir, "top")); err != nil {
					h.Fatal(err)
				}
			}},
	}
}

// created makes an overlay by qemu-img, with options, and takes its record away.
func created(options ...string) func(*rebaseHost, string) {
	return func(h *rebaseHost, dir string) {
		h.put(filepath.Join(dir, "base.img"), rawDisk)
		h.run(dir, "qemu-img", slices.Concat([]string{"create", "-q", "-f", "qcow2"}, options, []string{"-b", "base.img", "-F", "raw", "top"})...)
		h.put(filepath.Join(dir, "top"), unrecorded(h.T, filepath.Join(dir, "top")))
	}
}

// unrecorded returns a qcow2 image without the record that qemu-img always makes.
func unrecorded(t *testing.T, path string) []byte {
	t.Helper()
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	start, stop := binary.BigEndian.Uint32(image[100:]), binary.BigEndian.Uint64(image[8:])
	if binary.BigEndian.Uint32(image[start:]) != mkimage.ExtBackingFormat {
		t.Fatal("the record is not the first extension")
	}
	rest := bytes.Clone(image[start+16 : stop])
	copy(image[start:stop], append(rest, make([]byte, 16)...))
	return image
}

// rebaseHost is the host of [TestRebaseScript].
type rebaseHost struct {
	*testing.T
	l *peers.Libvirt
}

func (h *rebaseHost) put(path string, image []byte) {
	h.Helper()
	writeFile(h.T, path, image)
}

func (h *rebaseHost) run(dir, program string, args ...string) {
	h.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		h.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
}

// hold opens an image as a running guest would, until the test ends.
func (h *rebaseHost) hold(path string) {
	h.Helper()
	cmd := h.l.Command("qemu-io", "-f", "qcow2", path)
	in, err := cmd.StdinPipe()
	if err != nil {
		h.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { in.Close(); cmd.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil { // its prompt
		h.Fatal(err)
	}
}

func (h *rebaseHost) document(guest, disk, dir string) string {
	if !strings.Contains(disk, "<target ") {
		disk += "<target dev='vda' bus='virtio'/>"
	}
	return peers.SmallGuest(asXML(guest), "<disk type='file' device='disk'>"+strings.ReplaceAll(disk, "DIR", asXML(dir))+"</disk>")
}

func asXML(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s))
	return b.String()
}

// script runs a script, and returns its status and what it has said.
func (h *rebaseHost) script(shell, path string) (int, string) {
	h.Helper()
	cmd := h.l.Command(shell, path)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		h.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// saidOf is the line of a script's output about an image.
func saidOf(out, path string) string {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, fmt.Sprintf("%q: ", path)) {
			return line
		}
	}
	return ""
}

// recordOf is what qemu-img says that an image names, and as what.
func (h *rebaseHost) recordOf(path string) (name, format string) {
	h.Helper()
	out, err := exec.Command("qemu-img", "info", "-U", "--output=json", "-f", "qcow2", path).Output()
	var info struct {
		Name   string `json:"backing-filename"`
		Format string `json:"backing-filename-format"`
	}
	if err == nil {
		err = json.Unmarshal(out, &info)
	}
	if err != nil {
		h.Fatalf("qemu-img info %q: %v", path, err)
	}
	return info.Name, info.Format
}

// TestRebaseScript: on a host of real guests, the script records what was stated and
// nothing else, and the undo script restores every image that is still as the first
// script left it.
func TestRebaseScript(t *testing.T) {
	t.Parallel()
	peers.Require(t, "qemu-img", "qemu-io", "bash")
	h := &rebaseHost{t, peers.StartLibvirt(t)}
	installProgram(t, h.l)
	rows := rebaseRows()
	var flags []string
	var dirs, guests, images []string
	for n := range rows {
		r := &rows[n]
		if r.top == "" {
			r.top = "top"
		}
		if r.file == "" {
			r.file = r.top
		}
		if r.disk == "" {
			r.disk = `<driver name='qemu' type='qcow2'/><source file='DIR/` + asXML(r.top) + `'/>`
		}
		dir := filepath.Join(h.l.Images, r.name)
		dirs, guests, images = append(dirs, dir), append(guests, fmt.Sprintf("g%02d '$(touch PWNED)", n)), append(images, filepath.Join(dir, r.file))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, image := range r.images {
			h.put(filepath.Join(dir, name), image)
		}
		if r.make != nil {
			r.make(h, dir)
		}
		if r.trust != "" {
			flags = append(flags, "--trust", filepath.Join(dir, r.trust))
		}
	}
	h.l.Share(h.l.Images)
	for n, r := range rows {
		h.l.Define(h.document(guests[n], r.disk, dirs[n]))
	}

	script := filepath.Join(h.l.Dir, "record '$(touch PWNED).sh")
	ran := runHost(t, h.l, append([]string{"scan", "--rebase-script", script}, flags...)...)
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatalf("%v\n%s", err, ran.errors)
	}
	t.Logf("%s\n%s", ran.errors, text)
	pristine := make(map[string][]byte)
	for n, r := range rows {
		called, commented := false, ""
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, " "+shellQuoted(images[n])+" ") && strings.HasPrefix(line, "\trecord ") {
				called = true
			}
			if kind, _, ok := strings.Cut(line, fmt.Sprintf(" %q: ", images[n])); ok && strings.HasPrefix(line, "\t# ") {
				commented = strings.TrimPrefix(kind, "\t# ")
			}
		}
		want := strings.TrimPrefix(r.comment, "-")
		if called != (r.comment == "") || commented != want {
			t.Errorf("%q: command %v, comment %q; want the comment %q", r.name, called, commented, want)
		}
		if r.before != nil {
			r.before(h, guests[n], dirs[n])
		}
		pristine[images[n]], _ = os.ReadFile(images[n])
	}

	cut := filepath.Join(h.l.Dir, "cut.sh")
	writeFile(t, cut, bytes.TrimSuffix(text, []byte("main\n")))
	if status, out := h.script("sh", cut); status != 0 || out != "" {
		t.Errorf("a script without its end: status %d\n%s", status, out)
	}
	if status, out := h.script("sh", script+".undo"); status != 0 || out != "nothing was recorded\n" {
		t.Errorf("undo of nothing: status %d\n%s", status, out)
	}
	status, out := h.script("sh", script)
	t.Log(out)
	if status != 1 { // some are left
		t.Errorf("status %d", status)
	}
	for n, r := range rows {
		now, _ := os.ReadFile(images[n])
		said := saidOf(out, images[n])
		if r.format == "" {
			if !bytes.Equal(now, pristine[images[n]]) || !strings.Contains(said, r.left) || (r.left == "") != (said == "") {
				t.Errorf("%q: changed: %v; said: %q", r.name, !bytes.Equal(now, pristine[images[n]]), said)
			}
			continue
		}
		if r.name == "below another top" {
			continue // as the one before it
		}
		nameBefore := backingName(pristine[images[n]])
		name, format := h.recordOf(images[n])
		cluster := 1 << binary.BigEndian.Uint32(now[20:])
		if name != nameBefore || format != r.format || !bytes.Equal(now[cluster:], pristine[images[n]][cluster:]) || !strings.Contains(said, ": recorded "+r.format) {
			t.Errorf("%q: names %q as %s; was %q; said %q", r.name, name, format, nameBefore, said)
		}
	}
	if status, again := h.script("bash", script); status != 1 || strings.Count(again, ": already recorded\n") != strings.Count(out, ": recorded ") {
		t.Errorf("again: status %d\n%s", status, again)
	}

	// What is recorded needs no statement any more.
	ran = runHost(t, h.l, "scan", "--rule", "declared", guests[0])
	if ran.status != exitChange {
		t.Errorf("scan: status %d\n%s", ran.status, ran.errors)
	}
	leave := map[string]string{"stated qcow2": "is not shut off", "version 2": "was written to", "large clusters": "lock"}
	at := func(name string) int { return slices.IndexFunc(rows, func(r rebaseRow) bool { return r.name == name }) }
	before := len(h.l.DebugLog())
	h.l.Virsh("start", "--paused", guests[at("stated qcow2")])
	if log := h.l.DebugLog()[before:]; strings.Contains(log, "virStorageFileProbeFormat") || !strings.Contains(log, "virStorageSourceGetMetadata") {
		t.Error("libvirt guesses although the format is recorded, or its log does not tell")
	}
	h.run(dirs[at("version 2")], "qemu-io", "-f", "qcow2", "-c", "write 0 512", "top")
	h.hold(images[at("large clusters")])
	status, out = h.script("sh", script+".undo")
	t.Log(out)
	if status != 1 {
		t.Errorf("undo: status %d", status)
	}
	for n, r := range rows {
		if r.format == "" {
			continue
		}
		now, _ := os.ReadFile(images[n])
		said := saidOf(out, images[n])
		if back := bytes.Equal(now, pristine[images[n]]); back != (leave[r.name] == "") || !strings.Contains(said, leave[r.name]) {
			t.Errorf("%q: as before: %v; said: %q", r.name, back, said)
		}
	}
	if _, again := h.script("sh", script+".undo"); strings.Count(again, "already has its old header") != strings.Count(out, "old header restored") {
		t.Errorf("undo again:\n%s", again)
	}
	if r := runHost(t, h.l, "scan", "--rebase-script", script); r.status != exitInput || !strings.Contains(r.errors, "already exists") {
		t.Errorf("the same file again: status %d\n%s", r.status, r.errors)
	}
	for _, dir := range []string{h.l.Dir, script + ".saved"} {
		if _, err := os.Lstat(filepath.Join(dir, "PWNED")); !os.IsNotExist(err) {
			t.Errorf("a name was run in %q: %v", dir, err)
		}
	}
}

func backingName(image []byte) string {
	offset := binary.BigEndian.Uint64(image[8:])
	return string(image[offset:][:binary.BigEndian.Uint32(image[16:])])
}

func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
