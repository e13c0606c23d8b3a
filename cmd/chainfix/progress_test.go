package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/testdata/peers"
)

// screen is what a terminal shows, line by line, of what the program writes to it.
type screen struct {
	t       *testing.T
	master  *os.File
	columns int
	input   []byte // that was not looked at yet
	lines   []string
	line    []byte // the last one, with the cursor at its end
}

// newScreen opens a terminal that has so many columns. The program gets the other end.
func newScreen(t *testing.T, columns int) (s *screen, end *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0),
		unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}), master.SetReadDeadline(time.Now().Add(deadline)))
	if err != nil {
		t.Fatal(err)
	}
	end, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end.Close() })
	return &screen{t: t, master: master, columns: columns}, end
}

// read reads more, and reports whether there can be any: all have closed the other end,
// or it takes too long.
func (s *screen) read() bool {
	s.t.Helper()
	var more [4096]byte
	n, err := s.master.Read(more[:])
	s.input = append(s.input, more[:n]...)
	for len(s.input) > 0 && s.look() {
	}
	return err == nil
}

// sgr is a change of colour (ECMA-48).
var sgr = regexp.MustCompile("^\x1b\\[[0-9;]*m")

// look takes the next sign from the input. It reports false where that is not complete.
func (s *screen) look() bool {
	s.t.Helper()
	taken := 1
	switch c := s.input[0]; {
	case c == '\n':
		s.lines, s.line = append(s.lines, string(s.line)), nil
	case c == '\r' && len(s.input) == 1:
		return false
	case c == '\r' && s.input[1] == '\n': // the terminal's own, before each end of a line
	case c == '\r' && len(s.input) < len(clearLine):
		return false
	case strings.HasPrefix(string(s.input), clearLine):
		if len(s.line) >= s.columns {
			s.t.Errorf("in %d columns a line of %d cannot be erased: %q", s.columns, len(s.line), s.line)
		}
		s.line, taken = nil, len(clearLine)
	case sgr.Match(s.input):
		taken = len(sgr.Find(s.input))
	case c < ' ' || c == 0x7f:
		s.t.Errorf("the terminal gets %q", s.input)
	default:
		s.line = append(s.line, c)
	}
	s.input = s.input[taken:]
	return true
}

// String is all that the terminal shows.
func (s *screen) String() string { return strings.Join(append(s.lines, string(s.line)), "\n") }

// await waits until the last line is one that matches.
func (s *screen) await(pattern string) {
	s.t.Helper()
	for wanted := regexp.MustCompile(pattern); !wanted.Match(s.line); {
		if !s.read() {
			s.t.Errorf("%q never comes; the terminal shows\n%s", pattern, s)
			return
		}
	}
}

// rest reads all that comes, after which no line of progress is there.
func (s *screen) rest() {
	s.t.Helper()
	for s.read() {
	}
	if len(s.line) > 0 {
		s.t.Errorf("at the end there is %q", s.line)
	}
}

// onScreen starts the program with the terminal as its own, for all streams that it does
// not have yet.
func onScreen(t *testing.T, cmd *exec.Cmd, columns int) *screen {
	t.Helper()
	s, end := newScreen(t, columns)
	cmd.Env = append(os.Environ(), "TERM=xterm")
	if cmd.Stdin == nil {
		cmd.Stdin = end
	}
	if cmd.Stdout == nil {
		cmd.Stdout = end
	}
	cmd.Stderr = end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	end.Close()
	return s
}

// TestProgressOfCheck: the terminal shows how many documents are done, and which file is
// waited for, until it comes; then what any other file would have got.
func TestProgressOfCheck(t *testing.T) {
	t.Parallel()
	path, document := fifo(t), filepath.Join(t.TempDir(), "vm.xml")
	writeFile(t, document, []byte(peers.SmallGuest("g", "")))
	args := []string{"check", "--timeout=1h", document, path, document}
	cmd := program(t, args...)
	s := onScreen(t, cmd, 72)
	s.await(`^1 of 3 documents; waiting for "\.\.\..*/fifo" \([1-9]\d* s\)$`)
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString(peers.SmallGuest("late", "")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	s.rest()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, s)
	}
	want := fmt.Sprintf("%s: domain \"g\": explicit\n%s: domain \"late\": explicit\n%[1]s: domain \"g\": explicit\n", shownName(document), shownName(path))
	if got := s.String(); got != want {
		t.Errorf("the terminal shows\n%swant\n%s", got, want)
	}
}

// TestNoProgressElsewhere: a stream that is not a terminal, or cannot erase a line, gets no
// progress.
func TestNoProgressElsewhere(t *testing.T) {
	t.Parallel()
	_, end := newScreen(t, 80)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, pipeEnd := pipe(t)
	for _, tt := range []struct {
		err  *os.File
		kind string
		want bool
	}{{end, "xterm", true}, {end, "dumb", false}, {end, "", false}, {file, "xterm", false}, {pipeEnd, "xterm", false}} {
		std := streams{nil, end, tt.err}
		got := onTerminal(std, tt.kind)
		if p := startProgress(t.Context(), got, limit.New(1, 0)); (p != nil) != tt.want {
			t.Errorf("%s as %q: %v", tt.err.Name(), tt.kind, p)
		} else {
			p.end()
		}
		if !tt.want && got != std {
			t.Errorf("%s as %q: the streams are others", tt.err.Name(), tt.kind)
		}
	}
}

// TestTerminalLine: the line goes before anything else is written, to whichever stream,
// and none is begun, or erased, in the middle of another's.
func TestTerminalLine(t *testing.T) {
	t.Parallel()
	r, w := pipe(t)
	term := &terminal{file: w}
	out := aboveLine{term, w}
	term.show("1 of 2")
	term.show("1 of 2")
	term.show("2 of 2")
	fmt.Fprint(term, "finding\n")
	term.show("2 of 2")
	fmt.Fprint(out, `{"documents": [`)
	term.show("2 of 2")
	term.show("")
	fmt.Fprint(out, "]}\n")
	term.show("2 of 2")
	term.show("")
	w.Close()
	got, err := io.ReadAll(r)
	want := "<1 of 2<2 of 2<finding\n<2 of 2<{\"documents\": []}\n<2 of 2<"
	if got := strings.ReplaceAll(string(got), clearLine, "<"); err != nil || got != want {
		t.Errorf("written:\n%q, %v, want\n%q", got, err, want)
	}
}

// TestSignalOnTerminal: Ctrl-C, and a terminal that goes away, end the program while it
// shows what it waits for. The line goes, too.
func TestSignalOnTerminal(t *testing.T) {
	t.Parallel()
	for signal, end := range map[syscall.Signal]func(*screen) error{
		unix.SIGINT: func(s *screen) error { _, err := s.master.WriteString("\x03"); return err },
		unix.SIGHUP: func(s *screen) error { return s.master.Close() },
	} {
		t.Run(unix.SignalName(signal), func(t *testing.T) {
			cmd := program(t, "check", "--timeout=1h", fifo(t))
			s := onScreen(t, cmd, 60)
			s.await(`^waiting for ".*" \(\d+ s\)$`)
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			if signal == unix.SIGINT {
				s.rest()
				if got, want := s.String(), "chainfix: interrupted (SIGINT)\n"; strings.TrimPrefix(got, "^C") != want {
					t.Errorf("the terminal shows %q, want %q", got, want)
				}
			}
			cmd.Wait()
			if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != signal {
				t.Errorf("the program ended with %v", cmd.ProcessState)
			}
		})
	}
}

// TestProgressOfHost: a scan says how many guests it has read, and reported; an apply
// also how many it has changed. Each writes the same as without a terminal.
func TestProgressOfHost(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 3)
	const transient = 8 // VIR_CONNECT_LIST_DOMAINS_TRANSIENT
	for _, tt := range []struct {
		args []string
		line string // while output that begins so is written
		at   string
	}{
		{[]string{"scan", "--output", "json"}, `^2 of 3 guests examined$`, "g1"},
		{[]string{"apply", "--dry-run"}, `^2 of 3 guests examined$`, "g1"},
		{[]string{"apply", "--state-dir", filepath.Join(h.Dir, "progress")}, `^1 of 3 guests done$`, `defined "g1"`},
	} {
		t.Run(strings.Join(tt.args[:1], " "), func(t *testing.T) {
			s, end := newScreen(t, 100)
			read := make(chan struct{})
			link := newLink(t, h.Libvirt, func(_ int, procedure uint32, packet []byte) (forward, reply bool) {
				// The guests that have no definition come last.
				if procedure == listGuests && binary.BigEndian.Uint32(packet[32:]) == transient {
					s.await(`^3 guests read$`)
					close(read)
				}
				return true, true
			})
			out := &writer{at: tt.at}
			out.do = func() { <-read; s.await(tt.line) }
			std := onTerminal(streams{nil, out, end}, "xterm")
			status := run(t.Context(), append([]string{"chainfix", "host", tt.args[0], "--connect", link.uri}, tt.args[1:]...), std)
			end.Close()
			s.rest()
			if status != exitDone && status != exitChange || out.do != nil {
				t.Errorf("status %d\n%s\n%s", status, out, s)
			}
			if strings.Contains(s.String(), "guests") {
				t.Errorf("the terminal shows\n%s", s)
			}
		})
	}
}

// TestProgressLine: how far the run has come, and after a second the end of the name that is waited for.
func TestProgressLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, waiting string
		waited        time.Duration
		columns       int
		want          string
	}{
		{"3 of 12 guests examined", "", 0, 79, "3 of 12 guests examined"},
		{"3 of 12 guests examined", "/nfs/web.qcow2", 999 * time.Millisecond, 79, "3 of 12 guests examined"},
		{"3 of 12 guests examined", "/nfs/web.qcow2", 12999 * time.Millisecond, 79, `3 of 12 guests examined; waiting for "/nfs/web.qcow2" (12 s)`},
		{"", "/nfs/web.qcow2", 12 * time.Second, 79, `waiting for "/nfs/web.qcow2" (12 s)`},
		{"", "/nfs/images/of/many/web.qcow2", 12 * time.Second, 40, `waiting for "...f/many/web.qcow2" (12 s)`},
		{"", "/nfs/\x1b[2J\u202e.qcow2", 12 * time.Second, 79, `waiting for "/nfs/\x1b[2J\u202e.qcow2" (12 s)`},
		{"3 of 12 guests examined", "/nfs/web.qcow2", time.Minute, 8, "3 of 12 "},
	} {
		if got := progressLine(tt.text, tt.waiting, tt.waited, tt.columns); got != tt.want {
			t.Errorf("%q", got)
		}
	}
}

// TestProgressLineFits, whatever the name: it has only what takes one column.
func TestProgressLineFits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		path, columns := rapid.String().Draw(t, "path"), rapid.IntRange(0, 200).Draw(t, "columns")
		line := progressLine("1 of 2 guests done", path, time.Hour, columns)
		if len(line) > columns || strings.ContainsFunc(line, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) {
			t.Fatalf("%q in %d columns", line, columns)
		}
	})
}

// readAll returns everything that the terminal gets until all have closed the other end.
func (s *screen) readAll() string {
	var all []byte
	for more := make([]byte, 4096); ; {
		n, err := s.master.Read(more)
		all = append(all, more[:n]...)
		if err != nil {
			return strings.ReplaceAll(string(all), "\r\n", "\n")
		}
	}
}

// TestFindingsAreColoured: on a terminal the level of a finding has its colour, unless NO_COLOR
// is set.
func TestFindingsAreColoured(t *testing.T) {
	document := filepath.Join(t.TempDir(), "vm.xml")
	writeFile(t, document, []byte("<domain><name>web</name><devices><disk type='file'><driver type='qcow2'/><source file='/no/such'/><target dev='vda'/></disk></devices></domain>\n"))
	for environment, want := range map[string]string{"NO_COLOR=": "\x1b[1;31merror\x1b[0m: [image-missing]", "NO_COLOR=1": ": error: [image-missing]", "TERM=dumb": ": error: [image-missing]"} {
		cmd := program(t, "fix", document)
		s, end := newScreen(t, 200)
		cmd.Env = append(os.Environ(), "TERM=xterm", environment)
		cmd.Stderr = end
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		end.Close()
		if said := s.readAll(); !strings.Contains(said, want) {
			t.Errorf("%s: %q", environment, said)
		}
		cmd.Wait()
	}
}
