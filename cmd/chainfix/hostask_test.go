package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chainfix/chainfix/xmlfix"
)

// TestApplyAsks: on a terminal an apply shows what it would change, and changes it only if
// the answer is yes. If a stream is not a terminal, or with --yes, it does not ask. What
// ends without a change leaves no folder.
func TestApplyAsks(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 2)
	stateDir := filepath.Join(t.TempDir(), "state")
	const question = `^Make these 2 changes\? \[y/N\] $`
	for _, tt := range []struct {
		name    string
		flags   []string
		answer  string // "" if it does not ask
		piped   string // the stream that is no terminal
		changed bool
		says    string
	}{
		{name: "no", answer: "n\n", says: "chainfix: not confirmed, so nothing was changed\n"},
		{name: "nothing", answer: "\n", says: "chainfix: not confirmed, so nothing was changed\n"},
		{name: "end of file", answer: "\x04", says: "chainfix: not confirmed, so nothing was changed\n"},
		{name: "interrupt", answer: "\x03", says: "nothing was changed\n"},
		{name: "yes", answer: "yes\n", changed: true},
		{name: "y", answer: " Y \n", changed: true},
		{name: "--yes", flags: []string{"--yes"}, changed: true},
		{name: "input elsewhere", piped: "in", changed: true},
		{name: "output elsewhere", piped: "out", changed: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"host", "apply", "--connect", h.URI(), "--state-dir", stateDir}, tt.flags...)
			cmd := program(t, args...)
			var out strings.Builder
			switch tt.piped {
			case "in":
				cmd.Stdin = strings.NewReader("n\n")
			case "out":
				cmd.Stdout = &out
			}
			s := onScreen(t, cmd, 80)
			if tt.answer != "" {
				s.await(question)
				if shown := s.String(); strings.Count(shown, "\n+      <backingStore type='file'>") != 2 {
					t.Errorf("the terminal shows\n%s", shown)
				}
				if _, err := s.master.WriteString(tt.answer); err != nil {
					t.Fatal(err)
				}
			}
			for s.read() {
			}
			err := cmd.Wait()
			status, shown := cmd.ProcessState.Sys().(syscall.WaitStatus), s.String()+out.String()
			if asked := strings.Contains(shown, "[y/N]"); asked != (tt.answer != "") {
				t.Errorf("asked: %v\n%s", asked, shown)
			}
			runs, _ := filepath.Glob(filepath.Join(stateDir, "*Z-*"))
			if !tt.changed {
				if status.ExitStatus() != exitRefused && !status.Signaled() || !strings.HasSuffix(shown, tt.says) || len(runs) > 0 {
					t.Errorf("%v, left %q\n%s", err, runs, shown)
				}
				return
			}
			if err != nil || strings.Count(shown, `defined "g`) != 2 || len(runs) != 1 || !strings.Contains(shown, "\n"+runs[0]+"\n") {
				t.Fatalf("%v, left %q\n%s", err, runs, shown)
			}
			if got := runHere(t, &writer{}, &writer{}, "rollback", "--connect", h.URI(), runs[0]); got != exitDone {
				t.Errorf("rollback: status %d", got)
			}
			if err := os.RemoveAll(runs[0]); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("a run that was cut short", func(t *testing.T) {
		a, cut, declined := h.applier(stateDir), errors.New("cut short"), errors.New("declined")
		a.OnPlanned = func(string, []byte, *xmlfix.Document) error { return cut }
		begun, err := a.Run(t.Context(), noReport)
		if !errors.Is(err, cut) || begun == "" {
			t.Fatalf("%q, %v", begun, err)
		}
		a.OnPlanned, a.Confirm = nil, func(int) error { return declined }
		if kept, err := a.Run(t.Context(), noReport); !errors.Is(err, declined) || kept != begun {
			t.Errorf("%q, %v, want %q", kept, err, begun)
		}
		a.Confirm = nil
		if done, err := a.Run(t.Context(), noReport); err != nil || done != begun {
			t.Errorf("%q, %v, want %q", done, err, begun)
		}
	})
}
