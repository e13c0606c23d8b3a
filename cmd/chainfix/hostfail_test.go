package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

// TestConnectionIsCut cuts the line at every call of an apply, before the daemon
// has it and after it has done what it was asked.
func TestConnectionIsCut(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 3)
	calls := 0
	for _, before := range []bool{true, false} {
		name := "the daemon has done what it was asked"
		if before {
			name = "the daemon has not been asked"
		}
		t.Run(name, func(t *testing.T) {
			for at := 1; ; at++ {
				k := newLink(t, h.Libvirt, func(n int, _ uint32, _ []byte) (forward, reply bool) {
					return n != at || !before, n != at
				})
				stateDir := filepath.Join(h.Dir, fmt.Sprintf("%v-%d", before, at))
				d, err := host.Connect(t.Context(), k.uri)
				if err == nil {
					a := h.applier(stateDir)
					a.Daemon, a.Scan.Inventory = d, d
					_, err = a.Run(t.Context(), noReport)
					d.Close()
				}
				if err == nil {
					calls += at
					_, run := lastSteps(t, stateDir)
					h.rollback(t, run)
					break
				}
				if !errors.Is(err, host.ErrGone) {
					t.Errorf("cut at call %d: %v", at, err)
				}
				h.interrupted(t, stateDir)
				h.rollback(t, h.apply(t, stateDir))
			}
		})
	}
	if calls < 50 {
		t.Errorf("there were only %d calls", calls)
	}
}

// Numbers of libvirt's procedures.
const (
	getXML     = 14  // DOMAIN_GET_XML_DESC
	blockJobOf = 238 // DOMAIN_GET_BLOCK_JOB_INFO
	listGuests = 273 // CONNECT_LIST_ALL_DOMAINS
	defineXML  = 350 // DOMAIN_DEFINE_XML_FLAGS

	snapshotXML = 185 // DOMAIN_SNAPSHOT_CREATE_XML
)

// TestReadBack: if libvirt stores another definition than it was given, the old
// one is restored, and the other guests are changed.
func TestReadBack(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 3)
	spoiled := 0
	k := newLink(t, h.Libvirt, func(_ int, procedure uint32, packet []byte) (forward, reply bool) {
		if at := bytes.Index(packet, []byte("<format type='raw'/>")); procedure == defineXML && at >= 0 && spoiled == 0 {
			spoiled++
			copy(packet[at:], "<format type='vdi'/>")
		}
		return true, true
	})
	run, outcomes, err := h.applyBy(t, k)
	if !errors.Is(err, host.ErrLeft) || len(outcomes) != 3 || !errors.Is(outcomes[0].Err, host.ErrReadBack) || spoiled != 1 {
		t.Errorf("%v, %v", err, outcomes)
	}
	h.want(t, map[string]string{"g0": h.old["g0"], "g1": h.new["g1"], "g2": h.new["g2"]})
	h.rollback(t, run)
}

// applyBy applies over a link, and returns the outcomes of the guests.
func (h *fixableHost) applyBy(t *testing.T, k *link) (run string, outcomes []host.Outcome, err error) {
	t.Helper()
	d, err := host.Connect(t.Context(), k.uri)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	a := h.applier(filepath.Join(h.Dir, "state"))
	a.Daemon, a.Scan.Inventory = d, d
	a.OnOutcome = func(o host.Outcome) { outcomes = append(outcomes, o) }
	run, err = a.Run(t.Context(), noReport)
	return run, outcomes, err
}

// TestOldDefinitionNotRestored: libvirt stores the old definition differently, too.
// The error and the manifest say so, and so does rollback.
func TestOldDefinitionNotRestored(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 2)
	spoiled := 0
	k := newLink(t, h.Libvirt, func(_ int, procedure uint32, packet []byte) (forward, reply bool) {
		if at := bytes.Index(packet, []byte("<on_reboot>restart")); procedure == defineXML && at >= 0 && spoiled < 2 {
			spoiled++
			copy(packet[at:], "<on_reboot>destroy")
		}
		return true, true
	})
	run, outcomes, err := h.applyBy(t, k)
	if !errors.Is(err, host.ErrLeft) || len(outcomes) != 2 || !errors.Is(outcomes[0].Err, host.ErrReadBack) || !strings.Contains(outcomes[0].Err.Error(), ".old.xml") || spoiled != 2 {
		t.Errorf("%v, %v", err, outcomes)
	}
	if steps, _ := lastSteps(t, filepath.Join(h.Dir, "state")); steps["g0"] != host.Changed {
		t.Errorf("g0 is %q", steps["g0"])
	}
	if err := (&host.Rollback{Daemon: h.d, Connect: h.URI()}).Run(t.Context(), run); !errors.Is(err, host.ErrLeft) {
		t.Errorf("rollback: %v", err)
	}
}

// refusal is an error that replaces another answer.
func refusal(answer []byte) []byte {
	const systemError, fromRPC, hasMessage, message, level = 38, 7, 1, "End of file, so far....", 2
	no := slices.Clone(answer[:28])
	binary.BigEndian.PutUint32(no[24:], 1)
	for _, n := range []uint32{systemError, fromRPC, hasMessage, uint32(len(message))} {
		no = binary.BigEndian.AppendUint32(no, n)
	}
	no = append(no, message...)
	no = append(no, make([]byte, -len(message)&3)...)
	no = binary.BigEndian.AppendUint32(no, level)
	binary.BigEndian.PutUint32(no, uint32(len(no)))
	return no
}

// TestNotReadBack: a guest whose new definition libvirt cannot return gets its
// old one again, and the others are changed.
func TestNotReadBack(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 2)
	defined := 0
	k := newLink(t, h.Libvirt, func(_ int, procedure uint32, _ []byte) (forward, reply bool) {
		if procedure == defineXML {
			defined++
		}
		return true, true
	})
	k.answer = func(procedure uint32, packet []byte) []byte {
		if procedure == getXML && defined == 1 {
			return refusal(packet)
		}
		return packet
	}
	run, outcomes, err := h.applyBy(t, k)
	if !errors.Is(err, host.ErrLeft) || len(outcomes) != 2 || outcomes[0].Step != host.Left || !errors.Is(outcomes[0].Err, host.ErrReadBack) {
		t.Errorf("%v, %v", err, outcomes)
	}
	h.want(t, map[string]string{"g0": h.old["g0"], "g1": h.new["g1"]})
	h.rollback(t, run)
}

// TestUnreadableMeanwhile: a guest that an earlier run left half done, and that
// libvirt can no longer return, does not block the others.
func TestUnreadableMeanwhile(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 2)
	k := newLink(t, h.Libvirt, func(_ int, procedure uint32, _ []byte) (forward, reply bool) { return true, procedure != defineXML })
	if _, _, err := h.applyBy(t, k); !errors.Is(err, host.ErrGone) {
		t.Fatal(err)
	}
	inspected := 0
	k = newLink(t, h.Libvirt, func(int, uint32, []byte) (forward, reply bool) { return true, true })
	k.answer = func(procedure uint32, packet []byte) []byte {
		if procedure == getXML {
			inspected++
		}
		if inspected == 1 {
			inspected++
			return refusal(packet)
		}
		return packet
	}
	run, outcomes, err := h.applyBy(t, k)
	if !errors.Is(err, host.ErrLeft) || len(outcomes) != 2 || outcomes[0].Guest != "g0" || outcomes[0].Err == nil {
		t.Errorf("%v, %v", err, outcomes)
	}
	h.want(t, h.new)
	h.rollback(t, run)
}

// TestFalseRefusal: a proxy says no although the daemon behind it has done
// what it was asked, because it does not know. The manifest says what is.
func TestFalseRefusal(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 2)
	k := newLink(t, h.Libvirt, func(int, uint32, []byte) (forward, reply bool) { return true, true })
	k.answer = func(procedure uint32, packet []byte) []byte {
		if procedure != defineXML {
			return packet
		}
		return refusal(packet)
	}
	run, outcomes, err := h.applyBy(t, k)
	if err != nil || len(outcomes) != 2 || outcomes[0].Step != host.Defined {
		t.Errorf("%v, %v", err, outcomes)
	}
	h.want(t, h.new)
	h.rollback(t, run)
}

// TestOldDefinitionOutlivesAll: a guest that was changed by a run, and then from
// outside so that it is fixable again, is not planned again by the same run,
// however often that is interrupted: its first definition is kept nowhere else.
func TestOldDefinitionOutlivesAll(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 2)
	stateDir := filepath.Join(h.Dir, "state")
	ctx, cancel := context.WithCancel(t.Context())
	a := h.applier(stateDir)
	d := connect(t, h.Libvirt) // it ends with its context
	a.Daemon, a.Scan.Inventory = d, d
	a.OnOutcome = func(host.Outcome) { cancel() }
	if _, err := a.Run(ctx, noReport); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	theirs := edited(h.old["g0"])
	h.define(t, theirs)
	cut := errors.New("cut short")
	for range 3 {
		_, err := h.applier(stateDir).Run(t.Context(), func(r *host.Report) error {
			if r.Guest.Name == "g1" {
				return cut
			}
			return nil
		})
		if !errors.Is(err, cut) {
			t.Fatal(err)
		}
	}
	run, err := h.applier(stateDir).Run(t.Context(), noReport)
	if !errors.Is(err, host.ErrLeft) {
		t.Errorf("%v", err)
	}
	h.want(t, map[string]string{"g0": theirs, "g1": h.new["g1"]})
	back := &host.Rollback{Daemon: h.d, Connect: h.URI()}
	if err := back.Run(t.Context(), run); !errors.Is(err, host.ErrLeft) {
		t.Errorf("rollback says nothing of the guest that was changed: %v", err)
	}
	h.want(t, map[string]string{"g0": theirs, "g1": h.old["g1"]})
	h.define(t, h.new["g0"])
	h.rollback(t, run)
}

// TestEndsMeanwhile: a guest that ends while it is examined is still read.
func TestEndsMeanwhile(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 1)
	h.Virsh("start", "--paused", "g0")
	ended := false
	k := newLink(t, h.Libvirt, func(_ int, procedure uint32, _ []byte) (forward, reply bool) {
		if procedure == blockJobOf && !ended {
			ended = true
			h.Virsh("destroy", "g0")
		}
		return true, true
	})
	d, err := host.Connect(t.Context(), k.uri)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	guest, err := d.Inspect(t.Context(), h.uuid(h.old["g0"]))
	if err != nil || guest.Active || guest.Live != nil || string(guest.Definition) != h.old["g0"] || !ended {
		t.Errorf("%v, %v", guest, err)
	}
}

// writer is a stream that does something at the first write that has a text in
// it.
type writer struct {
	bytes.Buffer
	at string
	do func()
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if w.do != nil && strings.Contains(string(p), w.at) {
		do := w.do
		w.do = nil
		do()
	}
	return n, err
}

// runHere runs the command line within the test.
func runHere(t *testing.T, out, complaints *writer, args ...string) int {
	return run(t.Context(), append([]string{"chainfix", "host"}, args...), streams{nil, out, complaints})
}

// lastLine wants the program's own complaint to be one line, the last.
func lastLine(t *testing.T, text, want string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	last := lines[len(lines)-1]
	if strings.Count(text, "chainfix: ") != 1 || !strings.HasPrefix(last, "chainfix: ") || !strings.Contains(last, want) {
		t.Errorf("want %q in one line: %s", want, text)
	}
}

// TestDaemonDies: while guests are planned, and between two definitions. What is
// stored then is whole.
func TestDaemonDies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ stream, at string }{{"err", "probed-format"}, {"out", "defined"}} {
		t.Run(c.at, func(t *testing.T) {
			h := newFixableHost(t, 3)
			out, complaints := &writer{}, &writer{}
			dies := map[string]*writer{"out": out, "err": complaints}[c.stream]
			dies.at, dies.do = c.at, func() { h.Signal(syscall.SIGKILL) }
			stateDir := filepath.Join(h.Dir, "state")
			if status := runHere(t, out, complaints, "apply", "--connect", h.URI(), "--state-dir", stateDir); status != exitInput {
				t.Errorf("status %d", status)
			}
			lastLine(t, complaints.String(), host.ErrGone.Error())
			steps, run := lastSteps(t, stateDir)
			if last := strings.TrimSpace(out.String()); !strings.HasSuffix(last, run) || run == "" {
				t.Errorf("the run's folder is not printed: %s", out)
			}
			for guest, err := range host.FolderAt(h.ConfigDir()).Guests(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				_, now, _ := strings.Cut(string(guest.Definition), "-->\n\n")
				if want := map[host.Step]string{host.Planned: h.old[guest.Name], "": h.old[guest.Name], host.Defined: h.new[guest.Name]}[steps[guest.Name]]; now != want {
					t.Errorf("%s is %q, and has\n%s", guest.Name, steps[guest.Name], now)
				}
			}
		})
	}
}

// TestChangedMeanwhile: a guest that is changed between the plan and its turn
// is skipped, and the others are changed.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 3)
	for name, c := range map[string]struct {
		change, back func()
		left         string // what g1 has then; "" for nothing
		says         string
		status       int
	}{
		"edited":   {func() { h.define(t, edited(h.old["g1"])) }, func() { h.define(t, h.old["g1"]) }, edited(h.old["g1"]), host.ErrChanged.Error(), exitInput},
		"undefine": {func() { h.Virsh("undefine", "g1") }, func() { h.define(t, h.old["g1"]) }, "", "virDomainLookupByUUID", exitInput},
		"saved": {func() { h.Virsh("start --paused g1; managedsave g1") }, func() { h.Virsh("managedsave-remove", "g1") },
			h.old["g1"], "g1: warning: held back: " + host.ErrGuestBusy.Error(), exitRefused},
	} {
		t.Run(name, func(t *testing.T) {
			out, complaints := &writer{}, &writer{at: "g2 ", do: c.change} // the others are planned by then
			status := runHere(t, out, complaints, "apply", "--connect", h.URI(), "--state-dir", filepath.Join(h.Dir, name))
			if status != c.status || !strings.Contains(complaints.String(), "g1: warning: ") || !strings.Contains(complaints.String(), c.says) {
				t.Errorf("status %d: %s", status, complaints)
			}
			if c.status == exitInput {
				lastLine(t, complaints.String(), host.ErrLeft.Error())
			}
			want := map[string]string{"g0": h.new["g0"], "g1": c.left, "g2": h.new["g2"]}
			if c.left == "" {
				delete(want, "g1")
			}
			h.want(t, want)
			c.back()
			_, run := lastSteps(t, filepath.Join(h.Dir, name))
			h.rollback(t, run)
		})
	}
}

// TestBusy: of two runs in a state folder one is at work.
func TestBusy(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 2)
	state := []string{"--connect", h.URI(), "--state-dir", filepath.Join(h.Dir, "state")}
	if err := os.Mkdir(state[3], 0o700); err != nil {
		t.Fatal(err)
	}
	tried := 0
	try := func() {
		tried++
		_, run := lastSteps(t, state[3])
		all := [][]string{append([]string{"apply"}, state...), append([]string{"rollback"}, state...)}
		if run != "" {
			all = append(all, []string{"rollback", state[0], state[1], run})
		}
		for _, args := range all {
			out, complaints := &writer{}, &writer{}
			if status := runHere(t, out, complaints, args...); status != exitInput || out.Len() > 0 {
				t.Errorf("%q: status %d, %s", args, status, out)
			}
			lastLine(t, complaints.String(), host.ErrBusy.Error())
		}
	}
	if status := runHere(t, &writer{at: "defined", do: try}, &writer{at: "g0", do: try}, append([]string{"apply"}, state...)...); status != exitDone || tried != 2 {
		t.Errorf("status %d, tried %d times", status, tried)
	}
	h.want(t, h.new)
}
