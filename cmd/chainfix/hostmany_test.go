package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

const (
	manyGuests = 1000
	manyLayers = 9
	manyKept   = 4096 // bytes an image
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

// TestManyGuests: what a scan of 1,000 definitions with 9,000 images needs.
func TestManyGuests(t *testing.T) {
	program := builtProgram(t)
	dir := t.TempDir()
	var took time.Duration
	scan := func(guests int) (peak, report int64, args []string) {
		args = []string{program, "host", "scan", "--from", manyHost(t, filepath.Join(dir, fmt.Sprint(guests)), guests), "--target-libvirt", "9.0.0", "--output", "json"}
		begun := time.Now()
		data, peak := runWatched(t, exitChange, args...)
		took = time.Since(begun).Round(time.Millisecond)
		var found hostReport
		if err := json.Unmarshal(data, &found); err != nil || len(found.Guests) != guests || len(found.Guests[guests-1].Disks[0].Layers) != manyLayers {
			t.Fatalf("%d guests, %v", len(found.Guests), err)
		}
		return peak, int64(len(data)), args
	}
	few, fewReport, _ := scan(manyGuests / 10)
	many, manyReport, args := scan(manyGuests)
	images := int64(manyLayers * (manyGuests - manyGuests/10))
	t.Logf("%d guests: peak %d KiB, report %d KiB; %d guests: peak %d KiB, report %d KiB, %v; that is %d bytes more an image",
		manyGuests/10, few>>10, fewReport>>10, manyGuests, many>>10, manyReport>>10, took, (many-few)/images)
	// Of an image what it showed is kept, so that nobody opens it again: that
	// is less than a page, the collector's headroom, which doubles it,
	// included. Nothing is kept of a guest or of the report.
	if many-few > images*manyKept {
		t.Errorf("memory grows by %d bytes an image", (many-few)/images)
	}

	t.Run("opens", func(t *testing.T) {
		peers.Require(t, "strace")
		report := filepath.Join(dir, "strace")
		if out, err := exec.Command("strace", append([]string{"-f", "-e", "trace=open,openat,openat2", "-o", report}, args...)...).CombinedOutput(); err == nil {
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
