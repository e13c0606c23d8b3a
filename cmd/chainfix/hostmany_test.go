package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/collect"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

const (
	manyGuests = 1000
	manyLayers = 9
)

// manyHost stores the definitions of guests in a folder, each with a chain of
// its own, in which the last format is not recorded.
func manyHost(t *testing.T, dir string, guests int) (definitions string) {
	t.Helper()
	definitions = filepath.Join(dir, "etc/libvirt/qemu")
	if err := os.MkdirAll(definitions, 0o755); err != nil {
		t.Fatal(err)
	}
	for n := range guests {
		name := fmt.Sprintf("guest%04d", n)
		images := map[string][]byte{fmt.Sprint("l", manyLayers-1): nil}
		for i := range manyLayers - 1 {
			image := mkimage.Qcow2{VirtualSize: attackSize, Backing: fmt.Sprint("l", i+1), ClusterBits: 9}
			if i < manyLayers-2 {
				image.BackingFormat = "qcow2"
			}
			images[fmt.Sprint("l", i)] = bytesOf(image)
		}
		c := oddChain{images: images, disk: `<driver name='qemu' type='qcow2'/><source file='DIR/l0'/>`}
		c.write(t, filepath.Join(dir, name))
		writeFile(t, filepath.Join(definitions, name+".xml"), []byte(c.document(name, filepath.Join(dir, name))))
	}
	return definitions
}

// runWatched runs a program to its end and returns what it printed and the most
// memory that it had until just before. (What wait4 tells of that is, if that
// is more, what the process had before it became the program: a copy of this
// one.)
func runWatched(t *testing.T, status int, args ...string) (out []byte, peak int64) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 4096)
	for err == nil {
		var n int
		n, err = pipe.Read(chunk)
		out = append(out, chunk[:n]...)
		said, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if m := regexp.MustCompile(`VmHWM:\s+([0-9]+) kB`).FindSubmatch(said); m != nil {
			kilobytes, _ := strconv.ParseInt(string(m[1]), 10, 64)
			peak = kilobytes << 10
		}
	}
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != status || peak == 0 {
		t.Fatalf("%q: status %d, peak %d", args, got, peak)
	}
	return out, peak
}

// imageMemory is what a scan may keep of an image, in bytes.
const imageMemory = 2 << 10

// underWay is what the guests that are worked on at the same time may take, in bytes,
// with the garbage that they leave: the larger host has more of it.
const underWay = 64 * 256 << 10

// TestManyGuests: what a scan of 1,000 definitions with 9,000 images needs. Of the
// report nothing is kept.
func TestManyGuests(t *testing.T) {
	program := builtProgram(t)
	dir := t.TempDir()
	few, many := manyHost(t, filepath.Join(dir, "few"), manyGuests/10), manyHost(t, filepath.Join(dir, "many"), manyGuests)
	scan := func(definitions string) []string {
		return []string{program, "host", "scan", "--from", definitions, "--predict", "9.0.0", "--output", "json"}
	}

	t.Run("kept", func(t *testing.T) {
		fewKept, fewReport := keptByScan(t, few, manyGuests/10)
		manyKept, manyReport := keptByScan(t, many, manyGuests)
		t.Logf("%d guests: %d KiB kept, report %d KiB; %d guests: %d KiB kept, report %d KiB",
			manyGuests/10, fewKept>>10, fewReport>>10, manyGuests, manyKept>>10, manyReport>>10)
		if each := (manyKept - fewKept) / (manyGuests * manyLayers * 9 / 10); each > imageMemory {
			t.Errorf("the scan keeps %d bytes more for each image more", each)
		}
	})

	t.Run("peak", func(t *testing.T) {
		begun := time.Now()
		manyReport, manyPeak := runWatched(t, exitChange, scan(many)...)
		took := time.Since(begun).Round(time.Millisecond)
		fewReport, fewPeak := runWatched(t, exitChange, scan(few)...)
		// A collector that gets no processor is late, so that a run may take more
		// memory than it needs.
		each := func() int64 { return (manyPeak - fewPeak - underWay) / (manyGuests * manyLayers * 9 / 10) }
		for try := 0; try < 4 || try < 12 && each() > 2*imageMemory; try++ {
			_, peak := runWatched(t, exitChange, scan(many)...)
			manyPeak = min(manyPeak, peak)
		}
		var found hostReport
		if err := json.Unmarshal(manyReport, &found); err != nil || len(found.Guests) != manyGuests || len(found.Guests[manyGuests-1].Disks[0].Layers) != manyLayers {
			t.Fatalf("%d guests, %v", len(found.Guests), err)
		}
		valid(t, string(fewReport))
		t.Logf("%d guests: peak %d KiB, report %d KiB; %d guests: peak %d KiB, report %d KiB, %v",
			manyGuests/10, fewPeak>>10, len(fewReport)>>10, manyGuests, manyPeak>>10, len(manyReport)>>10, took)
		// The collector lets the heap grow to twice what is kept.
		if each() > 2*imageMemory {
			t.Errorf("the peak is %d bytes higher for each image more", each())
		}
	})

	t.Run("opens", func(t *testing.T) {
		peers.Require(t, "strace")
		report := filepath.Join(dir, "strace")
		if out, err := exec.Command("strace", append([]string{"-f", "-e", "trace=open,openat,openat2", "-o", report}, scan(many)...)...).CombinedOutput(); err == nil {
			t.Fatalf("strace: %s", out)
		}
		text, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		opened := make(map[string]int)
		for _, m := range regexp.MustCompile(`open(?:at2?)?\([^"]*"([^"]*/guest[0-9]+/l[0-9]+)"`).FindAllSubmatch(text, -1) {
			opened[string(m[1])]++
		}
		if len(opened) != manyGuests*manyLayers {
			t.Errorf("%d images were opened", len(opened))
		}
		for path, n := range opened {
			if n != 1 {
				t.Errorf("%q was opened %d times", path, n)
			}
		}
	})
}

// keptByScan scans a host and returns the bytes of memory that are in use at the end, with all
// that is kept of the images for the report, and those of the report.
func keptByScan(t *testing.T, definitions string, guests int) (kept, size int64) {
	t.Helper()
	s := &host.Scan{Inventory: host.FolderAt(definitions), Targets: []libvirt.Pair{{Libvirt: libvirt.Version{Major: 9}}}}
	written := &countingWriter{}
	collector := collect.NewCollector(report.Run{}, libvirt.Version{})
	out := &hostJSON{w: written, head: collector.Head()}
	for r, err := range s.Reports(t.Context()) {
		if err == nil {
			g := collector.Add(r)
			err = out.guest(&g)
		}
		if err != nil {
			t.Fatal(err)
		}
		if guests--; guests == 0 {
			// What is known of the images is still held by the scan.
			var memory runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&memory)
			kept = int64(memory.HeapAlloc)
		}
	}
	found := collector.End()
	if err := out.end(&found); err != nil || guests != 0 {
		t.Fatal(guests, err)
	}
	return kept, written.n
}

type countingWriter struct{ n int64 }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	return len(p), nil
}
