package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/docs/schema"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// TestExamplesForPrograms: every command of docs/json.md prints what the page says.
func TestExamplesForPrograms(t *testing.T) {
	peers.Require(t, "jq")
	page, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := examplesHost(t)
	run := 0
	var command, want string
	check := func() {
		if command == "" {
			return
		}
		run++
		// The page asks libvirt.
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, "chainfix host scan", "chainfix host scan --from etc"))
		cmd.Dir = dir
		out, err := cmd.Output() // the status is that of the scan, or of jq
		if diff := cmp.Diff(want, strings.ReplaceAll(string(out), dir+"/", "/")); diff != "" {
			t.Errorf("%s: %v (-page)\n%s", command, err, diff)
		}
		command, want = "", ""
	}
	for line := range strings.Lines(string(page)) {
		text, indented := strings.CutPrefix(line, "    ")
		example, begins := strings.CutPrefix(text, "$ ")
		switch {
		case indented && begins:
			check()
			command = strings.TrimSpace(example)
		case indented:
			want += text
		default:
			check()
		}
	}
	check()
	if run < 8 {
		t.Errorf("the page has %d commands", run)
	}
}

// TestEverySchemaIsNamed: docs/json.md has a row for each schema.
func TestEverySchemaIsNamed(t *testing.T) {
	page, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range schema.Names() {
		if row := fmt.Sprintf("| [%s](schema/%[1]s.json) | ", name); !strings.Contains(string(page), row) {
			t.Errorf("no row %s", row)
		}
	}
}

// examplesHost makes the definitions and the images of the guests that the page has.
func examplesHost(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	images, definitions := filepath.Join(dir, "images"), filepath.Join(dir, "etc")
	for _, folder := range []string{images, definitions} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string][]byte{
		"base.img":   make([]byte, 64<<10),
		"middle.img": bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: "base.img", BackingFormat: "raw"}),
		"web.qcow2":  bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: "middle.img"}),
		"mail.qcow2": bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: "base.img"}),
		"db.qcow2":   bytesOf(mkimage.Qcow2{VirtualSize: demoSize}),
	} {
		writeFile(t, filepath.Join(images, name), data)
	}
	for _, guest := range []string{"db", "mail", "web"} {
		writeFile(t, filepath.Join(definitions, guest+".xml"), []byte(guestWithDisk(guest, "qcow2", filepath.Join(images, guest+".qcow2"))))
	}
	return dir
}
