package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// guardedHost is a host with the hook of the documentation, and a policy.
type guardedHost struct {
	*peers.System
	policy string
}

func startGuardedHost(t *testing.T) *guardedHost {
	t.Helper()
	s := peers.StartSystem(t, "guarded")
	installProgram(t, s.Libvirt)
	h := &guardedHost{s, filepath.Join(s.Dir, "policy.yaml")}
	writeFile(t, h.policy, []byte("version: 1\ndisks:\n"+neverMet))
	h.hook(t, "")
	return h
}

const neverMet = "  - {path: /elsewhere, chain: kept}\n"

// hook sets the hook script, with a line at its head.
func (h *guardedHost) hook(t *testing.T, line string) {
	t.Helper()
	h.SetHook(strings.Replace(hookScript(t, h.System, "--policy "+h.policy), "\n", "\n"+line+"\n", 1))
}

// wants demands that a guest does not start, at a moment, and returns the three ways out
// that the error names.
func (h *guardedHost) wants(t *testing.T, guest, code, moment string) (mend, keep, line string) {
	t.Helper()
	out, err := h.Try("start", guest)
	wantVeto(t, out, err, code)
	if !strings.Contains(out, guest+" "+moment+" begin -") {
		t.Errorf("%s is not refused at %s begin: %s", guest, moment, out)
	}
	wantState(t, h.System, guest, "shut off")
	found := regexp.MustCompile(`hint: [^:]*: (chainfix host apply .*?); or.*(- \{.*\}); or .*: (case .* esac)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no ways out: %s", out)
	}
	return found[1], found[2], found[3]
}

// virtinst runs one of its programs.
func (h *guardedHost) virtinst(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := h.Command(program, append([]string{"--connect", h.URI(), "--quiet"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
}

// TestGuard: a guest whose explicit chain has become wrong does not start on a real
// libvirt, and each way out that the error names works. All others start.
func TestGuard(t *testing.T) {
	t.Parallel()
	peers.Require(t, "virt-clone", "virt-xml")
	h := startGuardedHost(t)
	explicit := func(guest string) (top string) {
		t.Helper()
		top, middle, base := hookChain(t, h.System, guest)
		h.Define(hookGuest(guest, top, chainBelow(middle, base)))
		return top
	}
	fresh := bytesOf(mkimage.Qcow2{VirtualSize: demoSize})

	explicit("right")
	h.Virsh("start", "right")
	if log, err := os.ReadFile(filepath.Join(h.Dir, "log/chainfix-hook.log")); err == nil {
		t.Errorf("there is something to say of a right chain:\n%s", log)
	}

	t.Run("virt-clone", func(t *testing.T) {
		explicit("web")
		clone := filepath.Join(h.Images, "web-clone.qcow2")
		h.virtinst(t, "virt-clone", "--original", "web", "--name", "web-clone", "--file", clone)
		mend, _, _ := h.wants(t, "web-clone", "chain-stale", "prepare")
		words := strings.Replace(mend, "apply", "apply --connect '"+h.URI()+"' --state-dir "+filepath.Join(h.Dir, "runs"), 1)
		if out, err := exec.Command("sh", "-c", words).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", words, err, out)
		}
		h.Virsh("start", "web-clone")
		wantExplicit(t, h.System, "web-clone", len(h.DebugLog()), clone)
	})
	t.Run("virt-xml", func(t *testing.T) {
		explicit("edited")
		path := filepath.Join(h.Images, "fresh.qcow2")
		writeFile(t, path, fresh)
		h.virtinst(t, "virt-xml", "edited", "--edit", "target=vda", "--disk", "path="+path)
		_, keep, _ := h.wants(t, "edited", "chain-stale", "prepare")
		writeFile(t, h.policy, []byte("version: 1\ndisks:\n"+neverMet+"  "+keep+"\n"))
		h.Virsh("start", "edited")
		apply := exec.Command("chainfix", "host", "apply", "--connect", h.URI(), "--state-dir", filepath.Join(h.Dir, "runs"), "--policy", h.policy, "--refresh", "edited")
		if out, err := apply.CombinedOutput(); err != nil || !strings.Contains(string(out), "[chain-kept]") || strings.Contains(string(out), "defined") {
			t.Errorf("host apply does not keep the chain: %v\n%s", err, out)
		}
	})
	t.Run("flattened", func(t *testing.T) {
		writeFile(t, explicit("flat"), fresh)
		_, _, line := h.wants(t, "flat", "chain-stale", "prepare")
		h.hook(t, line)
		h.Virsh("start", "flat")
		h.hook(t, "")
	})
	t.Run("volumes of a pool that was moved", func(t *testing.T) {
		dirs := []string{filepath.Join(h.Images, "here"), filepath.Join(h.Images, "there")}
		for _, dir := range dirs {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, "base.img"), make([]byte, demoSize))
			writeFile(t, filepath.Join(dir, "top.qcow2"), bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: "base.img", BackingFormat: "raw"}))
		}
		h.Virsh("pool-define-as p dir --target " + dirs[1] + "; pool-start p")
		h.Define(peers.SmallGuest("moved", fmt.Sprintf("<disk type='volume'><driver type='qcow2'/><source pool='p' volume='top.qcow2'/>%s<target dev='vda' bus='virtio'/></disk>",
			rawBelow(filepath.Join(dirs[0], "base.img")))))
		h.wants(t, "moved", "chain-conflict", "prepare")
	})
	t.Run("what libvirt does not find", func(t *testing.T) {
		_, middle, _ := hookChain(t, h.System, "sliced")
		const offset = 1 << 20
		overlay := bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: middle, BackingFormat: "qcow2"})
		top := filepath.Join(h.Images, "sliced.qcow2")
		writeFile(t, top, append(make([]byte, offset), overlay...))
		h.Define(peers.SmallGuest("sliced", fmt.Sprintf("<disk type='file'><driver type='qcow2'/><source file='%s'><slices><slice type='storage' offset='%d' size='%d'/></slices></source><target dev='vda' bus='virtio'/></disk>",
			top, offset, len(overlay))))
		h.wants(t, "sliced", "chain-cut", "start")
	})
	t.Run("without doubt only", func(t *testing.T) {
		top := explicit("gone")
		writeFile(t, top, bytesOf(mkimage.Qcow2{VirtualSize: demoSize, Backing: "/gone/middle.qcow2", BackingFormat: "qcow2"}))
		h.Virsh("start", "gone")
		top = explicit("missing")
		if err := os.Remove(filepath.Join(filepath.Dir(top), "base.img")); err != nil {
			t.Fatal(err)
		}
		if out, err := h.Try("start", "missing"); err == nil || strings.Contains(out, "Hook script") {
			t.Errorf("the hook refuses what libvirt does: %v, %s", err, out)
		}
		if log := hookLog(t, h.System); !strings.Contains(log, `guest "missing", prepare begin: the guest starts, but its chain could not be checked: disk "vda": [image-missing] `) {
			t.Errorf("the log:\n%s", log)
		}
	})
}
