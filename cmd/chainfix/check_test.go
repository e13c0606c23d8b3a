package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/probe/mkimage"
)

// TestCheckAtOnce: many documents with common images, examined concurrently, get
// the same report as each alone, in their order.
func TestCheckAtOnce(t *testing.T) {
	const documents = 50
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, in("base.img"), make([]byte, 4096))
	writeFile(t, in("shared.img"), bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: "base.img", BackingFormat: "raw"}))
	args := []string{"chainfix", "check"}
	var out, said strings.Builder // of each alone
	for i := range documents {
		top := mkimage.Qcow2{VirtualSize: demoSize, Backing: "shared.img"}
		if i%3 > 0 {
			top.BackingFormat = "qcow2"
		}
		name := fmt.Sprintf("top%d", i)
		writeFile(t, in(name), bytesOf(top))
		document := in(name + ".xml")
		var text bytes.Buffer
		if err := writeDemoDomain(&text, in(name)); err != nil {
			t.Fatal(err)
		}
		writeFile(t, document, text.Bytes())
		oneOut, oneSaid := checked(t, "chainfix", "check", document)
		out.WriteString(oneOut)
		said.WriteString(oneSaid)
		args = append(args, document)
	}
	allOut, allSaid := checked(t, args...)
	if diff := cmp.Diff(out.String(), allOut); diff != "" || out.Len() == 0 {
		t.Errorf("output (-alone +at once):\n%s", diff)
	}
	if diff := cmp.Diff(said.String(), allSaid); diff != "" || said.Len() == 0 {
		t.Errorf("findings (-alone +at once):\n%s", diff)
	}
}

func checked(t *testing.T, args ...string) (out, said string) {
	t.Helper()
	var output, complaints bytes.Buffer
	if status := run(t.Context(), args, streams{nil, &output, &complaints}); status != exitChange && status != exitRefused {
		t.Fatalf("status %d: %s", status, &complaints)
	}
	return output.String(), complaints.String()
}
