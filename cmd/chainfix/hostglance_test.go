package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/golden"
	"github.com/chainfix/chainfix/testdata/peers"
)

// glanceHost is a host of 300 guests, of which few are fine in their own way: 20 use one
// image whose format is not stated.
type glanceHost struct {
	definitions, images string
	states              map[report.State]int // how many there are
}

// glanceLength is how long the name of the folder of images is: what is printed has it, and is
// laid out by its length.
const glanceLength = 100

func newGlanceHost(t *testing.T) *glanceHost {
	t.Helper()
	dir := t.TempDir()
	if len(dir) >= glanceLength {
		t.Fatalf("%q is too long", dir)
	}
	h := &glanceHost{
		definitions: filepath.Join(dir, "etc/libvirt/qemu"),
		images:      dir + "/" + strings.Repeat("i", glanceLength-1-len(dir)),
		states:      make(map[report.State]int),
	}
	for _, folder := range []string{h.definitions, h.images} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	raw := make([]byte, attackSize)
	for name, image := range map[string][]byte{
		"system.img": raw, "plain.img": raw, "golden.img": bytesOf(mkimage.VHDX{VirtualSize: attackSize}),
		"base.img": bytesOf(named("system.img", "raw")), "other.img": bytesOf(named("system.img", "raw")),
	} {
		writeFile(t, filepath.Join(h.images, name), image)
	}
	h.add(t, 20, report.WillNotStart, bytesOf(named("base.img", "")))
	h.add(t, 5, report.WillNotStart, bytesOf(named("gone.qcow2", "qcow2")))
	h.add(t, 2, report.WillNotStart, bytesOf(named("other.img", "")))
	h.add(t, 60, report.Guessed, bytesOf(named("system.img", "")))
	h.add(t, 3, report.WrongData, bytesOf(named("golden.img", "")))
	h.add(t, 208, report.Fine, bytesOf(named("plain.img", "raw")))
	for range 2 {
		writeFile(t, filepath.Join(h.definitions, h.next(report.Unreadable)+".xml"), []byte("<domain><name>"))
	}
	return h
}

// next is the name of one guest more.
func (h *glanceHost) next(state report.State) string {
	h.states[state]++
	return fmt.Sprintf("guest%03d", h.guests())
}

func (h *glanceHost) guests() (n int) {
	for _, of := range h.states {
		n += of
	}
	return n
}

// add adds guests with overlays of their own.
func (h *glanceHost) add(t *testing.T, n int, state report.State, overlay []byte) {
	t.Helper()
	for range n {
		name := h.next(state)
		image := filepath.Join(h.images, name+".qcow2")
		writeFile(t, image, overlay)
		writeFile(t, filepath.Join(h.definitions, name+".xml"), []byte(peers.SmallGuest(name, "<disk type='file'><driver name='qemu' type='qcow2'/><source file='"+image+"'/><target dev='vda' bus='virtio'/></disk>")))
	}
}

// scan is the text of a scan, with a name for the folder of images that is the same everywhere.
func (h *glanceHost) scan(t *testing.T, args ...string) string {
	t.Helper()
	var out, complaints writer
	if status := runHere(t, &out, &complaints, append([]string{"scan", "--from", h.definitions, "--predict", "11.3"}, args...)...); status != exitRefused {
		t.Fatalf("%q: status %d\n%s", args, status, complaints.String())
	}
	if complaints.String() != "" {
		t.Errorf("%q: standard error has\n%s", args, complaints.String())
	}
	valid(t, out.String())
	return strings.ReplaceAll(out.String(), h.images, "/images")
}

var sectionTitle = regexp.MustCompile(`(?m)^([A-Z][A-Z ]+[A-Z]).*\((\d+) guests?\)$`)

// sections are how many guests each section of a summary has.
func sections(out string) map[string]int {
	found := make(map[string]int)
	for _, m := range sectionTitle.FindAllStringSubmatch(out, -1) {
		found[m[1]], _ = strconv.Atoi(m[2])
	}
	return found
}

// TestScanAtAGlance: the decisions and problems of a host of 300 guests fit on a screen, each
// cause is there once, and the numbers match the guests.
func TestScanAtAGlance(t *testing.T) {
	t.Parallel()
	h := newGlanceHost(t)
	if h.guests() != 300 {
		t.Fatalf("%d guests", h.guests())
	}
	out := h.scan(t)
	golden.File(t, "testdata/glance.txt", out)
	if rows := strings.Count(out, "\n"); rows > text.Rows {
		t.Errorf("%d lines", rows)
	}
	for image, mentions := range map[string]int{"base.img": 3, "gone.qcow2": 1, "other.img": 3, "golden.img": 1} {
		// A question contains it apart from its answer.
		if n := strings.Count(out, "/"+image); n > mentions || n == 0 {
			t.Errorf("%s is named %d times", image, n)
		}
	}
	want := map[string]int{"NEEDS A DECISION": 22, "WILL NOT START": 27, "STARTS BY A GUESS": 60, "READS THE WRONG DATA": 3, "CANNOT BE READ": 2, "NOTHING TO DO": 208}
	if got := sections(out); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}

	t.Run("numbers in JSON", func(t *testing.T) {
		var found report.Host
		if err := json.Unmarshal([]byte(h.scan(t, "--output", "json")), &found); err != nil {
			t.Fatal(err)
		}
		for _, state := range report.States() {
			if found.Summary.States[state] != h.states[state] {
				t.Errorf("%d guests are %s, want %d", found.Summary.States[state], state, h.states[state])
			}
		}
	})
	t.Run("in full", func(t *testing.T) {
		out := h.scan(t, "-v")
		for n := range h.guests() {
			if name := fmt.Sprintf("guest%03d", n+1); strings.Count(out, fmt.Sprintf(" %q", name)+";")+strings.Count(out, fmt.Sprintf(" %q", name)+" ") != 1 {
				t.Errorf("%q is not there once", name)
			}
		}
		if got := sections(out); !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
	t.Run("problems alone", func(t *testing.T) {
		want := maps.Clone(want)
		delete(want, "NOTHING TO DO")
		if got := sections(h.scan(t, "-q")); !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
	for _, c := range []struct {
		flags []string
		want  []string
		shown int
	}{
		{[]string{"--only", "will-not-start,wrong-data"}, []string{"NEEDS A DECISION", "WILL NOT START", "READS THE WRONG DATA"}, 30},
		{[]string{"--only", "guessed", "--only", "unreadable"}, []string{"STARTS BY A GUESS", "CANNOT BE READ"}, 62},
		{[]string{"--only", "needs-decision", "--output", "text"}, []string{"NEEDS A DECISION", "WILL NOT START"}, 27},
		{[]string{"--only", "held-back"}, []string{"READS THE WRONG DATA"}, 3},
		{[]string{"--only", "fine"}, []string{"NOTHING TO DO"}, 208},
		{[]string{"--severity", "error"}, []string{"NEEDS A DECISION", "WILL NOT START", "READS THE WRONG DATA", "CANNOT BE READ"}, 32},
		{[]string{"--severity", "info"}, []string{"NEEDS A DECISION", "WILL NOT START", "READS THE WRONG DATA", "STARTS BY A GUESS", "CANNOT BE READ"}, 92},
	} {
		t.Run(strings.Join(c.flags, " "), func(t *testing.T) {
			out := h.scan(t, c.flags...)
			got := sections(out)
			if titles := slices.Sorted(maps.Keys(got)); !slices.Equal(titles, slices.Sorted(slices.Values(c.want))) {
				t.Errorf("%q, want %q\n%s", titles, c.want, out)
			}
			delete(got, "NEEDS A DECISION")
			sum := 0
			for _, n := range got {
				sum += n
			}
			if sum != c.shown || !strings.HasSuffix(out, fmt.Sprintf("\n%d of 300 guests shown\n", c.shown)) {
				t.Errorf("%d guests, want %d\n%s", sum, c.shown, out)
			}
			var found report.Host
			if !slices.Contains(c.flags, "text") {
				if err := json.Unmarshal([]byte(h.scan(t, append(c.flags, "--output", "json")...)), &found); err != nil || len(found.Guests) != c.shown || found.Summary.Guests != 300 {
					t.Errorf("%v: %d guests, the summary has %d", err, len(found.Guests), found.Summary.Guests)
				}
			}
		})
	}
}

// TestScanOnATerminal: there the text is coloured and as wide as the terminal, unless the
// environment or a flag says otherwise; in a pipe it is neither.
func TestScanOnATerminal(t *testing.T) {
	t.Parallel()
	h := newGlanceHost(t)
	shown := func(t *testing.T, columns int, environment string, args ...string) string {
		t.Helper()
		cmd := program(t, append([]string{"host", "scan", "--from", h.definitions, "--predict", "11.3"}, args...)...)
		s, end := newScreen(t, columns)
		cmd.Env = append(os.Environ(), "TERM=xterm", environment)
		cmd.Stdout = end
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		end.Close()
		all := s.readAll()
		cmd.Wait()
		return all
	}
	const title = "\x1b[1;31mWILL NOT START on libvirt 11.3.0 (27 guests)\x1b[0m\n"
	sequence := regexp.MustCompile("\x1b\\[[0-9;]*m")
	for _, columns := range []int{60, 120} {
		out := shown(t, columns, "NO_COLOR=")
		if !strings.Contains(out, title) {
			t.Errorf("no colour:\n%s", out)
		}
		for line := range strings.Lines(sequence.ReplaceAllString(out, "")) {
			// The name of an image does not fit, and an answer must be ready to paste.
			if len(line)-1 > columns && !strings.Contains(line, h.images) {
				t.Errorf("%d columns: %q", columns, line)
			}
		}
		if !strings.Contains(out, " ... and ") {
			t.Errorf("%d columns: all names are there\n%s", columns, out)
		}
	}
	for _, c := range []struct {
		environment, color string
		want               bool
	}{{"NO_COLOR=1", "auto", false}, {"TERM=dumb", "auto", false}, {"NO_COLOR=1", "always", true}, {"NO_COLOR=", "never", false}} {
		if out := shown(t, 80, c.environment, "--color", c.color); strings.Contains(out, title) != c.want || strings.Contains(out, "\x1b") != c.want {
			t.Errorf("%+v:\n%s", c, out)
		}
	}
	if out := h.scan(t); strings.Contains(out, "\x1b") {
		t.Errorf("in a pipe:\n%s", out)
	}
	if out := h.scan(t, "--color", "always"); !strings.Contains(out, title) {
		t.Errorf("in a pipe, with --color always:\n%s", out)
	}
}
