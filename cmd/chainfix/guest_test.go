package main

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// newGuest defines a guest over a chain of three, without recorded formats, and
// returns the paths of its images, top first.
func newGuest(t *testing.T, l *peers.Libvirt) (top, middle, base string) {
	t.Helper()
	installProgram(t, l)
	g, err := buildDemo(l.Images)
	if err != nil {
		t.Fatal(err)
	}
	l.Share(l.Images)
	document, err := os.ReadFile(g.xml)
	if err != nil {
		t.Fatal(err)
	}
	l.Define(string(document))
	return g.top, g.middle, g.base
}

const guest = demoName

// TestGuestStartsOnceItIsFixed: a real libvirt refuses the guest, the pipeline
// of the documentation fixes its definition, and then it starts without any
// guess.
func TestGuestStartsOnceItIsFixed(t *testing.T) {
	t.Parallel()
	l := peers.StartLibvirt(t)
	top, middle, base := newGuest(t, l)
	// The demo shows the same words, which are those of libvirt since 6.0.
	words := demoGuest{top: top, middle: middle}.refusal()
	if out, err := l.Try("start", guest); err == nil || !strings.Contains(out, since("9.0.0", "was not specified in the image metadata", words)) {
		t.Fatalf("the guest as it is: %v, %s\nnot: %s", err, out, words)
	}

	pipeline := "virsh dumpxml " + guest + " | chainfix --trust " + middle + "=qcow2 | virsh define /dev/stdin"
	out, err := l.Command("sh", "-c", pipeline).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", pipeline, err, out)
	}
	before := len(l.DebugLog())
	l.Virsh("start", guest)

	formats := make(map[string]int)
	for _, option := range l.Blockdevs(guest) {
		node := blockdevNode(t, option)
		formats[node.Driver]++
		if node.Driver == "qcow2" && node.Backing == nil {
			t.Errorf("QEMU is left to follow a header: %s", option)
		}
	}
	if formats["qcow2"] != 2 || formats["file"] != 3 {
		t.Errorf("QEMU's nodes: %v", formats)
	}
	for _, line := range strings.Split(l.DebugLog()[before:], "\n") {
		for _, sign := range []string{"virStorageFileProbeFormat", "virStorageSourceGetMetadata", "parsing backing store string"} {
			if strings.Contains(line, sign) {
				t.Errorf("libvirt looked for itself: %s", line)
			}
		}
	}
	if !strings.Contains(l.DebugLog()[:before], "virStorageFileProbeFormat") {
		t.Error("the log does not show the probing before the fix either, so it proves nothing")
	}
	if xml := l.Virsh("dumpxml", "--inactive", guest); !strings.Contains(xml, base) {
		t.Errorf("the definition does not name the base:\n%s", xml)
	}
}

// node is a -blockdev option, as far as it matters here. Backing is nil only if
// the key is absent: QEMU then follows the image's header.
type node struct {
	Name     string          `json:"node-name"`
	Driver   string          `json:"driver"`
	Filename string          `json:"filename"` // of the driver "file"
	File     string          `json:"file"`     // the node below, of another
	Backing  json.RawMessage `json:"backing"`
}

func blockdevNode(t *testing.T, option string) node {
	t.Helper()
	var n node
	if err := json.Unmarshal([]byte(option), &n); err != nil {
		t.Fatalf("-blockdev %s: %v", option, err)
	}
	return n
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// TestPipelineKeepsPasswords: what virsh shows only when it is asked to is still
// in the definition afterwards.
func TestPipelineKeepsPasswords(t *testing.T) {
	t.Parallel()
	l := peers.StartLibvirt(t)
	_, middle, _ := newGuest(t, l)
	document := l.Virsh("dumpxml", "--inactive", guest)
	l.Define(strings.Replace(document, "</devices>", "<graphics type='vnc' passwd='secret7'/></devices>", 1))
	for _, c := range []struct {
		flag string
		kept bool
	}{{"--security-info", true}, {"", false}} {
		pipeline := "virsh dumpxml --inactive " + c.flag + " " + guest + " | chainfix --trust " + middle + "=qcow2 | virsh define /dev/stdin"
		if out, err := l.Command("sh", "-c", pipeline).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", pipeline, err, out)
		}
		if kept := strings.Contains(l.Virsh("dumpxml", "--inactive", "--security-info", guest), "secret7"); kept != c.kept {
			t.Errorf("%s: the password is there: %v", pipeline, kept)
		}
	}
}

// TestRefusalLeavesTheDefinition: without the operator's statement nothing is
// defined, and the guest is unchanged.
func TestRefusalLeavesTheDefinition(t *testing.T) {
	t.Parallel()
	l := peers.StartLibvirt(t)
	newGuest(t, l)
	before := l.Virsh("dumpxml", "--inactive", guest)
	out, err := l.Command("sh", "-c", "virsh dumpxml "+guest+" | chainfix | virsh define /dev/stdin").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "[probed-backing]") {
		t.Errorf("the pipeline: %v\n%s", err, out)
	}
	if after := l.Virsh("dumpxml", "--inactive", guest); after != before {
		t.Errorf("the definition has changed:\n%s\n%s", before, after)
	}
	if out, err := l.Try("start", guest); err == nil {
		t.Errorf("the guest starts: %s", out)
	}
}

// TestOneRunIsQuiet: one run on a disk of three layers opens each image once,
// touches nothing else that the chain could name, starts no process and opens
// no socket.
func TestOneRunIsQuiet(t *testing.T) {
	peers.Require(t, "strace")
	dir := t.TempDir()
	g, err := buildDemo(dir)
	if err != nil {
		t.Fatal(err)
	}
	calls := trace(t, dir, 0, "--trust", g.middle+"=qcow2", g.xml)
	for _, path := range []string{g.top, g.middle, g.base} {
		if n := strings.Count(calls, `"`+path+`", O_RDONLY`); n != 1 {
			t.Errorf("%q is opened %d times", path, n)
		}
	}
	wantQuiet(t, calls)
}

// wantQuiet demands that no process was started and no socket opened.
func wantQuiet(t *testing.T, calls string) {
	t.Helper()
	if n := strings.Count(calls, "execve("); n != 1 {
		t.Errorf("%d programs are started", n-1)
	}
	for _, line := range strings.Split(calls, "\n") {
		// Where strace breaks a call up, the first half says what it is.
		harmless := strings.Contains(line, "CLONE_THREAD") || strings.Contains(line, " resumed>")
		// Whether standard error is a terminal may be asked.
		harmless = harmless || strings.Contains(line, " ioctl(2, TCGETS")
		for _, call := range []string{" socket(", " connect(", "fork(", " clone", " ioctl("} {
			if strings.Contains(line, call) && !harmless {
				t.Errorf("a call that has no place here: %s", line)
			}
		}
	}
}

// TestForgedNameIsNeverTouched: the file that an untrusted image names is
// neither opened nor examined.
func TestForgedNameIsNeverTouched(t *testing.T) {
	peers.Require(t, "strace")
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	g, err := buildDemo(dir)
	if err != nil {
		t.Fatal(err)
	}
	for kind, image := range map[string]mkimage.Qcow2{
		"backing":   {VirtualSize: demoSize, Backing: secret},
		"data file": {VirtualSize: demoSize, DataFile: secret},
	} {
		t.Run(kind, func(t *testing.T) {
			forged, err := image.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(g.middle, forged, 0o644); err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"fix", "check"} {
				calls := trace(t, dir, exitRefused, command, g.xml)
				for _, line := range strings.Split(calls, "\n") {
					if strings.Contains(line, secret) {
						t.Errorf("%s: %s", command, line)
					}
				}
			}
		})
	}
}

// trace runs chainfix under strace and returns its calls that name a file, or
// have to do with the network, with processes or with devices.
func trace(t *testing.T, dir string, want int, args ...string) string {
	t.Helper()
	return traceInput(t, dir, nil, want, args...)
}

// traceInput is trace with something on standard input.
func traceInput(t *testing.T, dir string, input io.Reader, want int, args ...string) string {
	t.Helper()
	report := filepath.Join(t.TempDir(), "calls")
	cmd := exec.Command("strace", append([]string{"-f", "-e", "trace=%file,%network,%process,ioctl", "-o", report, "chainfix"}, args...)...)
	cmd.Dir, cmd.Stdin = dir, input
	out, err := cmd.CombinedOutput()
	if status := cmd.ProcessState.ExitCode(); status != want {
		t.Fatalf("chainfix %q ends with %d, not %d: %v\n%s", args, status, want, err, out)
	}
	calls, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	return string(calls)
}
