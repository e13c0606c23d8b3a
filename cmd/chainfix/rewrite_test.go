package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDiffOfManyLines: a document of more lines than are compared is rewritten,
// but there is no diff of it, and where one is asked for nothing is done.
func TestDiffOfManyLines(t *testing.T) {
	for _, test := range []struct {
		lines, status int
	}{{maxDiffLines, exitChange}, {maxDiffLines + 1, exitInput}} {
		before := []byte("<a>\n<b/>\n" + strings.Repeat("\n", test.lines-3) + "</a>\n<!-- -->")
		after := append([]byte("<a x=''>\n"), before[len("<a>\n"):]...)
		path := filepath.Join(t.TempDir(), "vm.xml")
		writeFile(t, path, before)
		var out bytes.Buffer
		err := rewrite{diff: true, write: true}.deliver(streams{nil, &out, io.Discard}, inputOf(path), before, after)
		if statusOf(err) != test.status {
			t.Errorf("%d lines: %v", test.lines, err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := before
		if test.status == exitChange {
			want = after
			if !strings.Contains(out.String(), "\n-<a>\n+<a x=''>\n <b/>\n") {
				t.Errorf("%.200q", out.String())
			}
		}
		if !bytes.Equal(content, want) {
			t.Errorf("%d lines: rewritten wrongly", test.lines)
		}
	}
}
