package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aymanbagabas/go-udiff"
	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/xmlfix"
)

// stripping returns a document that loses its explicit chains.
func stripping(t *testing.T, text string) *xmlfix.Document {
	t.Helper()
	doc, err := xmlfix.Parse("vm", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, disk := range doc.Disks() {
		disk.RemoveChain()
	}
	return doc
}

// TestDiffShowsWhatChanges: a line that stays is shown as context only, however
// much changes around it.
func TestDiffShowsWhatChanges(t *testing.T) {
	const chain = "      <backingStore type='file'>\n        <format type='raw'/>\n        <source file='/var/lib/libvirt/images/%d/%s'/>\n        <backingStore/>\n      </backingStore>\n"
	var before, want strings.Builder
	before.WriteString("<domain>\n  <devices>\n")
	want.WriteString("--- vm.orig\n+++ vm\n")
	for n := range 3 {
		before.WriteString("    <disk type='file'>\n      <driver type='qcow2'/>\n      <source file='/top'/>\n")
		gone := fmt.Sprintf(chain, n, strings.Repeat("x", 100))
		before.WriteString(gone)
		before.WriteString("      <target dev='vda'/>\n      <serial>hunter2</serial>\n    </disk>\n")
		fmt.Fprintf(&want, "@@ -%d,7 +%d,2 @@\n       <source file='/top'/>\n", 5+11*n, 5+6*n)
		for line := range strings.Lines(gone) {
			want.WriteString("-" + line)
		}
		want.WriteString("       <target dev='vda'/>\n")
	}
	before.WriteString("  </devices>\n</domain>\n")
	for _, eol := range []string{"\n", "\r\n"} {
		text := strings.ReplaceAll(before.String(), "\n", eol)
		got, err := diffOf(stripping(t, text), "vm", []byte(text), 1)
		if got = strings.ReplaceAll(got, "\r\n", "\n"); err != nil || got != want.String() {
			t.Errorf("%v, %s\nwant %s", err, got, want.String())
		}
	}
}

// Edits of whole lines make the same of a document as those that they are made
// of, and no two of them are of one line.
func TestEditsOfWholeLines(t *testing.T) {
	piece := rapid.SampledFrom([]string{"\n", "\r\n", "a", " ", "<b/>", "\n  <b/>", "\r\n <b/>", ""})
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(piece, 0, 20).Draw(t, "before")
		before := strings.Join(pieces, "")
		var edits []xmlfix.Edit
		var plain []udiff.Edit
		last, after := 0, ""
		for at := 0; at < len(pieces); {
			start := len(strings.Join(pieces[:at], ""))
			gone := rapid.IntRange(0, 3).Draw(t, "gone")
			at = min(at+gone, len(pieces))
			end := len(strings.Join(pieces[:at], ""))
			text := strings.Join(rapid.SliceOfN(piece, 0, 3).Draw(t, "text"), "")
			if start != end || text != "" {
				edits = append(edits, xmlfix.Edit{Start: start, End: end, Text: text})
				after += before[last:start] + text
				last = end
			}
			at += rapid.IntRange(1, 5).Draw(t, "kept")
		}
		after += before[last:]
		plain = oneEachLine([]byte(before), edits)
		if got, err := udiff.Apply(before, plain); err != nil || got != after {
			t.Fatalf("%q: %v: %q, %v, want %q", before, plain, got, err, after)
		}
		for i := 1; i < len(plain); i++ {
			if !strings.Contains(before[plain[i-1].End:plain[i].Start], "\n") {
				t.Fatalf("%q: %v has two edits of a line", before, plain)
			}
		}
	})
}

// TestDiffOfManyLines: a document of more lines than that is rewritten, but
// there is no diff of it, and where one is asked for nothing is done.
func TestDiffOfManyLines(t *testing.T) {
	for _, test := range []struct {
		lines, status int
	}{{maxDiffLines, exitChange}, {maxDiffLines + 1, exitInput}} {
		const disk, gone = "<disk type='file'>\n<driver type='raw'/>\n<source file='/a'/>\n", "<backingStore/>\n"
		rest := "</disk>\n" + strings.Repeat("\n", test.lines-5) + "<!-- -->"
		path := filepath.Join(t.TempDir(), "vm.xml")
		writeFile(t, path, []byte(disk+gone+rest))
		var out bytes.Buffer
		err := (&options{diff: true, write: true}).deliver(streams{nil, &out, io.Discard}, inputOf(path), stripping(t, disk+gone+rest), []byte(disk+gone+rest))
		if statusOf(err) != test.status {
			t.Errorf("%d lines: %v", test.lines, err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := disk + gone + rest
		if test.status == exitChange {
			want = disk + rest
			if !strings.Contains(out.String(), "\n <source file='/a'/>\n-<backingStore/>\n </disk>\n") {
				t.Errorf("%.200q", out.String())
			}
		}
		if string(content) != want {
			t.Errorf("%d lines: rewritten wrongly", test.lines)
		}
	}
}
