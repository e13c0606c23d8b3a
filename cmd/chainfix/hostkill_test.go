package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/testdata/peers"
)

// fixableHost is a private daemon with n guests that apply changes, and what
// they have before and after.
type fixableHost struct {
	*peers.Libvirt
	d        *host.Daemon
	old, new map[string]string // by guest, and what libvirt keeps of one
	// snapshots says that there are snapshots, which apply fixes, too.
	snapshots bool
}

func newFixableHost(t *testing.T, n int) *fixableHost {
	t.Helper()
	h := &fixableHost{Libvirt: peers.StartLibvirt(t)}
	// Each has a finding: its base is raw.
	c := oddChain{images: files(named("base.img", ""), rawDisk)}
	for i := range n {
		name := fmt.Sprintf("g%d", i)
		dir := filepath.Join(h.Images, name)
		c.write(t, dir)
		h.Define(c.document(name, dir))
	}
	h.Share(h.Images)
	h.d = connect(t, h.Libvirt)
	h.learn(t)
	return h
}

// learn finds out what an apply changes everything into.
func (h *fixableHost) learn(t *testing.T) {
	t.Helper()
	h.old, h.new = h.now(t), nil
	run := h.apply(t, filepath.Join(h.Dir, fmt.Sprintf("first%d", len(h.old))))
	h.new = h.now(t)
	for name := range h.old {
		if h.old[name] == h.new[name] {
			t.Fatalf("%s was not changed", name)
		}
	}
	h.rollback(t, run)
}

// now is what libvirt has.
func (h *fixableHost) now(t *testing.T) map[string]string {
	t.Helper()
	all := definitions(t, h.d)
	if h.snapshots {
		addStored(t, h.d, all)
	}
	return all
}

// applier is an apply of all guests, by the library.
func (h *fixableHost) applier(stateDir string) *host.Apply {
	return &host.Apply{Daemon: h.d, Scan: &host.Scan{Inventory: h.d, Policy: chain.Policy{Target: h.d.Version()}}, Connect: h.URI(), StateDir: stateDir, Snapshots: h.snapshots}
}

func noReport(*host.Report) error { return nil }

// apply applies undisturbed, after which every guest is fixed.
func (h *fixableHost) apply(t *testing.T, stateDir string) (run string) {
	t.Helper()
	run, err := h.applier(stateDir).Run(t.Context(), noReport)
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	if h.new != nil {
		h.want(t, h.new)
	}
	return run
}

// rollback rolls a run back, after which every guest is unchanged.
func (h *fixableHost) rollback(t *testing.T, run string) {
	t.Helper()
	var outcomes []host.Outcome
	rollback := &host.Rollback{Daemon: h.d, Connect: h.URI(), OnOutcome: func(o host.Outcome) { outcomes = append(outcomes, o) }}
	if err := rollback.Run(t.Context(), run); err != nil {
		t.Fatalf("rollback: %v: %v", err, outcomes)
	}
	h.want(t, h.old)
}

func (h *fixableHost) want(t *testing.T, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, h.now(t)); diff != "" {
		t.Fatal(diff)
	}
}

// program is the real program's apply, as the daemon's user runs it.
func (h *fixableHost) program(stateDir string) []string {
	words := []string{filepath.Join(h.Dir, "chainfix"), "host", "apply", "--connect", h.URI(), "--state-dir", stateDir}
	if h.snapshots {
		words = append(words, "--snapshots")
	}
	return words
}

// lastSteps reads the manifest in the state folder: how far each guest has
// come, and what libvirt keeps of it, and the run's folder. There is none where the run has not begun.
func lastSteps(t *testing.T, stateDir string) (steps map[string]host.Step, run string) {
	t.Helper()
	manifests, err := filepath.Glob(filepath.Join(stateDir, "*", "manifest.jsonl"))
	if err != nil || len(manifests) > 1 {
		t.Fatalf("%q, %v", manifests, err)
	}
	steps = make(map[string]host.Step)
	if len(manifests) == 0 {
		return steps, ""
	}
	data, err := os.ReadFile(manifests[0])
	if err != nil {
		t.Fatal(err)
	}
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	for line := range bytes.Lines(whole) {
		var record struct {
			Guest, Kind, Name string
			Step              host.Step
		}
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if record.Guest != "" {
			steps[strings.TrimSpace(record.Guest+" "+record.Kind+" "+record.Name)] = record.Step
		}
	}
	if len(whole) == 0 {
		return steps, ""
	}
	return steps, filepath.Dir(manifests[0])
}

// finished reports whether the manifest of a run has the record of its end.
func finished(t *testing.T, run string) bool {
	t.Helper()
	if run == "" {
		return false
	}
	data, err := os.ReadFile(filepath.Join(run, "manifest.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.HasSuffix(data, []byte("\"finished\":true}\n"))
}

// interrupted checks what a run that was cut short has left: every guest has
// its old definition or its new one, the manifest says which, and the old one is
// kept. It returns how many guests were being given theirs: one at most.
func (h *fixableHost) interrupted(t *testing.T, stateDir string) (defining int) {
	t.Helper()
	steps, run := lastSteps(t, stateDir)
	kept := keptIn(t, run)
	for guest, now := range h.now(t) {
		step, old, new := steps[guest], now == h.old[guest], now == h.new[guest]
		switch step {
		case "", host.Planned, host.Left:
			new = false
		case host.Defined:
			old = false
		case host.Defining:
			defining++
		default:
			t.Errorf("%s: %q", guest, step)
		}
		if !old && !new {
			t.Errorf("%s is %q, and has\n%s", guest, step, now)
		}
		if step == "" {
			continue
		}
		if !kept[h.old[guest]] {
			t.Errorf("%s is %q, and its old definition is not kept", guest, step)
		}
	}
	if defining > 1 {
		t.Errorf("%d guests were being defined: %v", defining, steps)
	}
	for _, path := range filesOf(t, stateDir) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others can read %q: %v", path, err)
		}
	}
	return defining
}

// keptIn are the old texts that the folder of a run has; none where there is no run.
func keptIn(t *testing.T, run string) map[string]bool {
	t.Helper()
	kept := make(map[string]bool)
	for _, path := range filesOf(t, run) {
		if strings.HasSuffix(path, ".old.xml") {
			text, err := os.ReadFile(path)
			kept[string(text)] = err == nil
		}
	}
	return kept
}

func (h *fixableHost) uuid(definition string) string {
	_, rest, _ := strings.Cut(definition, "<uuid>")
	uuid, _, _ := strings.Cut(rest, "</uuid>")
	return uuid
}

func filesOf(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // there is not even a state folder
		}
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// kills are at how many moments TestKilled ends the program, and by which signals:
// CHAINFIX_KILLS=N is for as many kills by SIGKILL alone.
func kills(t *testing.T) (n int, signals []string) {
	t.Helper()
	word := os.Getenv("CHAINFIX_KILLS")
	if word == "" {
		return 60, []string{"KILL", "INT", "TERM", "HUP"}
	}
	n, err := strconv.Atoi(word)
	if err != nil {
		t.Fatal(err)
	}
	return n, []string{"KILL"}
}

// moment is the nth call of a kind that a thread of the program makes.
type moment struct {
	call string
	n    int
}

// strace runs the program's apply under strace, which writes its report to a
// file, and returns what was printed and whether the program was killed.
func (h *fixableHost) strace(t *testing.T, stateDir, report string, options ...string) (out string, killed bool) {
	t.Helper()
	cmd := h.Command("strace", slices.Concat([]string{"-f", "-o", report}, options, h.program(stateDir))...)
	text, err := cmd.CombinedOutput()
	killed = cmd.ProcessState != nil && cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled()
	if err != nil && !killed {
		t.Fatalf("strace %q: %v\n%s", options, err, text)
	}
	return string(text), killed
}

// moments are those at which the program, once it is connected, calls the system
// to change something, or for the daemon's answers, in no order, from a run in which nothing happens
// to it. In another run the same calls may be made by other threads.
func (h *fixableHost) moments(t *testing.T) (all []moment) {
	t.Helper()
	report := filepath.Join(h.Dir, "report")
	stateDir := filepath.Join(h.Dir, "undisturbed")
	h.strace(t, stateDir, report, "-e", "trace=write,read,fsync,pwrite64,renameat,openat,mkdirat")
	_, run := lastSteps(t, stateDir)
	h.rollback(t, run)
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int) // by thread and call
	begun := false                 // the first thing that it makes is the state folder
	for _, m := range regexp.MustCompile(`(?m)^(\d+) +(\w+)\(`).FindAllStringSubmatch(string(text), -1) {
		counts[m[1]+m[2]]++
		begun = begun || m[2] == "mkdirat"
		if of := (moment{m[2], counts[m[1]+m[2]]}); begun && !slices.Contains(all, of) {
			all = append(all, of)
		}
	}
	rand.New(rand.NewPCG(6, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// TestKilled kills the real program at moments of the whole of its run, in which it
// changes definitions, snapshots and a checkpoint, and sends it signals by which it ends
// itself. Nothing is lost, the next apply continues in the same folder, and everything
// can be rolled back.
func TestKilled(t *testing.T) {
	t.Parallel()
	peers.Require(t, "strace")
	h := newFixableHost(t, 3)
	h.takeSnapshots(t)
	installProgram(t, h.Libvirt)
	kills, signals := kills(t)
	moments := h.moments(t)
	killed, planning, defining, between := 0, 0, 0, 0
	for round := 0; killed < kills; round++ {
		if round == 3 {
			t.Fatalf("the program was killed %d times only", killed)
		}
		for i, m := range moments {
			if killed == kills {
				break
			}
			signal := signals[i%len(signals)]
			t.Run(fmt.Sprintf("nothing is lost at %s %d by %s, round %d", m.call, m.n, signal, round), func(t *testing.T) {
				stateDir := filepath.Join(h.Dir, fmt.Sprintf("killed%d-%d", round, i))
				// With --seccomp-bpf strace 6.1 does not count.
				out, dead := h.strace(t, stateDir, "/dev/null", "-e", "trace="+m.call, "-e", fmt.Sprintf("inject=%s:signal=%s:when=%d", m.call, signal, m.n))
				if !dead {
					_, run := lastSteps(t, stateDir)
					h.rollback(t, run)
					return
				}
				killed++
				steps, begun := lastSteps(t, stateDir)
				switch {
				case h.interrupted(t, stateDir) == 1:
					defining++
				case len(steps) < len(h.old):
					planning++
				default:
					between++
				}
				if t.Failed() {
					t.Fatalf("killed at %v:\n%s", m, out)
				}
				done := finished(t, begun) // all but the end of the process
				run := h.apply(t, stateDir)
				switch {
				case done:
					run = begun
				case begun != "" && run != begun:
					t.Errorf("killed at %v: the next run is not the same", m)
				}
				h.rollback(t, run)
			})
			if t.Failed() {
				return // the guests may not be as the next moment wants them
			}
		}
	}
	t.Logf("%d kills: %d before all guests were planned, %d while one was defined, %d between two", killed, planning, defining, between)
	if planning == 0 || defining == 0 || between == 0 {
		t.Error("there are moments at which the program was never killed")
	}
}
