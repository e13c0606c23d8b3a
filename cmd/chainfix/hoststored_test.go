package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

// addStored adds what libvirt keeps of each guest, as "GUEST KIND NAME".
func addStored(t *testing.T, d *host.Daemon, all map[string]string) {
	t.Helper()
	for guest, err := range d.Guests(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for m, err := range guest.Metadata(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			all[guest.Name+" "+string(m.Kind)+" "+m.Name] = string(m.XML)
		}
	}
}

// takeSnapshots gives one guest two snapshots, another one a checkpoint, without images
// that have them: libvirt does not look.
func (h *fixableHost) takeSnapshots(t *testing.T) {
	t.Helper()
	const internal = "<state>shutoff</state><memory snapshot='no'/><disks><disk name='vda' snapshot='internal'/></disks>"
	for _, of := range []struct{ kind, name, guest, more string }{
		{"snapshot", "s1", "g0", internal}, {"snapshot", "s 2", "g0", "<parent><name>s1</name></parent>" + internal},
		{"checkpoint", "c", "g1", "<disks><disk name='vda' checkpoint='bitmap'/></disks>"},
	} {
		root := "domain" + of.kind
		h.redefine(t, of.kind, of.guest, "<"+root+"><name>"+of.name+"</name><creationTime>1</creationTime>"+of.more+h.old[of.guest]+"</"+root+">")
	}
	h.snapshots = true
	h.learn(t)
}

// redefine gives libvirt another text for what it keeps of a guest.
func (h *fixableHost) redefine(t *testing.T, kind, guest, text string) {
	t.Helper()
	file := filepath.Join(h.Dir, "stored.xml")
	writeFile(t, file, []byte(text))
	h.Virsh(kind+"-create", guest, "--redefine", file)
}

// TestStoredFails: a failure while a snapshot is fixed, or before it is restored, is
// reported; its old text is kept, and the others are still changed.
func TestStoredFails(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 2)
	h.takeSnapshots(t)
	const key = "g0 snapshot s 2"
	forget := func() { h.Virsh("snapshot-delete g0 's 2' --metadata") }
	give := func() { h.redefine(t, "snapshot", "g0", h.old[key]) }
	edited := func(text string) string {
		return strings.Replace(text, "</name>", "</name>\n  <description>theirs</description>", 1)
	}
	for _, c := range []struct {
		name string
		// refuse replaces the result of the nth time that libvirt gets the snapshot; nil
		// keeps it.
		refuse func(n int) bool
		first  func()    // is called once everything is planned
		want   string    // what libvirt has then; "" for no such snapshot
		step   host.Step // in the manifest
		says   string    // the outcome's error
	}{
		{name: "lost, and given back", refuse: func(n int) bool { return n == 1 }, want: h.old[key], step: host.Left, says: host.ErrReadBack.Error()},
		{name: "lost for good", refuse: func(int) bool { return true }, step: host.Changed, says: ".old.xml"},
		{name: "edited meanwhile", first: func() { h.redefine(t, "snapshot", "g0", edited(h.old[key])) }, want: edited(h.old[key]), step: host.Left, says: host.ErrChanged.Error()},
		{name: "deleted meanwhile", first: forget, step: host.Left, says: host.ErrNoStored.Error()},
		{name: "mended meanwhile", first: func() { h.redefine(t, "snapshot", "g0", h.new[key]) }, want: h.new[key], step: host.Defined},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := 0
			k := newLink(t, h.Libvirt, func(_ int, procedure uint32, packet []byte) (forward, reply bool) {
				if procedure == snapshotXML && strings.Contains(string(packet), "<name>s 2</name>\n  <state") {
					given++
				}
				return true, true
			})
			last := 0
			k.answer = func(procedure uint32, packet []byte) []byte {
				if procedure != snapshotXML || given == last || c.refuse == nil || !c.refuse(given) {
					return packet
				}
				last = given
				forget()
				return refusal(packet)
			}
			d, err := host.Connect(t.Context(), k.uri)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			stateDir := filepath.Join(t.TempDir(), "state")
			a := h.applier(stateDir)
			a.Daemon, a.Scan.Inventory = d, d
			var said string
			a.OnOutcome = func(o host.Outcome) {
				if o.Stored.Name == "s 2" && o.Err != nil {
					said = o.Err.Error()
				} else if o.Err != nil {
					t.Errorf("%s %s: %v", o.Guest, o.Stored, o.Err)
				}
			}
			a.Progress = func(done, _ int) {
				if done == 0 && c.first != nil {
					c.first()
				}
			}
			run, err := a.Run(t.Context(), noReport)
			if (err == nil) != (c.says == "") || err != nil && !errors.Is(err, host.ErrLeft) || !strings.Contains(said, c.says) {
				t.Errorf("%v: %s", err, said)
			}
			want := map[string]string{"g0": h.new["g0"], "g1": h.new["g1"], "g0 snapshot s1": h.new["g0 snapshot s1"], "g1 checkpoint c": h.new["g1 checkpoint c"]}
			if c.want != "" {
				want[key] = c.want
			}
			h.want(t, want)
			if steps, _ := lastSteps(t, stateDir); steps[key] != c.step {
				t.Errorf("%s is %q", key, steps[key])
			}
			if !keptIn(t, run)[h.old[key]] {
				t.Error("its old text is not kept")
			}
			give() // changes by others are not rolled back
			h.rollback(t, run)
		})
	}

	t.Run("rollback", func(t *testing.T) {
		run := h.apply(t, filepath.Join(h.Dir, "state"))
		h.Share(filepath.Dir(run))
		for _, c := range []struct {
			name   string
			before func()
			want   string
			says   error
			hint   bool
		}{
			{"edited since", func() { h.redefine(t, "snapshot", "g0", edited(h.new[key])) }, edited(h.new[key]), host.ErrChanged, true},
			{"deleted since", forget, "", host.ErrNoStored, false},
		} {
			c.before()
			var said error
			var hint []string
			b := &host.Rollback{Daemon: h.d, Connect: h.URI(), OnOutcome: func(o host.Outcome) {
				if o.Stored.Name == "s 2" {
					said, hint = o.Err, o.Remedy.Commands
				}
			}}
			if err := b.Run(t.Context(), run); !errors.Is(err, host.ErrLeft) || !errors.Is(said, c.says) {
				t.Errorf("%s: %v: %v", c.name, err, said)
			}
			want := map[string]string{"g0": h.old["g0"], "g1": h.old["g1"], "g0 snapshot s1": h.old["g0 snapshot s1"], "g1 checkpoint c": h.old["g1 checkpoint c"]}
			if c.want != "" {
				want[key] = c.want
			}
			h.want(t, want)
			if (len(hint) == 1) != c.hint {
				t.Errorf("%s: hints %q", c.name, hint)
			}
			if !c.hint {
				continue
			}
			if out, err := h.Command("sh", "-c", hint[0]).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", hint[0], err, out)
			}
			h.want(t, h.old)
		}
		// Nothing is left to roll back, and that does not hide older runs.
		if dir, err := (&host.Rollback{Daemon: h.d, Connect: h.URI()}).RunNewest(t.Context(), filepath.Dir(run)); !errors.Is(err, host.ErrNoRun) {
			t.Errorf("the newest run is %q: %v", dir, err)
		}
		h.redefine(t, "snapshot", "g0", h.new[key])
		h.rollback(t, run)
	})

	t.Run("a folder with another snapshot's text", func(t *testing.T) {
		run := h.apply(t, filepath.Join(h.Dir, "spoiled"))
		var of []string
		for _, path := range filesOf(t, run) {
			if text, err := os.ReadFile(path); err == nil && (string(text) == h.old[key] || string(text) == h.old["g0 snapshot s1"]) {
				of = append(of, path)
			}
		}
		if len(of) != 2 {
			t.Fatal(of)
		}
		swap := func() {
			if err := errors.Join(os.Rename(of[0], of[0]+".x"), os.Rename(of[1], of[0]), os.Rename(of[0]+".x", of[1])); err != nil {
				t.Fatal(err)
			}
		}
		swap()
		if err := (&host.Rollback{Daemon: h.d, Connect: h.URI()}).Run(t.Context(), run); !errors.Is(err, host.ErrManifest) {
			t.Errorf("rollback: %v", err)
		}
		h.want(t, h.new)
		swap()
		h.rollback(t, run)
	})
}
