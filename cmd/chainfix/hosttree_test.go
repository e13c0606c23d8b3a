package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/chainfix/chainfix/testdata/peers"
)

// TestTreeOnATerminal: no line is wider than the terminal, and no remark is lost, however long
// the names are.
func TestTreeOnATerminal(t *testing.T) {
	t.Parallel()
	const columns = 44
	dir := t.TempDir()
	base := filepath.Join(dir, strings.Repeat("long-", 20)+"base.qcow2")
	writeFile(t, base, bytesOf(named("gone.qcow2", "qcow2")))
	for i := range 5 {
		name := fmt.Sprintf("guest%d", i)
		top := filepath.Join(dir, name+".qcow2")
		writeFile(t, top, bytesOf(named(base, "qcow2")))
		writeFile(t, filepath.Join(dir, name+".xml"), []byte(peers.SmallGuest(name, "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='"+top+"'/><target dev='vda'/></disk>")))
	}
	cmd := program(t, "host", "tree", "--from", dir, "--predict", "11.3")
	s := onScreen(t, cmd, columns)
	s.rest()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	for _, line := range s.lines {
		if utf8.RuneCountInString(line) > columns {
			t.Errorf("%d columns: %s", utf8.RuneCountInString(line), line)
		}
	}
	said := strings.Join(strings.Fields(s.String()), " ")
	for _, wanted := range []string{"/gone.qcow2 qcow2, DOES NOT EXIST", "long-base.qcow2 qcow2", "5 images: ", "5 disks: guest0 vda, ", "will not start"} {
		if !strings.Contains(said, wanted) {
			t.Errorf("%q is not there:\n%s", wanted, s)
		}
	}
}
