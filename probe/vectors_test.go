package probe_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/probe"
)

var update = flag.Bool("update", os.Getenv("CHAINFIX_UPDATE") == "1", "write the vectors and the golden files anew")

const vectorFolder = "testdata/vectors"

// vector is one image with the expected result of a reader, as a file that
// other projects can use; the README in that folder says how.
type vector struct {
	name   string // the file's, without its ending
	lines  []string
	format probe.Format // "" for a vector that is only to be probed
	image  []byte
}

// vectors makes every vector from the tables of the tests.
func vectors(t testing.TB) []vector {
	var all []vector
	names := make(map[string]bool)
	add := func(v vector) {
		if names[v.name] {
			t.Errorf("two vectors are called %q", v.name)
		}
		names[v.name] = true
		all = append(all, v)
	}
	for _, table := range readTables {
		for _, c := range table.cases {
			v := vector{name: fileName(string(table.format), c.name), format: table.format, image: c.image}
			v.lines = append([]string{"format: " + string(table.format)}, expectation(c)...)
			v.lines = append(v.lines, signatureLines(t, c.image)...)
			add(v)
		}
	}
	for _, c := range signatureCases {
		add(vector{name: fileName("probe", c.name), lines: signatureLines(t, c.image), image: c.image})
	}
	return all
}

func fileName(kind, name string) string {
	var b strings.Builder
	b.WriteString(kind)
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '^' }) {
		b.WriteString("-" + strings.ReplaceAll(word, "^", "to-the-"))
	}
	return strings.ToLower(b.String())
}

// expectation says what Read must return, one key a line.
func expectation(c readCase) []string {
	if c.err != nil {
		word, _ := strings.CutPrefix(sentinels(c.err)[0], "Err")
		return []string{"expect: " + strings.ToLower(word), "field: " + c.field}
	}
	lines := []string{"expect: ok", "virtual-size: " + strconv.FormatUint(c.want.VirtualSize, 10)}
	reference := func(key string, r *probe.Reference) {
		if r == nil {
			return
		}
		lines = append(lines, key+": "+strconv.QuoteToASCII(r.Name))
		if r.FormatRecorded {
			lines = append(lines, key+"-format: "+strconv.QuoteToASCII(r.Format))
		}
	}
	reference("backing", c.want.Backing)
	reference("data-file", c.want.DataFile)
	reference("parent", c.want.Parent)
	for i := range c.want.Extents {
		reference("extent", &c.want.Extents[i])
	}
	if c.want.Encryption != probe.Plain {
		lines = append(lines, "encryption: "+string(c.want.Encryption))
	}
	if c.want.Dirty {
		lines = append(lines, "mark: dirty")
	}
	if c.want.Corrupt {
		lines = append(lines, "mark: corrupt")
	}
	return lines
}

// signatureLines says what Signatures must return.
func signatureLines(t testing.TB, image []byte) []string {
	found, err := probe.Signatures(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range found {
		by := "nobody"
		switch {
		case s.QEMU && s.Libvirt:
			by = "qemu libvirt"
		case s.QEMU:
			by = "qemu"
		case s.Libvirt:
			by = "libvirt"
		}
		lines = append(lines, fmt.Sprintf("signature: %s by %s", s.Format, by))
	}
	return lines
}

func (v vector) path() string { return filepath.Join(vectorFolder, v.name+".vector") }

func (v vector) bytes(t testing.TB) []byte {
	var b bytes.Buffer
	for _, line := range v.lines {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "size: %d\n\n", len(v.image))
	w, err := zlib.NewWriterLevel(&b, zlib.BestCompression)
	if err == nil {
		_, err = w.Write(v.image)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestVectors: the files on disk say what the tables say, and there are no
// others. With -update they are written anew.
func TestVectors(t *testing.T) {
	want := make(map[string]bool)
	for _, v := range vectors(t) {
		want[v.path()] = true
		if *update {
			if err := os.WriteFile(v.path(), v.bytes(t), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		lines, image := readVector(t, v.path())
		if diff := cmp.Diff(v.lines, lines); diff != "" {
			t.Errorf("%s: -table +file (go test ./probe -run TestVectors -update writes it anew)\n%s", v.path(), diff)
		}
		if !bytes.Equal(v.image, image) {
			t.Errorf("%s: another image (go test ./probe -run TestVectors -update writes it anew)", v.path())
		}
	}
	there, err := filepath.Glob(filepath.Join(vectorFolder, "*.vector"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		if !want[path] {
			if *update {
				os.Remove(path)
				continue
			}
			t.Errorf("%s: no table has it", path)
		}
	}
}

// readVector reads a file as another project would.
func readVector(t testing.TB, path string) (lines []string, image []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, payload, ok := bytes.Cut(content, []byte("\n\n"))
	if !ok {
		t.Fatalf("%s: no payload", path)
	}
	lines = strings.Split(string(text), "\n")
	last := lines[len(lines)-1]
	size, err := strconv.Atoi(strings.TrimPrefix(last, "size: "))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	lines = lines[:len(lines)-1]
	if len(lines) == 0 {
		lines = nil
	}
	r, err := zlib.NewReader(bytes.NewReader(payload))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if image, err = io.ReadAll(r); err != nil || len(image) != size {
		t.Fatalf("%s: %d bytes, not %d: %v", path, len(image), size, err)
	}
	return lines, image
}
