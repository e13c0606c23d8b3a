package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/xmlfix"
)

// TestRollback: every guest that has what the run gave it gets back what it had;
// any other is skipped, and the run can be rolled back again later.
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
			if out != "restored \"g2\"\nrestored \"g0\"\n" || !strings.HasPrefix(complaints, "g1: warning: left unchanged: ") || !strings.Contains(complaints, c.says) || strings.Count(complaints, "\n") != 2 || !strings.Contains(complaints, "\nhint: ") {
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
	a := h.applier(stateDir)
	a.OnPlanned = func(string, []byte, *xmlfix.Document) error { return cut }
	run, err := a.Run(t.Context(), noReport)
	if !errors.Is(err, cut) || run == "" {
		t.Fatalf("%q, %v", run, err)
	}
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
		said, hint, _ := strings.Cut(r.errors, "\n")
		if r.status != exitInput || r.out != "" || !strings.HasPrefix(said, "chainfix: ") || hint != "" && !strings.HasPrefix(hint, "hint: ") ||
			strings.Count(hint, "\n") > 1 || strings.ContainsRune(r.errors, 0x1b) {
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
