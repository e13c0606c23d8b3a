package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chainfix/chainfix/testdata/peers"
)

// typedShell is an interactive shell with chainfix's completion.
type typedShell struct {
	name   string
	script string // the name of its file
	// rc is what it reads at its start; %[1]q is the folder of the script, %[2]q a FIFO.
	// It makes the shell write "ready" there before each prompt, and when Ctrl-G is pressed
	// the line that is being typed.
	rc    string
	file  string // that rc is in
	words func(rc string) []string
	env   func(rc string) string
	run   []string // runs a line, which comes last
	// define makes a function of chainfix that prints its arguments, each with a NUL.
	define string
}

var typedShells = []typedShell{
	{name: "bash", script: "chainfix", file: "rc",
		rc: `source %[1]q/chainfix
PROMPT_COMMAND='echo ready >%[2]q'
bind 'set bell-style none'
bind -x '"\C-g": printf "%%s\n" "$READLINE_LINE" >%[2]q'
`,
		words:  func(rc string) []string { return []string{"--noprofile", "--rcfile", rc, "-i"} },
		run:    []string{"--norc", "-c"},
		define: "chainfix() { printf '%s\\0' \"$@\" $'\\n'; }\n"},
	{name: "zsh", script: "_chainfix", file: ".zshrc",
		rc: `fpath=(%[1]q $fpath)
autoload -Uz compinit && compinit -u -D
precmd() { echo ready >%[2]q }
dump() { print -r -- "$BUFFER" >%[2]q }
zle -N dump
bindkey '^G' dump
unsetopt prompt_cr prompt_sp beep
`,
		words:  func(string) []string { return []string{"-d", "-i"} },
		env:    func(rc string) string { return "ZDOTDIR=" + filepath.Dir(rc) },
		run:    []string{"-f", "-c"},
		define: "chainfix() { printf '%s\\0' \"$@\" $'\\n'; }\n"},
	{name: "fish", script: "chainfix.fish", file: "rc.fish",
		rc: `set fish_complete_path %[1]q
function fish_prompt; echo ready >%[2]q; end
function fish_title; end
bind \cg 'commandline >%[2]q'
`,
		words:  func(rc string) []string { return []string{"--no-config", "--private", "-i", "-C", "source " + rc} },
		run:    []string{"--no-config", "-c"},
		define: "function chainfix; printf '%s\\0' $argv \\n; end\n"},
}

// typist types into a shell.
type typist struct {
	t     *testing.T
	keys  *os.File
	lines *bufio.Reader // what the shell writes to its FIFO
	dir   string        // in which it runs
}

// typeInto starts a shell on a terminal of its own, in a new folder.
func typeInto(t *testing.T, s typedShell) *typist {
	t.Helper()
	peers.Require(t, s.name)
	dir, home := t.TempDir(), t.TempDir()
	channel, err := os.OpenFile(fifo(t), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { channel.Close() })
	script, err := exec.Command(builtProgram(t), "completion", s.name).Output()
	if err != nil {
		t.Fatal(err)
	}
	rc := filepath.Join(home, s.file)
	writeFile(t, filepath.Join(home, s.script), script)
	writeFile(t, rc, fmt.Appendf(nil, s.rc, home, channel.Name()))
	terminal, end := newScreen(t, 200)
	cmd := exec.Command(s.name, s.words(rc)...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, end, end, end
	cmd.Env = append(os.Environ(), "TERM=xterm", "LC_ALL=C.UTF-8", "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home, "XDG_CACHE_HOME="+home, "HISTFILE=")
	if s.env != nil {
		cmd.Env = append(cmd.Env, s.env(rc))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	// The terminal's output must be read, or the shell waits.
	shown := new(bytes.Buffer)
	read := make(chan struct{})
	go func() { shown.ReadFrom(terminal.master); close(read) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		terminal.master.Close()
		<-read
		if t.Failed() {
			t.Logf("the terminal shows\n%q", shown)
		}
	})
	if err := channel.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	typist := &typist{t: t, keys: terminal.master, lines: bufio.NewReader(channel), dir: dir}
	if line := typist.line(); line != "ready" {
		t.Fatalf("%s begins with %q", s.name, line)
	}
	return typist
}

func (y *typist) line() string {
	y.t.Helper()
	line, err := y.lines.ReadString('\n')
	if err != nil {
		y.t.Fatalf("%v after %q", err, line)
	}
	return strings.TrimSuffix(line, "\n")
}

// complete types a line, presses Tab and returns the completed line.
func (y *typist) complete(line string) string {
	y.t.Helper()
	if _, err := y.keys.WriteString(line + "\t\a"); err != nil {
		y.t.Fatal(err)
	}
	completed := y.line()
	if _, err := y.keys.WriteString("\x05\x15"); err != nil { // to its end, and away with it
		y.t.Fatal(err)
	}
	return completed
}

// argumentsOf runs lines in a shell in which chainfix is a function, and returns its
// arguments of each.
func argumentsOf(t *testing.T, s typedShell, dir string, lines []string) [][]string {
	t.Helper()
	cmd := exec.Command(s.name, append(slices.Clone(s.run), s.define+strings.Join(lines, "\n"))...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var all [][]string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\n\x00"), "\n\x00") {
		all = append(all, strings.Split(strings.TrimSuffix(line, "\x00"), "\x00"))
	}
	return all
}

// hostileNames are names of guests with what shells take for something else. The first
// letter tells which it is.
var hostileNames = []string{
	"a b", "c'd", `e"f`, "g$(touch pwned)", "h`touch pwned`", "i;touch pwned", `j\k`, "l*", "n#s", "o:p=q", "p[t]", "q{1,2}", "r ~root", "s>t", "t&", "u$HOME",
	"v\ttab", "w\nline", "xbidi\u202e", "ünïcode", "m!n",
}

// TestShellsComplete: each shell puts in what the program offers, in the quotes that it
// needs, so that the program gets just that; and nothing is run.
func TestShellsComplete(t *testing.T) {
	t.Parallel()
	type row struct {
		typed string
		want  []string
		only  string // the shell that this is about
	}
	rows := []row{
		{typed: "chainfix expl", want: []string{"explain"}},
		{typed: "chainfix host ro", want: []string{"host", "rollback"}},
		{typed: "chainfix check --rul", want: []string{"check", "--rule"}},
		{typed: "chainfix check --rule le", want: []string{"check", "--rule", "leaf"}},
		{typed: "chainfix --rule=str", want: []string{"--rule=strict"}},
		{typed: "chainfix explain xml-e", want: []string{"explain", "xml-encoding"}},
		{typed: "chainfix host scan --connect qemu:///ses", want: []string{"host", "scan", "--connect", "qemu:///session"}},
		{typed: "chainfix check --trust /x=vd", want: []string{"check", "--trust", "/x=vdi"}},
		{typed: "chainfix check --trust=/x=vd", want: []string{"check", "--trust=/x=vdi"}},
		{typed: "chainfix check vm", want: []string{"check", "vm one.xml"}},
		{typed: "chainfix vm", want: []string{"vm one.xml"}},
		{typed: "chainfix check --policy=vm", want: []string{"check", "--policy=vm one.xml"}},
		{typed: "chainfix check -d < vm", want: []string{"check", "-d"}},
		{typed: "chainfix host scan --from de", want: []string{"host", "scan", "--from", "defs dir/"}},
		{typed: "chainfix host scan --from=de", want: []string{"host", "scan", "--from=defs dir/"}},
		{typed: "chainfix check '$(touch pwned)' --rule=le", want: []string{"check", "$(touch pwned)", "--rule=leaf"}},
		{typed: "chainfix check '$(touch pwned)", want: []string{"check", "$(touch pwned)"}},
	}
	from := []string{"host", "scan", "--from", "defs dir"}
	for _, name := range hostileNames {
		letter := string([]rune(name)[0])
		for _, quote := range []string{"", `"`, "'"} {
			want := append(slices.Clone(from), name)
			if strings.ContainsAny(name, "\t\n\u202e") || quote == `"` && strings.Contains(name, "!") {
				want[len(want)-1] = letter // it is not offered, or bash has no quotes for it
			}
			r := row{typed: "chainfix host scan --from 'defs dir' " + quote + letter, want: want}
			if quote == `"` && strings.Contains(name, "!") {
				r.only = "bash"
			}
			rows = append(rows, r)
		}
	}
	for _, s := range typedShells {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			y := typeInto(t, s)
			writeFile(t, filepath.Join(y.dir, "vm one.xml"), nil)
			writeDefinitions(t, filepath.Join(y.dir, "defs dir"), hostileNames)
			var lines []string
			var asked []row
			for _, r := range rows {
				if r.only != "" && r.only != s.name {
					continue
				}
				line := y.complete(r.typed)
				// A quote may still be open, where nothing was to be put in.
				for _, quote := range []string{"'", `"`} {
					if strings.Count(r.typed, quote)%2 == 1 && line == r.typed {
						line += quote
					}
				}
				asked, lines = append(asked, r), append(lines, line)
			}
			got := argumentsOf(t, s, y.dir, lines)
			if len(got) != len(lines) {
				t.Fatalf("of %q come %q", lines, got)
			}
			for i, r := range asked {
				if !slices.Equal(got[i], r.want) {
					t.Errorf("%s\nbecomes %s\nwhich means %q, not %q", r.typed, lines[i], got[i], r.want)
				}
			}
			if _, err := os.Stat(filepath.Join(y.dir, "pwned")); err == nil {
				t.Error("what was typed, or a guest's name, was run")
			}
		})
	}
}

// writeDefinitions makes a folder with a definition for each name.
func writeDefinitions(t *testing.T, dir string, names []string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", "\n", "&#10;", "\t", "&#9;").Replace(name)
		writeFile(t, filepath.Join(dir, fmt.Sprintf("%d.xml", i)), []byte(peers.SmallGuest(escaped, "")))
	}
}
