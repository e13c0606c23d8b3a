package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/testdata/peers"
)

// deadline is how long the program may take to end before a test fails. It needs a
// moment; the rest is for a machine that is busy.
const deadline = time.Minute

var ending = []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP}

// started is the program at work in a folder of its own.
type started struct {
	*exec.Cmd
	out, errors *os.File
}

func start(t *testing.T, cmd *exec.Cmd) *started {
	t.Helper()
	out, outEnd := pipe(t)
	complaints, complaintsEnd := pipe(t)
	cmd.Stdout, cmd.Stderr = outEnd, complaintsEnd
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	outEnd.Close()
	complaintsEnd.Close()
	until := time.Now().Add(deadline)
	if err := errors.Join(out.SetReadDeadline(until), complaints.SetReadDeadline(until)); err != nil {
		t.Fatal(err)
	}
	return &started{cmd, out, complaints}
}

// program is chainfix with what is left of an output after the deadline killed.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, builtProgram(t), args...)
	cmd.Dir = t.TempDir()
	return cmd
}

// said reads both streams to their ends, which the end of the process is not needed for.
func (s *started) said(t *testing.T) (out, complaints string) {
	t.Helper()
	said, err := io.ReadAll(s.out)
	complained, complaintErr := io.ReadAll(s.errors)
	if err := errors.Join(err, complaintErr); err != nil {
		t.Fatalf("the program has not ended: %v\n%s%s", err, said, complained)
	}
	return string(said), string(complained)
}

// diedOf waits for the process, and returns the signal that it died of; 0 if it ended
// by itself.
func (s *started) diedOf(t *testing.T) syscall.Signal {
	t.Helper()
	s.Wait()
	if status := s.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return status.Signal()
	}
	return 0
}

// TestSignalEnds: whatever a command waits for, a signal ends it. It prints one line,
// no partial output, and leaves no file.
func TestSignalEnds(t *testing.T) {
	t.Parallel()
	for name, prepare := range stuckRuns {
		for _, signal := range ending {
			t.Run(name+", "+unix.SignalName(signal), func(t *testing.T) {
				run := prepare(t)
				cmd := program(t, run.args...)
				if run.stdin != nil {
					cmd.Stdin = run.stdin
				}
				s := start(t, cmd)
				run.await(s.Process.Pid)
				if err := s.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
				out, complaints := s.said(t)
				if run.release != nil {
					run.release()
				}
				if got := s.diedOf(t); got != signal {
					t.Errorf("the program died of %v: %v", got, s.ProcessState)
				}
				if run.stateDir != "" {
					// How to go on, and the run's folder.
					words, _, _ := strings.Cut(complaints, ";")
					complaints = words + "\n"
					if _, folder := lastSteps(t, run.stateDir); out != folder+"\n" && out != "" {
						t.Errorf("printed: %s", out)
					}
					out = ""
				}
				if want := "interrupted (" + unix.SignalName(signal) + ")\n"; strings.Count(complaints, "\n") != 1 || !strings.HasPrefix(complaints, "chainfix: ") || !strings.HasSuffix(complaints, want) {
					t.Errorf("want a line that ends in %q: %q", want, complaints)
				}
				if begun := `{"schema": "` + checkSchema + `", "documents": [`; out != "" && out != begun {
					t.Errorf("printed: %s", out)
				}
				if files := filesOf(t, cmd.Dir); len(files) != 1 {
					t.Errorf("left: %q", files)
				}
			})
		}
	}
}

// TestIgnoredSignals: a signal that the program was started to ignore, as by nohup, does
// nothing.
func TestIgnoredSignals(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{unix.SIGHUP, unix.SIGINT} {
		name := strings.TrimPrefix(unix.SignalName(signal), "SIG")
		t.Run(name, func(t *testing.T) {
			r, w := pipe(t)
			cmd := program(t)
			cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", "trap '' " + name + `; exec "$0" fix`, cmd.Path}
			cmd.Stdin = r
			s := start(t, cmd)
			r.Close()
			document := strings.Repeat(" ", 1<<17) + peers.SmallGuest("g", "")
			half := document[:1<<17]
			if _, err := io.WriteString(w, half); err != nil {
				t.Fatal(err)
			}
			if err := s.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, document[len(half):]); err != nil {
				t.Fatal(err)
			}
			w.Close()
			out, complaints := s.said(t)
			if got := s.diedOf(t); got != 0 || s.ProcessState.ExitCode() != exitDone || out != document {
				t.Errorf("%v, %d bytes of %d\n%s", s.ProcessState, len(out), len(document), complaints)
			}
		})
	}
}

// TestSignalToFirstProcess: the kernel protects the first process of a container from
// dying of a signal, so it ends with the status that a shell would show.
func TestSignalToFirstProcess(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		peers.Lacking(t, "only root makes namespaces")
	}
	for _, signal := range ending {
		run := stuckOnInput(t, "fix")
		cmd := program(t, run.args...)
		cmd.Stdin = run.stdin
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
		s := start(t, cmd)
		run.await(s.Process.Pid)
		if err := s.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		s.said(t)
		if died, status := s.diedOf(t), s.ProcessState.ExitCode(); died != 0 || status != 128+int(signal) {
			t.Errorf("%v: %v", signal, s.ProcessState)
		}
	}
}

// TestAwait: the work has time to end after a signal, but not after a second one,
// unless that is the same one sent twice.
func TestAwait(t *testing.T) {
	t.Parallel()
	const never = time.Hour
	for _, tt := range []struct {
		name        string
		signals     []os.Signal
		work        func(ctx context.Context) bool // whether it ends
		echo, grace time.Duration

		status int
		cause  error
		ended  bool
	}{
		{"no signal", nil, func(context.Context) bool { return true }, 0, never, 1, nil, true},
		{"it ends in time", []os.Signal{unix.SIGTERM}, untilDone, 0, never, 1, &interruption{unix.SIGTERM}, true},
		{"it does not end", []os.Signal{unix.SIGTERM}, notAtAll, 0, time.Millisecond, 0, &interruption{unix.SIGTERM}, false},
		{"a second signal", []os.Signal{unix.SIGINT, unix.SIGINT}, notAtAll, 0, never, 0, &interruption{unix.SIGINT}, false},
		{"the same signal twice", []os.Signal{unix.SIGTERM, unix.SIGTERM}, untilDone, never, never, 1, &interruption{unix.SIGTERM}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			signals, done := make(chan os.Signal, len(tt.signals)), make(chan int, 1)
			for _, s := range tt.signals {
				signals <- s
			}
			go func() {
				if tt.work(ctx) {
					done <- 1
				}
			}()
			status, i, ended := await(done, signals, cancel, tt.echo, tt.grace)
			if status != tt.status || ended != tt.ended || (i == nil) != (tt.cause == nil) {
				t.Errorf("status %d, %v, %v", status, i, ended)
			}
			if got := interrupted(ctx); fmt.Sprint(got) != fmt.Sprint(tt.cause) {
				t.Errorf("the cause is %v", got)
			}
		})
	}
}

func untilDone(ctx context.Context) bool { <-ctx.Done(); return true }
func notAtAll(context.Context) bool      { return false }

// rewriting is a file that "fix -w" changes, in a folder of its own.
type rewriting struct {
	path     string
	document []byte
	temp     string // the folder for temporary files
	before   int    // how many files there are, but for those in temp
}

func newRewriting(t *testing.T) *rewriting {
	t.Helper()
	dir := t.TempDir()
	w := &rewriting{path: filepath.Join(dir, "vm.xml"), temp: t.TempDir(), document: []byte(guestWithDisk("g", "qcow2", filepath.Join(dir, "top")))}
	writeFile(t, filepath.Join(dir, "base.img"), rawDisk)
	writeFile(t, filepath.Join(dir, "top"), bytesOf(named("base.img", "raw")))
	writeFile(t, w.path, w.document)
	w.before = len(filesOf(t, dir))
	return w
}

// strace is "fix -w" under strace.
func (w *rewriting) strace(t *testing.T, options ...string) *exec.Cmd {
	t.Helper()
	cmd := program(t)
	cmd.Args = slices.Concat([]string{"strace", "-f"}, options, []string{cmd.Path, "fix", "-w", w.path})
	var err error
	if cmd.Path, err = exec.LookPath("strace"); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "TMPDIR="+w.temp)
	return cmd
}

// changed reports whether the file has its new content, and not its old one, and checks
// that there is no other file.
func (w *rewriting) changed(t *testing.T) bool {
	t.Helper()
	now, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	changed := !bytes.Equal(now, w.document)
	if changed && (!bytes.Contains(now, []byte("<backingStore/>")) || !bytes.HasSuffix(now, w.document[len(w.document)-10:])) {
		t.Errorf("the file has\n%s", now)
	}
	if files := slices.Concat(filesOf(t, filepath.Dir(w.path)), filesOf(t, w.temp)); len(files) != w.before+1 {
		t.Errorf("left %q", files)
	}
	return changed
}

// TestInterruptedRewrite sends the signal at every call of the system by which a file is
// rewritten. It has its old content or its new one, and there is no other file.
func TestInterruptedRewrite(t *testing.T) {
	t.Parallel()
	peers.Require(t, "strace")
	w := newRewriting(t)
	died := map[bool]int{} // by whether the file has its new content
	for _, call := range []string{"openat", "write", "fchmod", "fsync", "renameat", "close"} {
		for n := 1; ; n++ {
			writeFile(t, w.path, w.document)
			cmd := w.strace(t, "-o", "/dev/null", "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:signal=INT:when=%d", call, n))
			out, err := cmd.CombinedOutput()
			changed := w.changed(t)
			if err == nil {
				if !changed {
					t.Errorf("status 0, and the file is as it was")
				}
				break // there was no nth call
			}
			if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != unix.SIGINT {
				t.Errorf("%v\n%s", err, out)
			}
			if died[changed]++; t.Failed() {
				t.Fatalf("at %s %d", call, n)
			}
		}
	}
	t.Logf("%d times before, %d times after", died[false], died[true])
	if died[false] == 0 {
		t.Error("no signal came in time")
	}
}

// TestInterruptedRewriteThatWaits: a disk that takes its time to write the new file keeps
// neither the program nor the file.
func TestInterruptedRewriteThatWaits(t *testing.T) {
	t.Parallel()
	peers.Require(t, "strace")
	w, calls := newRewriting(t), fifo(t)
	s := start(t, w.strace(t, "-qq", "-o", calls, "-e", "signal=none", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=3600000000"))
	trace, err := os.Open(calls)
	if err != nil {
		t.Fatal(err)
	}
	defer trace.Close()
	thread := 0
	if _, err := fmt.Fscanf(trace, "%d fsync(", &thread); err != nil {
		t.Fatal(err)
	}
	if len(filesOf(t, w.temp)) != 2 {
		t.Errorf("the new file is not among %q", filesOf(t, w.temp))
	}
	if err := unix.Kill(thread, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(s.errors).ReadString('\n')
	if err != nil || line != "chainfix: interrupted (SIGTERM)\n" {
		t.Errorf("%q, %v", line, err)
	}
	// With strace the program ends, and has no more time for anything.
	s.Process.Kill()
	s.said(t)
	if w.changed(t) {
		t.Error("the file was rewritten")
	}
}

// TestInterruptedApply interrupts an apply that waits for a stopped libvirt: while it
// plans, and while a guest is being given its definition. It says how to go on, and that
// is so.
func TestInterruptedApply(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 3)
	installProgram(t, h.Libvirt)
	for i, tt := range []struct {
		signal    syscall.Signal
		procedure uint32
		nth       int
		step      string
	}{{unix.SIGINT, getXML, 2, ""}, {unix.SIGTERM, defineXML, 1, "defining"}, {unix.SIGHUP, defineXML, 2, "defining"}, {unix.SIGINT, defineXML, 3, "defining"}} {
		t.Run(fmt.Sprintf("%v at call %d of %d", tt.signal, tt.nth, tt.procedure), func(t *testing.T) {
			stopped := make(chan struct{})
			seen := 0
			link := newLink(t, h.Libvirt, func(_ int, procedure uint32, _ []byte) (forward, reply bool) {
				if procedure == tt.procedure {
					if seen++; seen == tt.nth {
						h.Signal(unix.SIGSTOP)
						close(stopped)
					}
				}
				return true, true
			})
			_, socket, _ := strings.Cut(link.uri, "=")
			h.Share(filepath.Dir(socket))
			stateDir := filepath.Join(h.Dir, fmt.Sprintf("interrupted%d", i))
			command := h.Command(filepath.Join(h.Dir, "chainfix"), "host", "apply", "--connect", link.uri, "--state-dir", stateDir)
			s := start(t, command)
			select {
			case <-stopped:
			case <-time.After(deadline):
				t.Fatal("the call never came")
			}
			defer h.Signal(unix.SIGCONT) // or it could not be ended
			if err := s.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			out, complaints := s.said(t)
			if got := s.diedOf(t); got != tt.signal {
				t.Errorf("the program died of %v: %v", got, s.ProcessState)
			}
			h.Signal(unix.SIGCONT)
			steps, run := lastSteps(t, stateDir)
			if tt.step == "" {
				if run != "" || out != "" {
					t.Errorf("nothing was changed, and there is the run %q: %s", run, out)
				}
				lastLine(t, complaints, "interrupted ("+unix.SignalName(tt.signal)+"); nothing was changed")
				h.want(t, h.old)
				return
			}
			if !strings.HasSuffix(out, run+"\n") || run == "" {
				t.Errorf("the run's folder is not printed: %s", out)
			}
			if strings.Count(out, "defined ") != tt.nth-1 {
				t.Errorf("at definition %d: %s", tt.nth, out)
			}
			lastLine(t, complaints, "interrupted ("+unix.SignalName(tt.signal)+"); the same command continues, and chainfix host rollback ")
			if defining := h.interrupted(t, stateDir); defining != 1 {
				t.Errorf("%d guests were being defined: %v", defining, steps)
			}
			if i%2 == 0 {
				if out, err := h.Command(command.Path, command.Args[1:]...).Output(); err != nil || !strings.HasSuffix(string(out), run+"\n") {
					t.Errorf("the same command, of run %q: %v\n%s", run, err, out)
				}
				h.want(t, h.new)
			}
			_, back, _ := strings.Cut(complaints, "the same command continues, and ")
			back, _, _ = strings.Cut(back, " undoes ")
			if out, err := h.Command("sh", "-c", back).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", back, err, out)
			}
			h.want(t, h.old)
		})
	}
}
