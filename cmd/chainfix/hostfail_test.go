package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/testdata/peers"
)

// link is a line to the daemon with something in it: calls are counted, and may
// be kept from the daemon, or their answers from the program.
type link struct {
	call func(n int, procedure uint32, packet []byte) (forward, reply bool)
	// answer may replace what the daemon says; nil is for as it is.
	answer func(procedure uint32, packet []byte) []byte
	uri    string
}

func newLink(t *testing.T, l *peers.Libvirt, call func(n int, procedure uint32, packet []byte) (forward, reply bool)) *link {
	t.Helper()
	dir, err := os.MkdirTemp("", "link-") // the path of a socket has little room
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	listenAsOwner(t, listener.(*net.UnixListener), l.Socket())
	k := &link{call: call, uri: "qemu+unix:///session?socket=" + filepath.Join(dir, "sock")}
	done := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			if far, err := net.Dial("unix", l.Socket()); err == nil {
				k.serve(near, far)
				far.Close()
			}
			near.Close()
		}
	}()
	return k
}

// listenAsOwner makes the owner of a file, the daemon's socket, the one who listens: by
// that user a run is known.
func listenAsOwner(t *testing.T, listener *net.UnixListener, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := listener.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	become := func(user uint32) error { // this thread alone
		const same = ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uintptr(user), same); errno != 0 {
			return errno
		}
		return nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	listenErr := become(info.Sys().(*syscall.Stat_t).Uid)
	if listenErr == nil {
		if err := raw.Control(func(fd uintptr) { listenErr = unix.Listen(int(fd), 16) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(listenErr, become(uint32(os.Getuid()))); err != nil {
		t.Fatal(err)
	}
}

// serve passes calls and answers on, one after the other, until a call is kept.
func (k *link) serve(near, far net.Conn) {
	for n := 1; ; n++ {
		packet, err := readPacket(near)
		if err != nil {
			return
		}
		forward, reply := k.call(n, binary.BigEndian.Uint32(packet[12:]), packet)
		if !forward {
			return
		}
		if _, err := far.Write(packet); err != nil {
			return
		}
		answer, err := readPacket(far)
		if err != nil || !reply {
			return
		}
		if k.answer != nil {
			answer = k.answer(binary.BigEndian.Uint32(packet[12:]), answer)
		}
		if _, err := near.Write(answer); err != nil {
			return
		}
	}
}

func readPacket(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint32(length[:]))
	copy(packet, length[:])
	_, err := io.ReadFull(r, packet[4:])
	return packet, err
}

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

// TestReadBack: of a guest of which libvirt makes anything else than it was
// given the old definition is restored, and the others are changed.
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

// applyBy applies by a link, and returns what has become of the guests.
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

// TestOldIsNotTakenBack: libvirt makes something else of the old definition
// too. The error and the manifest say so, and so does rollback.
func TestOldIsNotTakenBack(t *testing.T) {
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

// refusal is a no, in the place of another answer.
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

// TestNotReadBack: a guest whose new definition libvirt cannot tell gets its old
// one again, and the others are changed.
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

// TestUnreadableMeanwhile: a guest that a run before this one left half done, and
// that libvirt now cannot tell anything of, does not keep the others waiting.
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

// TestRefusalThatIsNone: a proxy says no although the daemon behind it has done
// what it was asked, because it does not know. The manifest says what is.
func TestRefusalThatIsNone(t *testing.T) {
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

// TestOldDefinitionOutlivesAll: a guest that was changed by a run, and then by
// somebody else so that it is fixable again, is not planned anew by the same
// run, however often that is cut short: what it had at first is kept nowhere else.
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

// TestEndsMeanwhile: a guest that ends while it is looked at is read all the
// same.
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

// TestNoSpace: the system has no room, from one call on.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	peers.Require(t, "strace")
	h := newFixableHost(t, 3)
	installProgram(t, h.Libvirt)
	failed := 0
	for i, m := range h.moments(t) {
		if !slices.Contains([]string{"fsync", "pwrite64", "renameat", "mkdirat"}, m.call) {
			continue
		}
		stateDir := filepath.Join(h.Dir, fmt.Sprintf("full%d", i))
		cmd := h.Command("strace", append([]string{"-f", "-o", "/dev/null", "-e", "trace=" + m.call,
			"-e", fmt.Sprintf("inject=%s:error=ENOSPC:when=%d+", m.call, m.n)}, h.program(stateDir)...)...)
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		if err := cmd.Run(); err == nil {
			_, run := lastSteps(t, stateDir)
			h.rollback(t, run)
			continue
		}
		failed++
		if status := cmd.ProcessState.ExitCode(); status != exitInput {
			t.Errorf("%v: status %d", m, status)
		}
		lastLine(t, complaints.String(), "no space left on device")
		h.interrupted(t, stateDir)
		h.rollback(t, h.apply(t, stateDir))
	}
	if failed < 10 {
		t.Errorf("only %d calls have failed", failed)
	}
}

// TestFullDisk keeps the runs on a file system that has room for one page more
// each time, until it is enough.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 3)
	installProgram(t, h.Libvirt)
	disk := filepath.Join(h.Dir, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	for pages := 1; ; pages++ {
		err := unix.Mount("none", disk, "tmpfs", 0, fmt.Sprintf("size=%d", pages*os.Getpagesize()))
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			peers.Lacking(t, "no file system can be mounted here")
		}
		if err != nil {
			t.Fatal(err)
		}
		enough := func() bool {
			defer func() {
				// A process that another test is just starting may have a file open there.
				if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
					t.Fatal(err)
				}
			}()
			h.Share(disk)
			stateDir := filepath.Join(disk, "state")
			cmd := h.Command(h.program(stateDir)[0], h.program(stateDir)[1:]...)
			var complaints bytes.Buffer
			cmd.Stderr = &complaints
			full := cmd.Run()
			if full != nil {
				if status := cmd.ProcessState.ExitCode(); status != exitInput {
					t.Errorf("%d pages: status %d", pages, status)
				}
				lastLine(t, complaints.String(), "no space left on device")
				h.interrupted(t, stateDir)
			}
			if err := unix.Mount("none", disk, "tmpfs", unix.MS_REMOUNT, "size=1048576"); err != nil {
				t.Fatal(err)
			}
			_, run := lastSteps(t, stateDir)
			if full != nil {
				run = h.apply(t, stateDir)
			}
			h.rollback(t, run)
			return full == nil
		}()
		if enough {
			if pages < 5 {
				t.Errorf("%d pages are enough", pages)
			}
			return
		}
	}
}

func edited(definition string) string {
	return strings.Replace(definition, "</uuid>", "</uuid>\n  <description>edited</description>", 1)
}

func (h *fixableHost) define(t *testing.T, definition string) {
	t.Helper()
	if err := h.d.Define(t.Context(), []byte(definition)); err != nil {
		t.Fatal(err)
	}
}

// TestChangedMeanwhile: a guest that somebody changes between the plan and its
// turn is left as he wants it, and the others are changed.
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
			h.old["g1"], "g1: warn: held back: " + host.ErrGuestBusy.Error(), exitRefused},
	} {
		t.Run(name, func(t *testing.T) {
			out, complaints := &writer{}, &writer{at: "g2:", do: c.change} // the others are planned by then
			status := runHere(t, out, complaints, "apply", "--connect", h.URI(), "--state-dir", filepath.Join(h.Dir, name))
			if status != c.status || !strings.Contains(complaints.String(), "g1: warn: ") || !strings.Contains(complaints.String(), c.says) {
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

// TestRollback: every guest that has what the run gave it gets back what it had;
// any other is left, and the run can be taken back again later.
func TestRollback(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 3)
	apply := func(t *testing.T) string { return h.apply(t, filepath.Join(h.Dir, filepath.Base(t.Name()))) }
	back := func(t *testing.T, run string, want int) (string, string) {
		t.Helper()
		out, complaints := &writer{}, &writer{}
		if status := runHere(t, out, complaints, "rollback", "--connect", h.URI(), run); status != want {
			t.Errorf("status %d, not %d\n%s\n%s", status, want, out, complaints)
		}
		return out.String(), complaints.String()
	}
	for name, c := range map[string]struct {
		change, back func()
		left, says   string
	}{
		"edited":    {func() { h.define(t, edited(h.new["g1"])) }, func() { h.define(t, h.new["g1"]) }, edited(h.new["g1"]), host.ErrChanged.Error()},
		"undefined": {func() { h.Virsh("undefine", "g1") }, func() { h.define(t, h.new["g1"]) }, "", "virDomainLookupByUUID"},
		"saved":     {func() { h.Virsh("start --paused g1; managedsave g1") }, func() { h.Virsh("managedsave-remove", "g1") }, h.new["g1"], host.ErrGuestBusy.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			run := apply(t)
			c.change()
			out, complaints := back(t, run, exitRefused)
			if out != "restored \"g2\"\nrestored \"g0\"\n" || !strings.HasPrefix(complaints, "g1: warn: left as it is: ") || !strings.Contains(complaints, c.says) || strings.Count(complaints, "\n") != 2 || !strings.Contains(complaints, "\nhint: ") {
				t.Errorf("%s\n%s", out, complaints)
			}
			want := map[string]string{"g0": h.old["g0"], "g1": c.left, "g2": h.old["g2"]}
			if c.left == "" {
				delete(want, "g1")
			}
			h.want(t, want)
			c.back()
			if out, _ := back(t, run, exitDone); out != "already restored \"g2\"\nrestored \"g1\"\nalready restored \"g0\"\n" {
				t.Error(out)
			}
			h.want(t, h.old)
			if out, complaints := back(t, run, exitDone); strings.Count(out, "already restored ") != 3 || strings.Count(out, "\n") != 3 || complaints != "" {
				t.Errorf("the third time: %s, %s", out, complaints)
			}
		})
	}
	t.Run("old again already", func(t *testing.T) {
		run := apply(t)
		h.define(t, h.old["g1"])
		back(t, run, exitDone)
		h.want(t, h.old)
	})
	t.Run("unfinished", func(t *testing.T) {
		stateDir := filepath.Join(h.Dir, "unfinished")
		ctx, cancel := context.WithCancel(t.Context())
		a := h.applier(stateDir)
		d := connect(t, h.Libvirt) // it ends with its context
		a.Daemon, a.Scan.Inventory = d, d
		a.OnOutcome = func(host.Outcome) { cancel() }
		run, err := a.Run(ctx, noReport)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		h.want(t, map[string]string{"g0": h.new["g0"], "g1": h.old["g1"], "g2": h.old["g2"]})
		back(t, run, exitDone)
		h.want(t, h.old)
		next := h.apply(t, stateDir)
		if next == run {
			t.Error("a run that was taken back goes on")
		}
		h.rollback(t, next)
	})
	t.Run("last line cut off", func(t *testing.T) {
		run := apply(t)
		manifest := filepath.Join(run, "manifest.jsonl")
		data, err := os.ReadFile(manifest)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, manifest, append(data, `{"time":"2026`...))
		h.rollback(t, run)
	})
}

// TestSpoiledRun: where a run's folder is not as the run has left it, nothing
// is changed on its word: not by rollback, nor, if it was not finished, by apply.
func TestSpoiledRun(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 3)
	good := h.apply(t, filepath.Join(h.Dir, "good"))
	steps, _ := lastSteps(t, filepath.Join(h.Dir, "good"))
	if len(steps) != 3 {
		t.Fatal(steps)
	}
	old := func(run, guest string) string { return filepath.Join(run, h.uuid(h.old[guest])+".old.xml") }
	manifest := func(run string) string { return filepath.Join(run, "manifest.jsonl") }
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	fifo := func(path string) {
		if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.SplitAfter(read(manifest(good)), "\n")
	// An unfinished one: the last guest is being defined.
	lines = lines[:len(lines)-3]
	if !strings.Contains(lines[len(lines)-1], "defining") {
		t.Fatal(lines)
	}
	for name, spoil := range map[string]func(run string){
		"garbage in the manifest": func(run string) {
			writeFile(t, manifest(run), []byte(lines[0]+"garbage\n"+strings.Join(lines[1:], "")))
		},
		"bytes in the manifest":       func(run string) { writeFile(t, manifest(run), []byte(lines[0]+"\x00\xff\n")) },
		"manifest of another program": func(run string) { writeFile(t, manifest(run), []byte("{}\n")) },
		"manifest of another version": func(run string) {
			writeFile(t, manifest(run), []byte(strings.ReplaceAll(strings.Join(lines, ""), "run/v1", "run/v2")))
		},
		"manifest without its first line": func(run string) { writeFile(t, manifest(run), []byte(strings.Join(lines[1:], ""))) },
		"a manifest that is a FIFO":       func(run string) { fifo(manifest(run)) },
		"a manifest that is a folder":     func(run string) { os.Remove(manifest(run)); os.Mkdir(manifest(run), 0o700) },
		"a manifest outside":              func(run string) { os.Remove(manifest(run)); os.Symlink(manifest(good), manifest(run)) },
		"a manifest without an end":       func(run string) { os.Truncate(manifest(run), 1<<30) },
		"an edited definition":            func(run string) { writeFile(t, old(run, "g2"), []byte(edited(h.old["g2"]))) },
		"an empty definition":             func(run string) { writeFile(t, old(run, "g2"), nil) },
		"another guest's definition":      func(run string) { writeFile(t, old(run, "g2"), []byte(h.old["g1"])) },
		"another guest's, and its sum": func(run string) {
			sums := strings.Split(read(manifest(run)), `"old":"`)
			writeFile(t, manifest(run), []byte(strings.ReplaceAll(strings.Join(lines, ""), sums[3][:64], sums[2][:64])))
			writeFile(t, old(run, "g2"), []byte(h.old["g1"]))
		},
		"a missing definition":          func(run string) { os.Remove(old(run, "g2")) },
		"a definition that is a FIFO":   func(run string) { fifo(old(run, "g2")) },
		"a definition that is a folder": func(run string) { os.Remove(old(run, "g2")); os.Mkdir(old(run, "g2"), 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			stateDir := filepath.Join(h.Dir, name)
			run := filepath.Join(stateDir, filepath.Base(good))
			if err := os.CopyFS(run, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			writeFile(t, manifest(run), []byte(strings.Join(lines, "")))
			spoil(run)
			// Where a definition is spoiled, its guest is not to be resolved.
			h.define(t, edited(h.new["g2"]))
			before := definitions(t, h.d)
			for _, args := range [][]string{{"rollback", "--connect", h.URI(), run}, {"apply", "--connect", h.URI(), "--state-dir", stateDir}} {
				out, complaints := &writer{}, &writer{}
				if status := runHere(t, out, complaints, args...); status != exitInput || strings.Contains(out.String(), "restored") {
					t.Errorf("%s: status %d\n%s\n%s", args[0], status, out, complaints)
				}
				lastLine(t, complaints.String(), host.ErrManifest.Error())
				h.want(t, before)
			}
			h.define(t, h.new["g2"])
		})
	}
	t.Run("not begun", func(t *testing.T) {
		stateDir := filepath.Join(h.Dir, "not begun")
		for i, content := range []string{"", `{"time":`} {
			dir := filepath.Join(stateDir, fmt.Sprintf("20990101T000000.000Z-%d", i))
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				writeFile(t, manifest(dir), []byte(content))
			}
			out, complaints := &writer{}, &writer{}
			if status := runHere(t, out, complaints, "rollback", "--connect", h.URI(), dir); status != exitInput || out.Len() > 0 {
				t.Errorf("status %d, %s", status, out)
			}
			lastLine(t, complaints.String(), host.ErrManifest.Error())
		}
		h.apply(t, stateDir)
	})
	h.rollback(t, good)
}

// TestLeftovers: what lies in a run's folder by the name that a definition is
// written under is not written into, as somebody may have it open.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 1)
	stateDir := filepath.Join(h.Dir, "state")
	cut := errors.New("cut short")
	if _, err := h.applier(stateDir).Run(t.Context(), func(*host.Report) error { return cut }); !errors.Is(err, cut) {
		t.Fatal(err)
	}
	_, run := lastSteps(t, stateDir)
	part := filepath.Join(run, h.uuid(h.old["g0"])+".old.xml.part")
	if err := os.WriteFile(part, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	theirs, err := os.Open(part)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	h.apply(t, stateDir)
	if read, err := io.ReadAll(theirs); err != nil || len(read) > 0 {
		t.Errorf("others read %d bytes: %v", len(read), err)
	}
	h.interrupted(t, stateDir)
}

// TestRunWithSpaces: the last line of apply is what rollback takes, whatever the
// state folder is called.
func TestRunWithSpaces(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 1)
	out, complaints := &writer{}, &writer{}
	stateDir := filepath.Join(h.Dir, `with: a space, "quotes" and \`)
	if status := runHere(t, out, complaints, "apply", "--connect", h.URI(), "--state-dir", stateDir); status != exitDone {
		t.Fatalf("status %d: %s", status, complaints)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if status := runHere(t, out, complaints, "rollback", "--connect", h.URI(), lines[len(lines)-1]); status != exitDone {
		t.Errorf("status %d: %s", status, complaints)
	}
	h.want(t, h.old)
}

// TestFoldersOfOthers: whatever is given for a run's folder, nothing is made
// there, nothing is waited for, and nothing drives a terminal.
func TestFoldersOfOthers(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 1)
	installProgram(t, h.Libvirt)
	odd := filepath.Join(h.Dir, "odd\x1b[2J\nname")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(odd, "file")
	writeFile(t, file, nil)
	if err := syscall.Mkfifo(filepath.Join(odd, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(h.Dir, "closed")
	if err := os.Mkdir(closed, 0); err != nil {
		t.Fatal(err)
	}
	h.Share(odd)
	h.Share(closed)
	for _, name := range []string{"", odd, file, filepath.Join(odd, "fifo"), filepath.Join(odd, "absent"), "/dev/null", "/proc/self/fd", closed, "/"} {
		r := runHost(t, h.Libvirt, "rollback", "--connect", h.URI(), name)
		if r.status != exitInput || r.out != "" || strings.Count(r.errors, "\n") != 1 || strings.ContainsRune(r.errors, 0x1b) {
			t.Errorf("%q: status %d, %s%q", name, r.status, r.out, r.errors)
		}
	}
	if entries, err := os.ReadDir(odd); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	for _, dir := range []string{file, filepath.Join(closed, "below"), "/dev/null", "/proc/self"} {
		r := runHost(t, h.Libvirt, "apply", "--connect", h.URI(), "--state-dir", dir)
		if r.status != exitInput || r.out != "" || strings.ContainsRune(r.errors, 0x1b) {
			t.Errorf("%q: status %d, %s%q", dir, r.status, r.out, r.errors)
		}
		lastLine(t, r.errors, "")
	}
	h.want(t, h.old)
	r := runHost(t, h.Libvirt, "apply", "--connect", h.URI(), "--state-dir", odd)
	if r.status != exitDone || strings.ContainsRune(r.out, 0x1b) || strings.Count(r.out, "\n") != 2 {
		t.Errorf("status %d, %q", r.status, r.out)
	}
}
