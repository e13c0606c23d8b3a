package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/golden"
	"github.com/chainfix/chainfix/testdata/peers"
)

// draftGuests are guests over one image, or with the same problem.
type draftGuests struct {
	name    string
	count   int
	backing string // what the header of each guest's own image names; "" for none
	format  string // that is recorded of it
	disk    string // instead of an overlay of the guest's own, with TOP for its path

	image   string // the image to decide about, or TOP for the guest's own
	answer  string // the right one: a format, or "kept"
	changed bool   // apply changes them, once it is there
}

// draftHost is a host of 300 guests, as a first scan finds it.
func draftHost() (images map[string][]byte, guests []draftGuests) {
	small := func(backing, format string) []byte {
		return bytesOf(mkimage.Qcow2{VirtualSize: attackSize, ClusterBits: 9, Backing: backing, BackingFormat: format})
	}
	odd := "odd # \"{path: 'x'}\" \u202egmi.img" // libvirt and QEMU take what precedes a colon for a protocol, except in a path
	images = map[string][]byte{
		"system.img": make([]byte, attackSize), "plain.img": make([]byte, attackSize),
		"template.qcow2": small("system.img", "raw"), "upload.raw": small("/etc/shadow", ""), "disk.img": small("/etc/shadow", ""),
		"shared/golden.img": small("../system.img", "raw"), odd: small("system.img", "raw"),
	}
	const dir = "IMAGES/"
	return images, []draftGuests{
		{name: "recorded", count: 119, backing: "system.img", format: "raw"},
		{name: "guessed", count: 60, backing: "plain.img", changed: true},
		{name: "template", count: 50, backing: "template.qcow2", image: dir + "template.qcow2", answer: "qcow2", changed: true},
		{name: "upload", count: 30, backing: "upload.raw", image: dir + "upload.raw", answer: "raw", changed: true},
		{name: "elsewhere", count: 11, backing: "disk.img", image: dir + "disk.img", answer: "raw", changed: true},
		{name: "writer", count: 1, disk: "<driver name='qemu' type='raw'/><source file='IMAGES/disk.img'/>"},
		{name: "golden", count: 9, backing: "shared/../shared/golden.img", image: dir + "shared/golden.img", answer: "qcow2", changed: true},
		{name: "lost", count: 10, backing: "gone.qcow2", format: "qcow2"},
		{name: "flat", count: 5, image: "TOP", answer: "kept",
			disk: "<driver name='qemu' type='qcow2'/><source file='TOP'/><backingStore type='file'><format type='raw'/><source file='IMAGES/system.img'/><backingStore/></backingStore>"},
		{name: "odd", count: 5, backing: "./" + odd, image: dir + odd, answer: "qcow2", changed: true},
	}
}

// TestDraftPolicy: a scan of 300 guests asks a few questions. The file that it drafts states
// nothing; once each is answered there, apply fixes every guest that can be fixed.
func TestDraftPolicy(t *testing.T) {
	t.Parallel()
	l := peers.StartLibvirt(t)
	installProgram(t, l)
	images, all := draftHost()
	if err := os.Mkdir(filepath.Join(l.Images, "shared"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range images {
		writeFile(t, filepath.Join(l.Images, name), content)
	}
	right := make(map[string]string) // answers
	guests, change := 0, 0
	var script strings.Builder
	for _, kind := range all {
		for n := range kind.count {
			guest := fmt.Sprintf("%s%02d", kind.name, n)
			top := filepath.Join(l.Images, guest)
			disk := kind.disk
			if disk == "" {
				disk = "<driver name='qemu' type='qcow2'/><source file='TOP'/>"
			}
			if strings.Contains(disk, "TOP") {
				writeFile(t, top, bytesOf(mkimage.Qcow2{VirtualSize: attackSize, ClusterBits: 9, Backing: kind.backing, BackingFormat: kind.format}))
			}
			within := strings.NewReplacer("TOP", top, "IMAGES", l.Images)
			file := filepath.Join(l.Dir, guest+".xml")
			writeFile(t, file, []byte(peers.SmallGuest(guest, "<disk type='file' device='disk'>"+within.Replace(disk)+"<target dev='vda' bus='virtio'/></disk>")))
			fmt.Fprintf(&script, "define %s; ", file)
			guests++
			if kind.answer != "" {
				right[within.Replace(kind.image)] = kind.answer
			}
			if kind.changed {
				change++
			}
		}
	}
	if guests != 300 {
		t.Fatalf("%d guests", guests)
	}
	l.Share(l.Images)
	l.Virsh(script.String())
	d := connect(t, l)
	before := definitions(t, d)
	host := []string{"--connect", l.URI()}
	state := []string{"--state-dir", filepath.Join(l.Dir, "state")}
	file := filepath.Join(l.Dir, "policy.yaml")
	run := func(status int, args ...string) ran {
		t.Helper()
		r := runHost(t, l, args...)
		if r.status != status {
			t.Fatalf("%q: status %d\n%s\n%s", args, r.status, r.errors, r.out)
		}
		return r
	}
	scan := append([]string{"scan"}, host...)
	apply := append(append(append([]string{"apply"}, host...), state...), "--policy", file)

	r := run(exitRefused, append(scan, "--draft-policy", file)...)
	if want := fmt.Sprintf("chainfix: wrote %s. Questions about formats: 5, about chains: 5, that a policy file cannot answer: 1\n", file); !strings.Contains(r.errors, want) {
		t.Errorf("%s\nwant %s", r.errors, want)
	}
	draft, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	golden.File(t, "testdata/draft-policy.golden.yaml", strings.ReplaceAll(strings.ReplaceAll(string(draft), l.Images, "/images"), l.Dir, "/root"))

	// Unanswered it is accepted and states nothing, and a later one replaces it.
	plain := run(exitRefused, append(append([]string{"apply", "--dry-run"}, host...), state...)...)
	if empty := run(exitRefused, append(apply, "--dry-run")...); empty.out != plain.out || empty.errors != plain.errors {
		t.Errorf("the unanswered draft changes the result\n%s\n%s", empty.errors, plain.errors)
	}
	run(exitRefused, append(scan, "--draft-policy", file)...)

	filled := regexp.MustCompile(`(?m)^  #(- \{path: (".*"), (?:format|chain): (\w+)\})$`).ReplaceAllStringFunc(string(draft), func(line string) string {
		path, answer := answerIn(t, line)
		if right[path] != answer {
			return line
		}
		delete(right, path)
		return "  " + strings.TrimPrefix(line, "  #")
	})
	if len(right) > 0 {
		t.Fatalf("no question about %q", right)
	}
	writeFile(t, file, []byte(filled))
	r = run(exitRefused, apply...)
	after := definitions(t, d)
	changed := 0
	for guest, definition := range after {
		if definition != before[guest] {
			changed++
		}
	}
	if changed != change || strings.Contains(r.errors, "held back") {
		t.Errorf("%d guests were changed, want %d\n%s", changed, change, r.errors)
	}
	_, found := scanHost(t, l, exitRefused, append(host, "--policy", file)...)
	for guest, g := range found {
		if needed := g.Needed == nil || *g.Needed; (g.Verdict == "refused") != strings.HasPrefix(guest, "lost") || g.Verdict == "fixable" && needed {
			t.Errorf("%s, afterwards: %+v", guest, g)
		}
	}

	// A later scan does not overwrite answers.
	r = run(exitInput, append(scan, "--draft-policy", file)...)
	if want := "hint: name another file, or move it away: mv " + file + " " + file + ".old\n"; r.out != "" || !strings.Contains(r.errors, want) {
		t.Errorf("%s%s", r.out, r.errors)
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != filled {
		t.Errorf("%v\n%s", err, now)
	}
}

// answerIn returns what an answer of a draft is about, and what it says.
func answerIn(t *testing.T, line string) (path, answer string) {
	t.Helper()
	var item struct{ Path, Format, Chain string }
	if err := yaml.Unmarshal([]byte(strings.TrimPrefix(line, "  #- ")), &item); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return item.Path, item.Format + item.Chain
}
