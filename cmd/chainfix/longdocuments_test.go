package main

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// longSize is the size of a long document, in bytes.
const longSize = 32 << 20

// longDocument fills a document of one disk up to longSize with a text over and
// over, or with one whose x is as long as that takes.
func longDocument(disk, filler string) string {
	const start, end = "<domain><name>vm</name><devices>", "</devices></domain>\n"
	room := longSize - len(start) - len(disk) - len(end)
	if before, after, ok := strings.Cut(filler, "x"); ok {
		filler = before + strings.Repeat("x", room-len(before)-len(after)) + after
	} else {
		filler = strings.Repeat(filler, room/len(filler))
	}
	return start + disk + filler + end
}

var longDocuments = []struct{ name, disk, filler string }{
	{"empty lines", "<disk type='file'>\n%s\n</disk>\n", "\n"},
	{"a text", "<disk type='file'>\n%s\n</disk>\n", "<a>x</a>"},
	{"one line", "<disk type='file'>%s</disk>", "<!--x-->"},
	{"one line of elements", "<disk type='file'>%s</disk>", "<hostdev mode='subsystem' type='usb'><address bus='0' device='2'/></hostdev>"},
}

// TestLongDocuments: the whole process takes less than five times the document's
// size.
func TestLongDocuments(t *testing.T) {
	program := builtProgram(t)
	short := filepath.Join(t.TempDir(), "short.xml")
	writeFile(t, short, []byte("<domain><name>short</name></domain>"))
	for _, long := range longDocuments {
		t.Run(long.name, func(t *testing.T) {
			chain := oddChain{images: files(named("base.img", "raw"), rawDisk)}
			dir := filepath.Join(t.TempDir(), "guest")
			chain.write(t, dir)
			path := filepath.Join(dir, "vm.xml")
			document := longDocument(fmt.Sprintf(long.disk, strings.ReplaceAll(topDisk, "DIR", dir)), long.filler)
			writeFile(t, path, []byte(document))
			// A pipe does not hold what is said of so many, so that the process is
			// still there when its memory is looked at.
			check := []string{"check", path}
			for range 4000 {
				check = append(check, short)
			}
			type run struct {
				status int
				args   []string
			}
			runs := []run{{exitChange, check}, {exitDone, []string{"fix", path}}}
			if strings.Count(document, "\n") == 1 { // else the diff is short, see TestDiffOfLongDocuments
				runs = append(runs, run{exitChange, []string{"fix", "--diff", path}})
			}
			for _, run := range runs {
				// A collector that gets no processor is late, so that a run may take
				// more memory than it needs.
				least := int64(math.MaxInt64)
				for try := 0; try < 10 && least > 5*longSize; try++ {
					_, peak := runWatched(t, run.status, append([]string{program}, run.args...)...)
					least = min(least, peak)
				}
				t.Logf("%s: %.1f times the document's size", run.args[:2], float64(least)/longSize)
				if least > 5*longSize {
					t.Errorf("%s takes %d MiB for a document of %d", run.args[:2], least>>20, longSize>>20)
				}
			}
		})
	}
}

// TestDiffOfLongDocuments: a diff takes what the edits do, wherever in a document
// they are, and however long its lines are.
func TestDiffOfLongDocuments(t *testing.T) {
	for _, long := range longDocuments {
		text := longDocument(fmt.Sprintf(long.disk, "<driver type='raw'/><source file='/a'/>\n<backingStore/>\n"), long.filler)
		doc, data := stripping(t, text), []byte(text)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d, err := diffOf(doc, "vm", data, diffContext)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.write(io.Discard); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<10 {
			t.Errorf("%s: the diff takes %d bytes", long.name, took)
		}
	}
}
