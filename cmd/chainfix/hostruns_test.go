package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/testdata/peers"
)

// here runs a command of a host within the test, and wants a status.
func (h *fixableHost) here(t *testing.T, want int, command string, args ...string) ran {
	t.Helper()
	out, complaints := &writer{}, &writer{}
	status := runHere(t, out, complaints, append([]string{command}, args...)...)
	if status != want {
		t.Errorf("%s %q: status %d, not %d\n%s\n%s", command, args, status, want, out, complaints)
	}
	valid(t, out.String())
	return ran{status, out.String(), complaints.String()}
}

// fromJSON reads what a command prints with --output json.
func fromJSON[T any](t *testing.T, r ran) (document T) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.out), &document); err != nil {
		t.Fatalf("%v\n%s\n%s", err, r.out, r.errors)
	}
	return document
}

// outcomesOf are those of the guests of an apply.
func outcomesOf(a applyResult) map[string]string {
	all := make(map[string]string)
	for _, g := range a.Guests {
		all[g.Name] = g.Outcome
	}
	return all
}

// restoredBy are the outcomes of a rollback.
func restoredBy(r rollbackResult) map[string]string {
	all := make(map[string]string)
	for _, g := range r.Guests {
		all[g.Name] = g.Outcome
	}
	return all
}

// TestRuns: runs are found without anybody having kept their names, are those of this
// libvirt by whatever URI, and report their outcomes.
func TestRuns(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 2)
	l := peers.StartLibvirt(t) // another one, of the same user
	stateDir := filepath.Join(h.Dir, "state")
	uri, state := []string{"--connect", h.URI()}, []string{"--state-dir", stateDir}
	asJSON := append(append([]string{"--output", "json"}, state...), uri...)
	text := append(append([]string{}, state...), uri...)
	runs := func(t *testing.T) []runJSON {
		t.Helper()
		return fromJSON[runsJSON](t, h.here(t, exitDone, "runs", append([]string{"--output", "json"}, state...)...)).Runs
	}
	all := func(outcome string) map[string]string { return map[string]string{"g0": outcome, "g1": outcome} }

	// Before there is a run.
	if got := runs(t); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	if r := h.here(t, exitDone, "rollback", text...); r.out != "" || !strings.HasPrefix(r.errors, "nothing to roll back: ") {
		t.Errorf("%s\n%s", r.out, r.errors)
	}
	if r := fromJSON[rollbackResult](t, h.here(t, exitDone, "rollback", asJSON...)); r.Schema != rollbackSchema || r.Run != "" || len(r.Guests) != 0 || r.Error != "" {
		t.Errorf("%+v", r)
	}
	absent := filepath.Join(stateDir, "absent")
	if r := h.here(t, exitInput, "rollback", append(text, "absent")...); r.out != "" ||
		r.errors != fmt.Sprintf("chainfix: there is no run %q\nhint: all runs: chainfix host runs --state-dir %s\n", absent, stateDir) {
		t.Errorf("%s\n%s", r.out, r.errors)
	}
	if _, err := os.Lstat(stateDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking for a run has made the state folder: %v", err)
	}

	// A dry run tells each change, and makes nothing.
	dry := fromJSON[applyResult](t, h.here(t, exitDone, "apply", append(asJSON, "--dry-run")...))
	if diff := cmp.Diff(all(wouldChange), outcomesOf(dry)); diff != "" || !dry.DryRun || dry.Run != "" || dry.Undo != "" || !strings.Contains(dry.Guests[0].Diff, "\n+++ g0\n") {
		t.Errorf("%s\n%+v", diff, dry)
	}
	if _, err := os.Lstat(stateDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dry run has made the state folder: %v", err)
	}

	// One guest, and then all: of two runs the newer one comes first.
	r := h.here(t, exitDone, "apply", append(text, "g0")...)
	first := strings.TrimSuffix(strings.TrimPrefix(r.out, "defined \"g0\"\n"), "\n")
	undo := "chainfix host rollback --connect '" + h.URI() + "' " + first
	if !strings.HasSuffix(r.errors, "\n1 changed\nto undo this: "+undo+"\n") {
		t.Errorf("%s", r.errors)
	}
	h.want(t, map[string]string{"g0": h.new["g0"], "g1": h.old["g1"]})
	second := fromJSON[applyResult](t, h.here(t, exitDone, "apply", asJSON...))
	if diff := cmp.Diff(map[string]string{"g0": wasExplicit, "g1": wasChanged}, outcomesOf(second)); diff != "" || second.Schema != applySchema ||
		second.Libvirt != h.d.Version().String() || filepath.Dir(second.Run) != stateDir || !strings.HasSuffix(second.Undo, " "+second.Run) || second.Error != "" {
		t.Errorf("%s\n%+v", diff, second)
	}
	h.want(t, h.new)

	// Nothing is left to do: no folder, no line, and it says so.
	if r := h.here(t, exitDone, "apply", text...); r.out != "" || r.errors != "nothing to change, 2 already explicit\n" {
		t.Errorf("%s\n%s", r.out, r.errors)
	}
	if r := fromJSON[applyResult](t, h.here(t, exitDone, "apply", asJSON...)); r.Run != "" || r.Undo != "" || len(r.Guests) != 2 {
		t.Errorf("%+v", r)
	}
	got := runs(t)
	if len(got) != 2 || got[0].Run != second.Run || got[1].Run != first {
		t.Fatalf("%+v", got)
	}
	for _, run := range got {
		if run.State != runChanged || !run.Finished || run.Libvirt != h.d.Version().String() || run.Chainfix != version() || run.Connect != h.URI() ||
			run.Driver != "qemu:///session" || run.Name != filepath.Base(run.Run) || run.Time.IsZero() || len(run.Guests) != 1 {
			t.Errorf("%+v", run)
		}
	}

	// Of another libvirt there is none, though it is the same user's on the same machine.
	if r := h.here(t, exitDone, "rollback", append([]string{"--connect", l.URI()}, state...)...); r.out != "" || !strings.HasPrefix(r.errors, "nothing to roll back: ") {
		t.Errorf("%s\n%s", r.out, r.errors)
	}

	// A skipped guest prevents a rollback of older runs without a name.
	h.define(t, edited(h.new["g1"]))
	if r := h.here(t, exitRefused, "rollback", text...); !strings.HasSuffix(r.errors, "\nnewest run to roll back: "+second.Run+
		"\nhint: to roll back an older run, name it; all runs: chainfix host runs --state-dir "+stateDir+"\n") {
		t.Errorf("%s", r.errors)
	}
	h.define(t, h.new["g1"])

	// Without a name the newest run is rolled back, by another URI of the same libvirt,
	// and then the one before.
	other := append([]string{"--connect", "qemu:///session?socket=" + h.Socket()}, state...)
	if r := fromJSON[rollbackResult](t, h.here(t, exitDone, "rollback", append([]string{"--dry-run", "--output", "json"}, other...)...)); r.Run != second.Run || restoredBy(r)["g1"] != wouldRestore {
		t.Errorf("%+v", r)
	}
	h.want(t, h.new)
	if r := h.here(t, exitDone, "rollback", other...); r.out != "restored \"g1\"\n" || r.errors != "newest run to roll back: "+second.Run+"\n" {
		t.Errorf("%s\n%s", r.out, r.errors)
	}
	h.want(t, map[string]string{"g0": h.new["g0"], "g1": h.old["g1"]})
	if r := h.here(t, exitDone, "runs", state...); strings.Count(r.out, "\n") != 2 || !strings.Contains(r.out, "  1 changed, rolled back\n") || !strings.HasSuffix(r.out, "  1 changed\n") {
		t.Errorf("%s", r.out)
	}
	if r := fromJSON[rollbackResult](t, h.here(t, exitDone, "rollback", asJSON...)); r.Run != first || r.Guests[0].Outcome != wasRestored || r.Guests[0].UUID != h.uuid(h.old["g0"]) {
		t.Errorf("%+v", r)
	}
	h.want(t, h.old)
	if r := h.here(t, exitDone, "rollback", text...); r.out != "" {
		t.Errorf("%s\n%s", r.out, r.errors)
	}
	// A bare name is one in the state folder.
	if r := h.here(t, exitDone, "rollback", append(text, filepath.Base(second.Run))...); r.out != "already restored \"g1\"\n" {
		t.Errorf("%s\n%s", r.out, r.errors)
	}
	if r := h.here(t, exitInput, "rollback", append(text, "")...); r.out != "" || !strings.Contains(r.errors, host.ErrManifest.Error()) {
		t.Errorf("no name is the newest run: %s\n%s", r.out, r.errors)
	}
	for _, run := range runs(t) {
		if run.State != runTakenBack || !run.Guests[0].TakenBack {
			t.Errorf("%+v", run)
		}
	}

	// What cannot be read is said, and may be what is looked for.
	writeFile(t, filepath.Join(second.Run, "manifest.jsonl"), []byte("{}\n"))
	if r := h.here(t, exitInput, "runs", state...); strings.Count(r.out, "\n") != 1 || !strings.Contains(r.errors, host.ErrManifest.Error()) {
		t.Errorf("%s\n%s", r.out, r.errors)
	}
	h.here(t, exitInput, "rollback", text...)
}

// edit changes the manifest of a run.
func editManifest(t *testing.T, run string, oldNew ...string) {
	t.Helper()
	path := filepath.Join(run, "manifest.jsonl")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.NewReplacer(oldNew...).Replace(string(data))
	if edited == string(data) {
		t.Fatalf("the manifest has none of %q:\n%s", oldNew, data)
	}
	writeFile(t, path, []byte(edited))
}

// TestUnusualRollbacks: rollback of runs that are less simple than those of TestRuns. Each case
// leaves the guests as it found them.
func TestUnusualRollbacks(t *testing.T) {
	t.Parallel()
	h := newFixableHost(t, 3)
	installProgram(t, h.Libvirt)
	t.Run("of another host", h.runOfAnotherHost)
	t.Run("hints", h.hintsOfChangedGuests)
	t.Run("the older run", h.rollbackOfTheOlderRun)
	t.Run("what is gone", h.rollbackOfWhatIsGone)
	t.Run("after an upgrade", h.rollbackAfterAnUpgrade)
	t.Run("a controller that moves", h.controllerThatMoves)
}

// stateDir is a state folder of its own for each test.
func (h *fixableHost) stateDir(t *testing.T) string {
	return filepath.Join(h.Dir, strings.ReplaceAll(t.Name(), "/", "-"))
}

// runOfAnotherHost: a run is bound to the machine, and to libvirt's driver and user.
func (h *fixableHost) runOfAnotherHost(t *testing.T) {
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		peers.Lacking(t, err)
	}
	for name, change := range map[string][]string{
		"machine": {strings.TrimSpace(string(machine)), strings.Repeat("0", 32)},
		"driver":  {"qemu:///session\",", "qemu:///system\","},
		"user":    {`"user":"`, `"user":"1`},
	} {
		t.Run(name, func(t *testing.T) {
			stateDir := h.stateDir(t)
			run := h.apply(t, stateDir)
			editManifest(t, run, change...)
			flags := []string{"--connect", h.URI(), "--state-dir", stateDir}
			lastLine(t, h.here(t, exitInput, "rollback", append(flags, run)...).errors, host.ErrOtherHost.Error())
			if r := h.here(t, exitDone, "rollback", flags...); !strings.HasPrefix(r.errors, "nothing to roll back") {
				t.Error(r.errors)
			}
			h.want(t, h.new)
			editManifest(t, run, change[1], change[0])
			h.rollback(t, run)
		})
	}
	t.Run("not stated", func(t *testing.T) {
		run := h.apply(t, h.stateDir(t))
		editManifest(t, run, `"machine":`, `"nothing":`, `"driver":`, `"of":`, `"user":`, `"that":`)
		h.rollback(t, run)
	})
}

// hintsOfChangedGuests: the commands that rollback hints at, for a guest that somebody
// changed since, do what they are said to do.
func (h *fixableHost) hintsOfChangedGuests(t *testing.T) {
	stateDir := h.stateDir(t)
	run := h.apply(t, stateDir)
	h.Share(stateDir)
	h.define(t, edited(h.new["g0"]))
	hints := func(want error) (commands []string) {
		t.Helper()
		back := &host.Rollback{Daemon: h.d, Connect: h.URI(), OnOutcome: func(o host.Outcome) {
			if o.Err != nil {
				commands = o.Remedy.Commands
				if !errors.Is(o.Err, want) {
					t.Errorf("%v, not %v", o.Err, want)
				}
			}
		}}
		if err := back.Run(t.Context(), run); !errors.Is(err, host.ErrLeft) {
			t.Fatalf("%v", err)
		}
		return commands
	}
	follow := func(command, want string) {
		t.Helper()
		if out, err := h.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		h.want(t, map[string]string{"g0": want, "g1": h.old["g1"], "g2": h.old["g2"]})
	}
	commands := hints(host.ErrChanged)
	if len(commands) != 2 {
		t.Fatalf("%q", commands)
	}
	follow(commands[0], edited(h.old["g0"]))
	follow(commands[1], h.old["g0"])
	h.Virsh("undefine", "g0")
	// It is not known any more that it has its old definition: the run is as it was.
	if commands = hints(host.ErrNoGuest); len(commands) != 1 {
		t.Fatalf("%q", commands)
	}
	follow(commands[0], h.old["g0"])
}

// rollbackOfTheOlderRun: of a guest that two runs have changed the newer one has to be
// taken back first, and the older one says so.
func (h *fixableHost) rollbackOfTheOlderRun(t *testing.T) {
	stateDir := h.stateDir(t)
	older := h.apply(t, stateDir)
	// The chain has changed since.
	overlay := filepath.Join(h.Images, "g0", "top")
	before, err := os.ReadFile(overlay)
	if err != nil {
		t.Fatal(err)
	}
	defer writeFile(t, overlay, before)
	base := filepath.Join(h.Images, "g0", "other.img")
	writeFile(t, base, rawDisk)
	writeFile(t, overlay, bytesOf(named("other.img", "raw")))
	a := h.applier(stateDir)
	a.Scan.Policy.Disagreement = chain.HeadersWin
	a.Scan.Names = []string{"g0"} // it will see other bytes
	newer, err := a.Run(t.Context(), noReport)
	if err != nil || newer == older {
		t.Fatalf("%q, %v", newer, err)
	}
	h.Share(stateDir)
	hinted := ""
	back := &host.Rollback{Daemon: h.d, Connect: h.URI(), OnOutcome: func(o host.Outcome) {
		if o.Err != nil {
			hinted = strings.Join(o.Remedy.Commands, "; ")
		}
	}}
	if err := back.Run(t.Context(), older); !errors.Is(err, host.ErrLeft) || !strings.HasSuffix(hinted, newer) {
		t.Fatalf("%v, hint %q", err, hinted)
	}
	if out, err := h.Command("sh", "-c", hinted).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", hinted, err, out)
	}
	h.want(t, map[string]string{"g0": h.new["g0"], "g1": h.old["g1"], "g2": h.old["g2"]})
	h.rollback(t, older)
}

// rollbackOfWhatIsGone: a run of which nothing is left to take back but what is gone, a
// guest or its saved state, does not stand before the older ones.
func (h *fixableHost) rollbackOfWhatIsGone(t *testing.T) {
	flags := []string{"--connect", h.URI(), "--state-dir", h.stateDir(t)}
	h.here(t, exitDone, "apply", append(flags, "g0")...)
	h.here(t, exitDone, "apply", append(flags, "g1", "g2")...)
	h.Virsh("undefine g1")
	if r := h.here(t, exitRefused, "rollback", flags...); !strings.Contains(r.errors, "g1: warning: left unchanged: ") || !strings.Contains(r.out, `restored "g2"`) {
		t.Errorf("%s\n%s", r.out, r.errors)
	}
	if r := h.here(t, exitDone, "rollback", flags...); r.out != "restored \"g0\"\n" {
		t.Errorf("%s\n%s", r.out, r.errors)
	}
	h.define(t, h.old["g1"])
	h.want(t, h.old)

	// Nor does one of a saved state that the guest has gone on from.
	h.here(t, exitDone, "apply", append(flags, "g0")...)
	h.Virsh("start --paused g1; managedsave g1")
	h.here(t, exitRefused, "apply", append(flags, "--saved", "g1")...) // its definition waits
	if r := h.here(t, exitDone, "rollback", append(flags, "--dry-run")...); r.out != "would restore managed save image of \"g1\"\n" {
		t.Errorf("%s\n%s", r.out, r.errors)
	}
	h.Virsh("start --paused g1; destroy g1")
	if r := h.here(t, exitDone, "rollback", flags...); r.out != "restored \"g0\"\n" {
		t.Errorf("%s\n%s", r.out, r.errors)
	}
	h.want(t, h.old)
}

// rollbackAfterAnUpgrade: where another libvirt writes definitions in another way, a
// guest gets the disks that it had, if it has those that the run gave it, and nothing
// that came into its definition is lost.
func (h *fixableHost) rollbackAfterAnUpgrade(t *testing.T) {
	run := h.apply(t, h.stateDir(t))
	version := fmt.Sprintf(`"libvirt":%q`, h.d.Version())
	editManifest(t, run, version, `"libvirt":"7.0.0"`)
	// What stands for the additions of the newer one, and for a change of somebody's.
	h.define(t, edited(h.new["g0"]))
	throttled := strings.Replace(h.new["g1"], "<driver name='qemu' type='qcow2'/>", "<driver name='qemu' type='qcow2' cache='none'/>", 1)
	h.define(t, throttled)
	r := h.here(t, exitRefused, "rollback", "--connect", h.URI(), run)
	if r.out != "restored \"g2\"\nrestored \"g0\"\n" || !strings.Contains(r.errors, "g1: warning: left unchanged: "+host.ErrChanged.Error()+": its disk \"vda\"\n") {
		t.Errorf("%s\n%s", r.out, r.errors)
	}
	h.want(t, map[string]string{"g0": edited(h.old["g0"]), "g1": throttled, "g2": h.old["g2"]})
	h.define(t, h.new["g1"])
	h.here(t, exitDone, "rollback", "--connect", h.URI(), run)
	h.want(t, map[string]string{"g0": edited(h.old["g0"]), "g1": h.old["g1"], "g2": h.old["g2"]})
	h.define(t, h.old["g0"])
}

// controllerThatMoves: libvirt (9.0) puts a controller that it has added itself into
// another place once it reads the definition again, which is no change of anybody's.
func (h *fixableHost) controllerThatMoves(t *testing.T) {
	const name = "moves"
	newRaw(t, h.Libvirt, "base.img")
	definition := guestWithDisk(name, "qcow2", newOverlay(t, h.Libvirt, name+".qcow2", "base.img", ""))
	before, rest, _ := strings.Cut(definition, "<os>")
	_, after, _ := strings.Cut(rest, "</os>")
	definition = before + "<os><type arch='x86_64' machine='q35'>hvm</type></os>" +
		strings.Replace(after, "</devices>", "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices>", 1)
	h.Define(definition)
	defer h.Virsh("undefine", name)
	first := definitions(t, h.d)[name]
	flags := []string{"--connect", h.URI(), "--state-dir", h.stateDir(t)}
	h.here(t, exitDone, "apply", append(flags, name)...)
	if now := definitions(t, h.d)[name]; !strings.Contains(now, "<backingStore/>") || controllersOf(first) == controllersOf(now) {
		t.Errorf("it is not explicit, or no controller has moved:\n%s", now)
	}
	h.here(t, exitDone, "rollback", flags...)
	lines := func(text string) []string { return slices.Sorted(strings.Lines(text)) }
	if diff := cmp.Diff(lines(first), lines(definitions(t, h.d)[name])); diff != "" {
		t.Error(diff)
	}
}

// controllersOf are those of a guest with a channel, as they stand in its definition.
func controllersOf(definition string) string {
	_, all, _ := strings.Cut(definition, "<controller")
	all, _, _ = strings.Cut(all, "<channel")
	return all
}
