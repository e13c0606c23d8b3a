package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/testdata/slowfs/mount"
)

// unansweredLimit is the --timeout of these tests. Only what hangs takes it.
const unansweredLimit = 4 * time.Second

// hangingGuests are those with an image that hangs: the disk's own, or its base.
// A process that waits for it can be killed.
var hangingGuests = map[string]string{
	"guest02": "hang-lookup-intr.qcow2", "guest05": "hang-getattr-intr.qcow2", "guest09": "hang-open-intr.img", "guest14": "hang-read-intr.img",
}

// hangingHost has 15 guests over images on a file system of which four hang. It is for
// one process: pages that were asked for in vain stay locked, and then nothing ends the
// next process that opens their file.
type hangingHost map[string]string // definitions by guest

// write writes the definitions into a folder, of those that hang only if they are
// wanted, and returns the paths.
func (h hangingHost) write(t *testing.T, dir string, hanging bool) (paths []string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if hangingGuests[name] == "" || hanging {
			paths = append(paths, filepath.Join(dir, name+".xml"))
			writeFile(t, paths[len(paths)-1], []byte(h[name]))
		}
	}
	return paths
}

// define defines the guests, of those that hang only if they are wanted.
func (h hangingHost) define(l *peers.Libvirt, hanging bool) {
	for name, definition := range h {
		if hangingGuests[name] == "" || hanging {
			l.Define(definition)
		}
	}
}

func newHangingHost(t *testing.T) hangingHost {
	t.Helper()
	source := t.TempDir()
	slow := peers.StartSlowFS(t, source, mount.Options{Cache: time.Hour})
	h := make(hangingHost)
	for n := range 15 {
		name := fmt.Sprintf("guest%02d", n)
		top, base := name+".qcow2", name+".img"
		if hangs := hangingGuests[name]; strings.HasSuffix(hangs, ".img") {
			base = hangs
		} else if hangs != "" {
			top = hangs
		}
		writeFile(t, filepath.Join(source, top), bytesOf(named(base, "raw")))
		writeFile(t, filepath.Join(source, base), rawDisk)
		definition := guestWithDisk(name, "qcow2", filepath.Join(slow.Dir, top))
		h[name] = strings.Replace(definition, "</name>", fmt.Sprintf("</name><uuid>00000000-0000-4000-8000-%012x</uuid>", n), 1)
	}
	return h
}

// within runs a program that has to end by itself in less than twice the limit.
func within(t *testing.T, cmd *exec.Cmd) ran {
	t.Helper()
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	begun := time.Now()
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took >= 2*unansweredLimit {
		t.Errorf("%q took %s\n%s", cmd.Args, took, complaints.String())
	}
	valid(t, out.String())
	return ran{cmd.ProcessState.ExitCode(), out.String(), complaints.String()}
}

// sameButFor compares two runs, the second without the guests that hang, and
// demands that the first refuses these by the image's name.
func sameButFor(t *testing.T, all, without map[string]report.Guest) {
	t.Helper()
	for name, image := range hangingGuests {
		guest, ok := all[name]
		if !ok || guest.Verdict != "refused" || !has(guest, finding.ImageUnanswered) {
			t.Errorf("%s: %+v", name, guest)
			continue
		}
		text := fmt.Sprintf("%+v", guest)
		if !strings.Contains(text, image) || !strings.Contains(text, "file system at") {
			t.Errorf("%s: %s", name, text)
		}
		delete(all, name)
	}
	if diff := cmp.Diff(without, all); diff != "" || len(without) != 11 {
		t.Errorf("of %d guests (-without those that hang):\n%s", len(without), diff)
	}
}

func guestsOf(t *testing.T, r ran) map[string]report.Guest {
	t.Helper()
	var found hostReport
	if err := json.Unmarshal([]byte(r.out), &found); err != nil {
		t.Fatalf("status %d, %v\n%s\n%s", r.status, err, r.errors, r.out)
	}
	guests := make(map[string]report.Guest)
	for _, g := range found.Guests {
		for _, d := range g.Disks {
			for i := range d.Layers {
				d.Layers[i].Image = "" // the keys count the images of one report
			}
		}
		guests[g.Name] = g
	}
	return guests
}

// TestUnansweredImagesCostTheirOwnGuests: of 15 guests the images of 4 do not answer,
// in four ways. These are refused by name, and the others are reported as if there were
// no others, in less than twice the limit.
func TestUnansweredImagesCostTheirOwnGuests(t *testing.T) {
	program, limit := builtProgram(t), "--timeout="+unansweredLimit.String()

	t.Run("check", func(t *testing.T) {
		t.Parallel()
		h := newHangingHost(t)
		check := func(paths []string) (ran, map[string]report.Document) {
			r := within(t, exec.Command(program, append([]string{"check", limit, "--output", "json"}, paths...)...))
			var found struct{ Documents []report.Document }
			if err := json.Unmarshal([]byte(r.out), &found); err != nil {
				t.Fatalf("%v\n%s\n%s", err, r.out, r.errors)
			}
			documents := make(map[string]report.Document)
			for _, d := range found.Documents {
				d.Name = filepath.Base(d.Name)
				documents[d.Domain] = d
			}
			return r, documents
		}
		_, others := check(h.write(t, t.TempDir(), false))
		r, all := check(h.write(t, t.TempDir(), true))
		if r.status != exitRefused || strings.Count(r.out, `"image-unanswered"`) != 4 {
			t.Errorf("status %d\n%s", r.status, r.errors)
		}
		for name, image := range hangingGuests {
			if text := fmt.Sprintf("%+v", all[name]); !strings.Contains(text, "image-unanswered") || !strings.Contains(text, image) {
				t.Errorf("%s: %s", name, text)
			}
			delete(all, name)
		}
		if diff := cmp.Diff(others, all); diff != "" || len(others) != 11 {
			t.Errorf("%d documents:\n%s", len(others), diff)
		}
	})

	t.Run("host scan --from", func(t *testing.T) {
		t.Parallel()
		h := newHangingHost(t)
		scan := func(hanging bool) ran {
			dir := t.TempDir()
			h.write(t, dir, hanging)
			return within(t, exec.Command(program, "host", "scan", limit, "--output", "json", "--predict", "9.0.0", "--from", dir))
		}
		others, r := guestsOf(t, scan(false)), scan(true)
		if r.status != exitRefused {
			t.Errorf("status %d\n%s", r.status, r.errors)
		}
		sameButFor(t, guestsOf(t, r), others)
	})

	t.Run("host scan --connect", func(t *testing.T) {
		t.Parallel()
		h, l := newHangingHost(t), peers.StartLibvirt(t)
		installProgram(t, l)
		scan := func() ran {
			return within(t, l.Command(filepath.Join(l.Dir, "chainfix"), "host", "scan", limit, "--output", "json", "--connect", l.URI()))
		}
		h.define(l, false)
		others := guestsOf(t, scan())
		h.define(l, true)
		r := scan()
		if r.status != exitRefused {
			t.Errorf("status %d\n%s", r.status, r.errors)
		}
		sameButFor(t, guestsOf(t, r), others)
	})

	t.Run("host apply", func(t *testing.T) {
		t.Parallel()
		h, l := newHangingHost(t), peers.StartLibvirt(t)
		installProgram(t, l)
		h.define(l, true)
		r := within(t, l.Command(filepath.Join(l.Dir, "chainfix"), "host", "apply", "--all", limit, "--connect", l.URI(), "--state-dir", filepath.Join(l.Dir, "state")))
		if r.status != exitRefused || strings.Count(r.out, "defined \"") != 11 {
			t.Errorf("status %d\n%s\n%s", r.status, r.out, r.errors)
		}
		for name, image := range hangingGuests {
			if !strings.Contains(r.errors, image) || strings.Contains(r.out, strconv.Quote(name)) {
				t.Errorf("%s:\n%s\n%s", name, r.out, r.errors)
			}
		}
	})

	for name, image := range hangingGuests {
		for verify, status := range map[string]int{"--verify=true": exitRefused, "--verify=false": exitDone} {
			t.Run(fmt.Sprintf("hook %s of %s", verify, image), func(t *testing.T) {
				t.Parallel()
				h, log := newHangingHost(t), filepath.Join(t.TempDir(), "log")
				cmd := exec.Command(program, "hook", limit, verify, "--log", log, name, "migrate", "begin", "-")
				cmd.Stdin = strings.NewReader(h[name])
				r := within(t, cmd)
				content, err := os.ReadFile(log)
				if err != nil {
					t.Fatal(err)
				}
				if text := string(content); r.status != status || r.out != "" || !strings.Contains(text, "image-unanswered") || !strings.Contains(text, image) {
					t.Errorf("status %d, %q, log:\n%s", r.status, r.out, text)
				}
			})
		}
	}
}
