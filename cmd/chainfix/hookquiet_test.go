package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// TestHookIsQuiet: the hook starts no process but its reader and opens no socket, least
// of all libvirt's, which waits for it, whatever the chain names. It does not wait for
// what it opens.
func TestHookIsQuiet(t *testing.T) {
	peers.Require(t, "strace", "mkfifo")
	dir := t.TempDir()
	document := func(name string, image mkimage.Qcow2) string {
		top := filepath.Join(dir, name+".qcow2")
		if err := os.WriteFile(top, bytesOf(image), 0o644); err != nil {
			t.Fatal(err)
		}
		return hookGuest(name, top, "")
	}
	pipe := filepath.Join(dir, "pipe")
	if out, err := exec.Command("mkfifo", pipe).CombinedOutput(); err != nil {
		t.Fatalf("mkfifo: %v\n%s", err, out)
	}
	for _, test := range []struct {
		name   string
		image  mkimage.Qcow2
		status int // with --verify
	}{
		{"alone", mkimage.Qcow2{VirtualSize: demoSize}, exitDone},
		{"pipe", mkimage.Qcow2{VirtualSize: demoSize, Backing: pipe, BackingFormat: "raw"}, exitRefused},
		{"server", mkimage.Qcow2{VirtualSize: demoSize, Backing: "nbd://127.0.0.1:1/x", BackingFormat: "qcow2"}, exitRefused},
		{"device", mkimage.Qcow2{VirtualSize: demoSize, Backing: "/dev/null", BackingFormat: "raw"}, exitRefused},
	} {
		xml := document(test.name, test.image)
		for _, operation := range []string{"migrate", "restore", "prepare"} {
			for flag, status := range map[string]int{"--log=/dev/null": exitDone, "--verify": test.status} {
				if operation == "restore" {
					status = exitDone
				}
				calls := traceInput(t, dir, strings.NewReader(xml), status, "hook", flag, test.name, operation, "begin", "-")
				wantQuiet(t, withoutReader(t, calls))
			}
		}
	}
	// With nothing to do, it does not wait for input either.
	never, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer never.Close()
	defer writer.Close()
	wantQuiet(t, traceInput(t, dir, never, exitDone, "hook", "--verify", "x", "reconnect", "begin", "-"))
}

// TestHookLogIsFull: the hook does not wait for a pipe that is open and not
// read. A hook that waits holds its guest up for ever.
func TestHookLogIsFull(t *testing.T) {
	dir := t.TempDir()
	base, top, pipe := filepath.Join(dir, "base"), filepath.Join(dir, "top"), filepath.Join(dir, "pipe")
	writeFile(t, base, make([]byte, demoSize))
	writeFile(t, top, bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: base}))
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(pipe, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 4096))
	}
	var out, complaints bytes.Buffer
	args := []string{"chainfix", "hook", "--log", pipe, "g", "restore", "begin", "-"}
	status := run(t.Context(), args, streams{strings.NewReader(hookGuest("g", top, "")), &out, &complaints})
	if status != exitDone || !strings.Contains(out.String(), "<format type='raw'/>") || !strings.Contains(complaints.String(), "cannot write to") {
		t.Errorf("status %d, %s\n%s", status, &out, &complaints)
	}
}

// withoutReader takes the start of the hook's reader, which must be there once, out of
// calls.
func withoutReader(t *testing.T, calls string) string {
	t.Helper()
	var others []string
	readers := 0
	for _, line := range strings.Split(calls, "\n") {
		switch {
		case strings.Contains(line, `execve("/proc/self/exe"`):
			readers++
		case strings.Contains(line, "CLONE_VFORK"): // Go tries it out once
		default:
			others = append(others, line)
		}
	}
	if readers != 1 {
		t.Errorf("%d readers are started", readers)
	}
	return strings.ReplaceAll(strings.Join(others, "\n"), "execve resumed", "started")
}

// TestHookManyLongChains: the hook, too, ends where the chains of a guest take
// more room than there is.
func TestHookManyLongChains(t *testing.T) {
	dir := t.TempDir()
	for i := range chain.MaxLayers {
		image := mkimage.Qcow2{VirtualSize: demoSize, Backing: fmt.Sprint(i + 1), BackingFormat: "qcow2"}
		if i == chain.MaxLayers-1 {
			image = mkimage.Qcow2{VirtualSize: demoSize}
		}
		writeFile(t, filepath.Join(dir, fmt.Sprint(i)), bytesOf(image)[:4096])
	}
	disk := "<disk type='file'><driver type='qcow2'/><source file='" + dir + "/0'/></disk>"
	in := strings.NewReader("<domain><name>g</name><devices>" + strings.Repeat(disk, 1000) + "</devices></domain>")
	var out, complaints bytes.Buffer
	status := run(t.Context(), []string{"chainfix", "hook", "--verify", "--timeout=1m", "g", "prepare", "begin", "-"}, streams{in, &out, &complaints})
	if status != exitRefused || !strings.Contains(complaints.String(), "[input-too-large]") {
		t.Errorf("status %d, %.500s", status, &complaints)
	}
}
