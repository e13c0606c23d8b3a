package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// hookGuest is the definition of a small guest with one disk, which states what
// is in chain below its top.
func hookGuest(name, top, chain string) string {
	return peers.SmallGuest(name, fmt.Sprintf(`<disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='%s'/>%s
      <target dev='vda' bus='virtio'/>
    </disk>`, top, chain))
}

// hookScript is that of the documentation, with the chainfix and the log of a
// private host, time for a machine that is busy, and further flags.
func hookScript(t *testing.T, s *peers.System, flags string) string {
	t.Helper()
	script := documentedScript(t)
	const program = "/usr/bin/chainfix hook "
	if strings.Count(script, program) != 1 {
		t.Fatalf("the script of docs/hook.md does not run %q once:\n%s", program, script)
	}
	return strings.Replace(script, program, filepath.Join(s.Dir, "chainfix")+" hook --timeout 1m "+flags+" ", 1)
}

// documentedScript is the hook script of docs/hook.md.
func documentedScript(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/hook.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/hook.md has no script")
	}
	return string(found[1])
}

// TestHelpHasTheHookScript: the script in the help is that of docs/hook.md, except for
// comments and line breaks.
func TestHelpHasTheHookScript(t *testing.T) {
	code := regexp.MustCompile("(?m)^#[^!].*").ReplaceAllString(documentedScript(t), "")
	if words := strings.Join(strings.Fields(code), " "); !strings.Contains(strings.Join(strings.Fields(hookDescription), " "), words) {
		t.Errorf("the help has not %q", words)
	}
}

// startHost starts a host with chainfix for its hook.
func startHost(t *testing.T, name string) *peers.System {
	t.Helper()
	s := peers.StartSystem(t, name)
	installProgram(t, s.Libvirt)
	s.SetHook(hookScript(t, s, ""))
	return s
}

// hookChain makes the images of a guest: a base of unrecorded format, so that
// libvirt probes, and two overlays. It returns their paths, top first.
func hookChain(t *testing.T, s *peers.System, guest string) (top, middle, base string) {
	t.Helper()
	dir := filepath.Join(s.Images, guest)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, content := range map[string][]byte{
		"base.img":     make([]byte, demoSize),
		"other.img":    make([]byte, demoSize),
		"middle.qcow2": bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: "base.img"}),
		"top.qcow2":    bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: "middle.qcow2", BackingFormat: "qcow2"}),
	} {
		if err := os.WriteFile(in(name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return in("top.qcow2"), in("middle.qcow2"), in("base.img")
}

// chainBelow is a whole explicit chain.
func chainBelow(middle, base string) string {
	return fmt.Sprintf(`
      <backingStore type='file'>
        <format type='qcow2'/>
        <source file='%s'/>
        <backingStore type='file'>
          <format type='raw'/>
          <source file='%s'/>
          <backingStore/>
        </backingStore>
      </backingStore>`, middle, base)
}

// migrate moves a running guest to another host, through sockets in the folder
// of the images, and returns what virsh says.
func migrate(from, to *peers.System, guest string, flags ...string) (string, error) {
	return from.Try(append([]string{"migrate", "--live", "--unsafe", "--persistent", guest, to.URI(),
		"--migrateuri", "unix://" + filepath.Join(from.Images, "migration")}, flags...)...)
}

// wantExplicit demands that QEMU's last start on a host got every layer, and
// that libvirt read none, according to its log from there on.
func wantExplicit(t *testing.T, s *peers.System, guest string, logged int, images ...string) {
	t.Helper()
	options := s.Blockdevs(guest)
	for _, option := range options {
		if n := blockdevNode(t, option); n.Driver == "qcow2" && n.Backing == nil {
			t.Errorf("QEMU is left to follow a header: %s", option)
		}
	}
	names, err := peers.Filenames(options)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(names) != fmt.Sprint(images) {
		t.Errorf("QEMU's images are %q, not %q", names, images)
	}
	if lines := detections(s.DebugLog()[logged:]); len(lines) > 0 {
		t.Errorf("libvirt looked for itself:\n%s", strings.Join(lines, "\n"))
	}
}

// detections are the lines of a log that say that libvirt detected a chain.
func detections(log string) (lines []string) {
	for line := range strings.Lines(log) {
		for _, sign := range []string{"virStorageFileProbeFormat", "virStorageSourceGetMetadata", "parsing backing store string"} {
			if strings.Contains(line, sign) {
				lines = append(lines, line)
				break
			}
		}
	}
	return lines
}

// wantState demands that a guest is in a state, as virsh calls it.
func wantState(t *testing.T, s *peers.System, guest, state string) {
	t.Helper()
	if is := strings.TrimSpace(s.Virsh("domstate", guest)); is != state {
		t.Errorf("%s is %q, not %q", guest, is, state)
	}
}

// wantVeto demands that virsh failed and shows a finding, within one line.
func wantVeto(t *testing.T, out string, err error, code string) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^error: Hook script execution failed: .* unexpected exit status 3: chainfix: disk "vda": \[` + code + `\] .*$`)
	if err == nil || !line.MatchString(out) {
		t.Errorf("no veto with %q in one line: %v\n%s", code, err, out)
	}
}

func hookLog(t *testing.T, s *peers.System) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(s.Dir, "log/chainfix-hook.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// TestGuestsMigrate: on its way to a host with the hook a guest becomes
// explicit, one with a wrong chain is left alone, and a host that verifies does
// not let that in.
func TestGuestsMigrate(t *testing.T) {
	t.Parallel()
	source, destination := peers.StartSystem(t, "source"), startHost(t, "destination")
	start := func(guest, top, chain string) {
		t.Helper()
		source.Define(hookGuest(guest, top, chain))
		source.Virsh("start", guest)
	}

	t.Run("explicit", func(t *testing.T) {
		top, middle, base := hookChain(t, source, "mended")
		start("mended", top, "")
		if len(detections(source.DebugLog())) == 0 {
			t.Error("the source's log does not show what it detects, so the destination's proves nothing")
		}
		// This is what the destination gets.
		if xml := source.Virsh("dumpxml", "--migratable", "mended"); strings.Contains(xml, base) {
			t.Errorf("the source sends what it detected:\n%s", xml)
		}
		if out, err := migrate(source, destination, "mended"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		wantState(t, destination, "mended", "running")
		wantExplicit(t, destination, "mended", 0, base, middle, top)
		if xml := destination.Virsh("dumpxml", "--migratable", "mended"); !strings.Contains(xml, base) {
			t.Errorf("what the destination runs is not explicit:\n%s", xml)
		}
		if info := destination.Virsh("dominfo", "mended"); since("7.1", false, true) && !strings.Contains(info, "modified by hook script") {
			t.Errorf("libvirt does not say that there was a hook:\n%s", info)
		}
		// The persistent definition comes by another way.
		if xml := destination.Virsh("dumpxml", "--inactive", "mended"); strings.Contains(xml, base) {
			t.Errorf("libvirt has asked the hook about the definition too:\n%s", xml)
		}
		if log := hookLog(t, destination); !strings.Contains(log, `guest "mended", migrate begin: every chain is explicit now`) {
			t.Errorf("the log:\n%s", log)
		}
	})
	t.Run("explicit before", func(t *testing.T) {
		top, middle, base := hookChain(t, source, "ready")
		start("ready", top, chainBelow(middle, base))
		logged := len(destination.DebugLog())
		if out, err := migrate(source, destination, "ready"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		wantExplicit(t, destination, "ready", logged, base, middle, top)
		if info := destination.Virsh("dominfo", "ready"); strings.Contains(info, "modified by hook script") {
			t.Errorf("the hook has replaced XML that needs it not:\n%s", info)
		}
	})
	t.Run("left alone", func(t *testing.T) {
		destination.SetHook(hookScript(t, destination, "--no-guard"))
		top, middle, base := hookChain(t, source, "wrong")
		other := filepath.Join(filepath.Dir(base), "other.img")
		start("wrong", top, chainBelow(middle, other))
		if out, err := migrate(source, destination, "wrong"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		wantExplicit(t, destination, "wrong", len(destination.DebugLog()), other, middle, top)
		if log := hookLog(t, destination); !strings.Contains(log, `guest "wrong", migrate begin: the XML stays unchanged: disk "vda": [chain-conflict] `) {
			t.Errorf("the log:\n%s", log)
		}
	})
	t.Run("not let in", func(t *testing.T) {
		destination.SetHook(hookScript(t, destination, "--verify"))
		top, middle, base := hookChain(t, source, "stays")
		start("stays", top, chainBelow(middle, filepath.Join(filepath.Dir(base), "other.img")))
		out, err := migrate(source, destination, "stays")
		wantVeto(t, out, err, "chain-conflict")
		wantState(t, source, "stays", "running")
		if list := destination.Virsh("list", "--all", "--name"); strings.Contains(list, "stays") {
			t.Errorf("the destination knows the guest:\n%s", list)
		}
	})

	// Each host has a folder of this name for itself.
	const images = "/var/lib/libvirt/images"
	destination.Virsh("pool-create-as default dir --target " + images + " --build")
	local := filepath.Join(source.Dir, "lib/libvirt/images")
	copied := func(guest string) (top, base string) {
		t.Helper()
		for name, content := range map[string][]byte{
			guest + ".img":   make([]byte, demoSize),
			guest + ".qcow2": bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: guest + ".img", BackingFormat: "raw"}),
		} {
			if err := errors.Join(os.MkdirAll(local, 0o755), os.WriteFile(filepath.Join(local, name), content, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		return filepath.Join(images, guest+".qcow2"), filepath.Join(images, guest+".img")
	}
	copyStorage := []string{"--copy-storage-all", "--disks-uri", "unix://" + filepath.Join(source.Images, "nbd")}
	t.Run("copied", func(t *testing.T) {
		top, _ := copied("copied")
		start("copied", top, "")
		if out, err := migrate(source, destination, "copied", copyStorage...); err != nil {
			t.Fatalf("images that libvirt makes later are missed: %v\n%s", err, out)
		}
		wantState(t, destination, "copied", "running")
		if log := hookLog(t, destination); !strings.Contains(log, `guest "copied", migrate begin: the XML stays unchanged: disk "vda": [image-missing] `) {
			t.Errorf("the log:\n%s", log)
		}
	})
	t.Run("copied below a chain", func(t *testing.T) {
		top, base := copied("below")
		start("below", top, fmt.Sprintf(`
      <backingStore type='file'>
        <format type='raw'/>
        <source file='%s'/>
        <backingStore/>
      </backingStore>`, base))
		destination.SetHook(hookScript(t, destination, ""))
		out, err := migrate(source, destination, "below", copyStorage...)
		wantVeto(t, out, err, "chain-stale")
		wantState(t, source, "below", "running")

		stripped := func(name string, dump ...string) string {
			path := filepath.Join(source.Dir, name)
			strip := exec.Command("chainfix", "strip")
			strip.Stdin = strings.NewReader(source.Virsh(append(append([]string{"dumpxml", "--security-info"}, dump...), "below")...))
			text, err := strip.Output()
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, path, text)
			return path
		}
		with := []string{"--xml", stripped("live.xml", "--migratable"), "--persistent-xml", stripped("persistent.xml", "--inactive")}
		if out, err := migrate(source, destination, "below", append(with, copyStorage...)...); err != nil {
			t.Fatalf("XML without the chain is not let in: %v\n%s", err, out)
		}
		wantState(t, destination, "below", "running")
		if xml := destination.Virsh("dumpxml", "--inactive", "below"); strings.Contains(xml, base) {
			t.Errorf("the definition still has the chain:\n%s", xml)
		}
	})
}

// TestGuestsAreRestored: a guest that was saved becomes explicit when it is
// restored; a refused chain stays what it is, or keeps the guest saved.
func TestGuestsAreRestored(t *testing.T) {
	t.Parallel()
	s := startHost(t, "host")
	top, middle, base := hookChain(t, s, "saved")
	s.Define(hookGuest("saved", top, ""))
	s.Virsh("start", "saved")
	if len(detections(s.DebugLog())) == 0 {
		t.Error("the log does not show what libvirt detects, so it proves nothing")
	}
	s.Virsh("managedsave", "saved")
	logged := len(s.DebugLog())
	s.Virsh("start", "saved")
	wantState(t, s, "saved", "running")
	wantExplicit(t, s, "saved", logged, base, middle, top)
	if xml := s.Virsh("dumpxml", "--inactive", "saved"); strings.Contains(xml, base) {
		t.Errorf("the definition has changed:\n%s", xml)
	}

	// libvirt takes VHDX for raw. That is wrong, but the guest has it open.
	dir := filepath.Dir(top)
	for name, content := range map[string][]byte{
		"base.vhdx":     bytesOf(mkimage.VHDX{VirtualSize: demoSize}),
		"lasting.qcow2": bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: "base.vhdx"}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.Define(hookGuest("lasting", filepath.Join(dir, "lasting.qcow2"), ""))
	s.Virsh("start", "lasting")
	running := s.Blockdevs("lasting")
	s.Virsh("managedsave", "lasting")
	s.Virsh("start", "lasting")
	if diff := cmp.Diff(running, s.Blockdevs("lasting")); diff != "" {
		t.Errorf("the guest goes on with other nodes:\n-before +now\n%s", diff)
	}
	if log := hookLog(t, s); !strings.Contains(log, `guest "lasting", restore begin: the XML stays unchanged: disk "vda": [ran-otherwise] `) {
		t.Errorf("the log:\n%s", log)
	}

	// Now the saved guest gets another base.
	s.Virsh("managedsave", "saved")
	if xml := s.Virsh("managedsave-dumpxml", "saved"); !strings.Contains(xml, base) {
		t.Errorf("an explicit chain is not saved:\n%s", xml)
	}
	overlay := bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: "other.img", BackingFormat: "raw"})
	if err := os.WriteFile(middle, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	s.SetHook(hookScript(t, s, "--verify"))
	out, err := s.Try("start", "saved")
	wantVeto(t, out, err, "chain-conflict")
	if list := s.Virsh("list", "--all", "--managed-save"); !regexp.MustCompile(`saved +saved`).MatchString(list) {
		t.Errorf("the guest is not saved any more:\n%s", list)
	}
	s.SetHook(hookScript(t, s, "--no-guard"))
	s.Virsh("start", "saved")
	wantExplicit(t, s, "saved", len(s.DebugLog()), base, middle, top)
}

// TestGuestsStart: a host that verifies starts no guest whose chain is refused,
// and a hook line that is wrong starts none, but it kills none either when the
// daemon is started again.
func TestGuestsStart(t *testing.T) {
	t.Parallel()
	s := startHost(t, "host")
	good, _, _ := hookChain(t, s, "good")
	top, middle, base := hookChain(t, s, "bad")
	s.Define(hookGuest("good", good, ""))
	s.Define(hookGuest("bad", top, chainBelow(middle, filepath.Join(filepath.Dir(base), "other.img"))))

	s.SetHook(hookScript(t, s, "--verify"))
	s.Virsh("start", "good")
	out, err := s.Try("start", "bad")
	wantVeto(t, out, err, "chain-conflict")
	wantState(t, s, "bad", "shut off")

	for _, script := range []string{
		hookScript(t, s, "--verify --nonsense"),
		"#!/bin/sh\nexec " + filepath.Join(s.Dir, "chainfix") + " hook --nonsense \"$@\"\n",
		"#!/bin/sh\nexec " + filepath.Join(s.Dir, "chainfix") + " hook \"$@\" --nonsense\n",
	} {
		s.SetHook(script)
		s.Restart()
		if out, err := goesOn(s, "good"); err != nil {
			t.Errorf("with the hook script\n%sa restart of the daemon kills a guest: %s", script, out)
		}
		if out, err := s.Try("start", "bad"); err == nil || !strings.Contains(out, "chainfix: ") {
			t.Errorf("with the hook script\n%sa guest starts: %s", script, out)
		}
	}
	// That the guest lives is chainfix's doing.
	s.SetHook("#!/bin/sh\n[ \"$2\" != reconnect ]\n")
	s.Restart()
	if out, err := goesOn(s, "good"); err == nil || !strings.Contains(out, "not running") {
		t.Errorf("a hook that fails does not end the guest: %v, %s", err, out)
	}
}

// goesOn finds out whether a guest runs once the daemon has found it again,
// which it does with the guest's job; suspending it takes that too, and waits.
func goesOn(s *peers.System, guest string) (string, error) {
	return s.Try("suspend " + guest + "; resume " + guest)
}
