package main

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/completion"
	"github.com/chainfix/chainfix/testdata/peers"
)

// asked is the program's answer to the scripts of zsh and fish: the kind and the
// candidates.
func asked(t *testing.T, words ...string) (kind string, values []string) {
	t.Helper()
	out, complaints := &writer{}, &writer{}
	status := run(context.Background(), append([]string{"chainfix", completeName, "zsh", "chainfix"}, words...), streams{strings.NewReader(""), out, complaints})
	if status != exitDone || complaints.String() != "" {
		t.Errorf("%q: status %d, %s", words, status, complaints)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	for _, line := range lines[1:] {
		value, _, _ := strings.Cut(line, "\t")
		values = append(values, value)
	}
	return lines[0], values
}

// TestCandidates: the completions at the cursor, by the words before it.
func TestCandidates(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		words string // the last one, which may be empty, is at the cursor
		kind  completion.Kind
		has   string // candidates; those with a "!" must be absent
	}{
		{"", completion.Words, "fix host hook help version completion !" + completeName},
		{"vm", completion.Files, ""},
		{"-", completion.Words, "--diff --rule --trust --help !--output"},
		{"host ", completion.Words, "scan apply runs rollback help"},
		{"host nothing ", completion.Words, "!scan"},
		{"help ", completion.Words, "host fix"},
		{"help host ", completion.Words, "apply !host"},
		{"host help ", completion.Words, "apply"},
		{"help fix ", completion.Words, "!fix"},
		{"check ", completion.Files, ""},
		{"check a.xml ", completion.Files, ""},
		{"check a.xml --", completion.Words, "--rule --network --output"},
		{"check --network -", completion.Words, "--rule !--network"},
		{"check --trust /a=raw -", completion.Words, "--trust"},
		{"check -- -", completion.Files, ""},
		{"check --rule ", completion.Words, "leaf strict declared !text"},
		{"check --rule=", completion.Words, "--rule=leaf --rule=declared"},
		{"check -rule=", completion.Words, "-rule=leaf"},
		{"check --output ", completion.Words, "text json"},
		{"check --trust ", completion.Files, ""},
		{"check --trust /a", completion.Files, ""},
		{"check --trust /a=", completion.Words, "/a=raw /a=qcow2 /a=vhdx !/a=luks"},
		{"check --trust=/a=b=", completion.Words, "--trust=/a=b=raw"},
		{"check --timeout ", completion.Words, "!text"},
		{"check --nothing ", completion.Files, ""},
		{"check --nothing=", completion.Words, "!leaf"},
		{"check --policy ", completion.Files, ""},
		{"check --pools ", completion.Folders, ""},
		{"check --target-libvirt ", completion.Words, "9.0.0 11.3.0"},
		{"--rule leaf ", completion.Files, ""},
		{"fix a.xml ", completion.Words, "--write !a.xml"},
		{"probe ", completion.Files, ""},
		{"explain ", completion.Words, "probed-backing xml-syntax"},
		{"explain xml-syntax ", completion.Words, "--help !probed-backing"},
		{"schema ", completion.Words, "probe policy"},
		{"demo ", completion.Folders, ""},
		{"completion ", completion.Words, "bash zsh fish"},
		{"host scan --predict ", completion.Words, "11.3.0 11.3.0+10.0.0"},
		{"host scan --only ", completion.Words, "will-not-start guessed"},
		{"host scan --only=guessed,", completion.Words, "--only=guessed,will-not-start !--only=guessed,guessed"},
		{"host scan --severity ", completion.Words, "info warning error"},
		{"host who ", completion.Files, ""},
		{"host scan --connect ", completion.Words, "qemu:///system qemu:///session"},
		{"hook web ", completion.Words, "prepare restore"},
		{"hook web prepare ", completion.Words, "begin"},
		{"hook web prepare begin -", completion.Words, "- !--verify"},
		{"hook --", completion.Words, "--verify"},
	} {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			kind, values := asked(t, strings.Split(tt.words, " ")...)
			if kind != string(tt.kind) {
				t.Errorf("%s, not %s", kind, tt.kind)
			}
			for _, word := range strings.Fields(tt.has) {
				name, unwanted := strings.CutPrefix(word, "!")
				if slices.Contains(values, name) == unwanted {
					t.Errorf("%q is there: %v\n%q", name, unwanted, values)
				}
			}
		})
	}
}

// TestEveryValueIsCompleted: every placeholder in the help of a flag or a command
// has a completion, or is known to have none.
func TestEveryValueIsCompleted(t *testing.T) {
	t.Parallel()
	used := map[string]bool{"": true}
	var visit func(commands []*cli.Command)
	visit = func(commands []*cli.Command) {
		for _, c := range commands {
			words := strings.Fields(strings.NewReplacer("[", "", "]", "", "...", "").Replace(c.ArgsUsage))
			for _, f := range c.Flags {
				words = append(words, describeFlag(f).value)
			}
			for _, word := range words {
				used[word] = true
				if _, known := placeholders[word]; !known && word != "" && !strings.Contains(word, "|") {
					t.Errorf("%s: %s is not completed", c.Name, word)
				}
			}
			visit(c.Subcommands)
		}
	}
	visit(newApp(streams{}).Commands)
	for word := range placeholders {
		if !used[word] {
			t.Errorf("no flag and no command takes %s", word)
		}
	}
}

// TestMalformedCompletionRequest: a malformed request gets no answer, and does no harm.
func TestMalformedCompletionRequest(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"bash"}, {"bash", ""}, {"bash", "", "", "more"}, {"zsh"}, {"zsh", ""}, {"bash", "", ""}, {"bash", "", "\\"}, {"bash", "=", `chainfix "`}} {
		out := &writer{}
		if status := run(context.Background(), append([]string{"chainfix", completeName}, args...), streams{strings.NewReader(""), out, out}); status != exitDone {
			t.Errorf("%q: status %d\n%s", args, status, out)
		}
	}
}

// TestGuestsAndRunsAreCompleted: those of a libvirt, but for those that the line names
// already, and the runs of a state folder. Where there is no libvirt, or one that does not
// answer, there are none, and nothing is said.
func TestGuestsAndRunsAreCompleted(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 3)
	stateDir := filepath.Join(t.TempDir(), "state")
	run := h.apply(t, stateDir)
	if _, values := asked(t, "host", "apply", "--connect", h.URI(), "g1", ""); !slices.Equal(values, []string{"g0", "g2"}) {
		t.Errorf("guests: %q", values)
	}
	if _, values := asked(t, "host", "rollback", "--state-dir="+stateDir, ""); !slices.Equal(values, []string{filepath.Base(run)}) {
		t.Errorf("runs: %q", values)
	}
	silent := filepath.Join(t.TempDir(), "sock")
	listener, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, uri := range []string{"qemu+unix:///system?socket=" + silent, "qemu+unix:///system?socket=/absent", "nonsense", ""} {
		if kind, values := asked(t, "host", "scan", "--connect", uri, ""); kind != string(completion.Words) || values != nil {
			t.Errorf("%q: %s %q", uri, kind, values)
		}
	}
}

// TestNamesLikeFlags: a guest whose name begins with a dash is offered where it is no flag.
func TestNamesLikeFlags(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "definitions")
	writeDefinitions(t, dir, []string{"-x", "web"})
	if _, values := asked(t, "host", "scan", "--from", dir, ""); !slices.Equal(values, []string{"web"}) {
		t.Errorf("%q", values)
	}
	if _, values := asked(t, "host", "scan", "--from", dir, "--", ""); !slices.Equal(values, []string{"-x", "web"}) {
		t.Errorf("%q", values)
	}
}

// TestZshSourcesTheScript: without a folder of fpath it can be sourced.
func TestZshSourcesTheScript(t *testing.T) {
	t.Parallel()
	peers.Require(t, "zsh")
	out, err := exec.Command("zsh", "-f", "-c", `autoload -Uz compinit; compinit -D -u; source <(chainfix completion zsh); print $_comps[chainfix]`).CombinedOutput()
	if err != nil || string(out) != "_chainfix\n" {
		t.Errorf("%v\n%s", err, out)
	}
}
