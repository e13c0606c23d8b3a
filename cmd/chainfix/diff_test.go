package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aymanbagabas/go-udiff"
	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/testdata/peers"
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

func written(t interface{ Fatal(...any) }, d *diff) string {
	var out strings.Builder
	if err := d.write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
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
		d, err := diffOf(stripping(t, text), "vm", []byte(text), 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(written(t, d), "\r\n", "\n"); got != want.String() {
			t.Errorf("%s\nwant %s", got, want.String())
		}
	}
}

// drawEdits draws a text, edits of it as [xmlfix.Document.Edits] returns them, and
// what they make of it.
func drawEdits(t *rapid.T, most int) (before string, edits []xmlfix.Edit, after string) {
	piece := rapid.SampledFrom([]string{"\n", "\n", "\r\n", "a", " ", "<b/>", "\n  <b/>", "\r\n <b/>", ""})
	pieces := rapid.SliceOfN(piece, 0, most).Draw(t, "before")
	before = strings.Join(pieces, "")
	last := 0
	for at := 0; at < len(pieces); {
		start := len(strings.Join(pieces[:at], ""))
		at = min(at+rapid.IntRange(0, 3).Draw(t, "gone"), len(pieces))
		end := len(strings.Join(pieces[:at], ""))
		text := strings.Join(rapid.SliceOfN(piece, 0, 3).Draw(t, "text"), "")
		if start != end || text != "" {
			edits = append(edits, xmlfix.Edit{Start: start, End: end, Text: text})
			after += before[last:start] + text
			last = end
		}
		at += rapid.IntRange(1, 9).Draw(t, "kept")
	}
	return before, edits, after + before[last:]
}

// Changes have the same effect as their edits, and no two of them touch the same
// line.
func TestChangesOfWholeLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, edits, after := drawEdits(t, 20)
		got, last := "", 0
		for i, c := range newDiff("vm", []byte(before), edits, 0).changes {
			if c.start < last || c.end < c.start || c.line != strings.Count(before[:c.start], "\n") {
				t.Fatalf("%q: change %d is %+v", before, i, c)
			}
			for _, at := range []int{c.start, c.end} {
				if at > 0 && at < len(before) && before[at-1] != '\n' {
					t.Fatalf("%q: change %d begins or ends within a line: %+v", before, i, c)
				}
			}
			got += before[last:c.start]
			for _, piece := range c.text {
				got += string(piece)
			}
			last = c.end
		}
		if got += before[last:]; got != after {
			t.Fatalf("%q becomes %q, want %q", before, got, after)
		}
	})
}

// newLines is the number of a hunk's first line in the new document, which udiff
// (v0.4.1) gets wrong after a hunk that joins two changes.
var newLines = regexp.MustCompile(`(?m)^(@@ -\S+ \+)\d+`)

// A diff equals udiff's for the same edits, merged by line.
func TestDiffIsUnified(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, edits, _ := drawEdits(t, 80)
		context := rapid.IntRange(1, 4).Draw(t, "context")
		got := written(t, newDiff("vm", []byte(before), edits, context))
		var plain []udiff.Edit
		for _, e := range edits {
			if n := len(plain); n > 0 && !strings.Contains(before[plain[n-1].End:e.Start], "\n") {
				plain[n-1].New += before[plain[n-1].End:e.Start] + e.Text
				plain[n-1].End = e.End
				continue
			}
			plain = append(plain, udiff.Edit{Start: e.Start, End: e.End, New: e.Text})
		}
		want, err := udiff.ToUnified("vm.orig", "vm", before, plain, context)
		if err != nil || newLines.ReplaceAllString(got, "$1") != newLines.ReplaceAllString(want, "$1") {
			t.Fatalf("%q, %+v\nis\n%s\nwant %v\n%s", before, plain, got, err, want)
		}
	})
}

// TestPatchTakesDiffs: patch turns the document into what the edits make, and
// with -R back, each hunk at its line.
func TestPatchTakesDiffs(t *testing.T) {
	peers.Require(t, "patch")
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	rapid.Check(t, func(rt *rapid.T) {
		before, edits, after := drawEdits(rt, 40)
		d := written(rt, newDiff("vm", []byte(before), edits, rapid.IntRange(0, 3).Draw(rt, "context")))
		if d == "" {
			return // which patch calls garbage
		}
		for _, way := range []struct{ from, to, flag string }{{before, after, "--forward"}, {after, before, "--reverse"}} {
			writeFile(t, from, []byte(way.from))
			patch := exec.Command("patch", "--binary", "--fuzz=0", way.flag, "--output="+to, from)
			patch.Stdin = strings.NewReader(d)
			out, err := patch.CombinedOutput()
			if err != nil || strings.Contains(string(out), "offset") {
				rt.Fatalf("patch %s: %v\n%s\n%q\n%s", way.flag, err, out, way.from, d)
			}
			if got, err := os.ReadFile(to); err != nil || string(got) != way.to {
				rt.Fatalf("patch %s makes %q of %q, %v, want %q\n%s", way.flag, got, way.from, err, way.to, d)
			}
		}
	})
}
