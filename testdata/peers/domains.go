package peers

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// DomainSchema is the schema that virt-xml-validate uses for a domain.
const DomainSchema = "/usr/share/libvirt/schemas/domain.rng"

// atOnce is the number of documents for one process, well below the maximum
// length of an argument in Linux.
const atOnce = 400

// Valid reports for each document whether it conforms to a RELAX NG schema. It
// needs one process for hundreds of documents; virt-xml-validate, which runs
// the same xmllint, needs several for each.
func Valid(t testing.TB, schema string, documents [][]byte) []bool {
	t.Helper()
	Require(t, "xmllint")
	said := map[string]bool{}
	files := written(t, documents)
	for chunk := range slices.Chunk(files, atOnce) {
		// The exit status is about the whole chunk and is ignored.
		report, _ := exec.Command("xmllint", append([]string{"--noout", "--relaxng", schema}, chunk...)...).CombinedOutput()
		for line := range strings.Lines(string(report)) {
			if file, ok := strings.CutSuffix(line, " validates\n"); ok {
				said[file] = true
			} else if file, ok := strings.CutSuffix(line, " fails to validate\n"); ok {
				said[file] = false
			}
		}
	}
	if len(said) != len(files) {
		t.Fatalf("xmllint says something of %d files, not of %d", len(said), len(files))
	}
	return inOrder(files, said)
}

// ValidByScript validates one document with virt-xml-validate.
func ValidByScript(t testing.TB, document []byte) (ok bool, report string) {
	t.Helper()
	Require(t, "virt-xml-validate")
	text, err := exec.Command("virt-xml-validate", written(t, [][]byte{document})[0], "domain").CombinedOutput()
	return err == nil, string(text)
}

// Defined reports for each document whether libvirt's test driver can define
// it: that runs libvirt's own parser, without a daemon. Each document gets a
// separate connection.
func Defined(t testing.TB, documents [][]byte) []bool {
	t.Helper()
	Require(t, "virsh")
	said := map[string]bool{}
	files := written(t, documents)
	for chunk := range slices.Chunk(files, atOnce) {
		var script strings.Builder
		for _, file := range chunk {
			fmt.Fprintf(&script, "connect test:///default; define %s; ", file)
		}
		report, _ := exec.Command("virsh", "-c", "test:///default", script.String()).CombinedOutput()
		for _, file := range chunk {
			switch {
			case bytes.Contains(report, []byte(" defined from "+file+"\n")):
				said[file] = true
			case bytes.Contains(report, []byte("Failed to define domain from "+file+"\n")):
				said[file] = false
			}
		}
	}
	if len(said) != len(files) {
		t.Fatalf("virsh says something of %d files, not of %d", len(said), len(files))
	}
	return inOrder(files, said)
}

// written writes each document into a file. No file name is a suffix of
// another.
func written(t testing.TB, documents [][]byte) []string {
	t.Helper()
	// Not t.TempDir: the name of a test may be anything, and goes to virsh.
	dir, err := os.MkdirTemp("", "domains-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var files []string
	for i, document := range documents {
		name := filepath.Join(dir, fmt.Sprintf("%d.xml", i))
		if err := os.WriteFile(name, document, 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	return files
}

func inOrder(files []string, said map[string]bool) []bool {
	var answers []bool
	for _, file := range files {
		answers = append(answers, said[file])
	}
	return answers
}
