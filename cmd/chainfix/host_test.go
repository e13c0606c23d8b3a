package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/testdata/peers"
)

// installProgram puts chainfix where the daemon's user can run it.
func installProgram(t *testing.T, l *peers.Libvirt) {
	t.Helper()
	l.Install(builtProgram(t), "chainfix")
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// ran is what the program has said.
type ran struct {
	status      int
	out, errors string
}

// runHost runs "chainfix host" as the daemon's user.
func runHost(t *testing.T, l *peers.Libvirt, args ...string) ran {
	t.Helper()
	cmd := l.Command(filepath.Join(l.Dir, "chainfix"), append([]string{"host"}, args...)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	valid(t, out.String())
	return ran{cmd.ProcessState.ExitCode(), out.String(), complaints.String()}
}

type hostReport struct {
	Schema, Libvirt string
	Guests          []report.Guest
}

// scanHost scans and returns the reports on the guests.
func scanHost(t *testing.T, l *peers.Libvirt, want int, args ...string) (hostReport, map[string]report.Guest) {
	t.Helper()
	r := runHost(t, l, append([]string{"scan", "--output", "json"}, args...)...)
	var found hostReport
	if err := json.Unmarshal([]byte(r.out), &found); err != nil || r.status != want || found.Schema != "chainfix/host/v1" {
		t.Fatalf("status %d, %v\n%s\n%s", r.status, err, r.errors, r.out)
	}
	guests := make(map[string]report.Guest)
	for _, g := range found.Guests {
		guests[g.Name] = g
	}
	return found, guests
}

// connect connects to a private daemon.
func connect(t *testing.T, l *peers.Libvirt) *host.Daemon {
	t.Helper()
	d, err := host.Connect(t.Context(), l.URI())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// definitions are what libvirt has of each guest.
func definitions(t *testing.T, d *host.Daemon) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for guest, err := range d.Guests(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all[guest.Name] = string(guest.Definition)
	}
	return all
}

// predicted is the prediction for the whole guest.
func predicted(t *testing.T, g report.Guest, target string) predict.Outcome {
	t.Helper()
	worst := predict.Starts
	for _, d := range g.Disks {
		switch p := d.Prediction[target]; {
		case p == "":
			t.Errorf("%q: nothing is predicted of %q: %v", g.Name, d.Target, d.Words)
		case p == predict.Refuses.String():
			worst = predict.Refuses
		case p == predict.Misopens.String() && worst == predict.Starts:
			worst = predict.Misopens
		}
	}
	return worst
}

// saidByFiles is what is said of guests without asking libvirt at a URI, least of all which
// backing images are volumes of the pool, which is the folder.
func saidByFiles(guests []report.Guest, folder, uri string) (all []report.Guest) {
	withoutURI := func(findings []report.Finding) []report.Finding {
		findings = slices.Clone(findings)
		for i := range findings {
			findings[i].Hint = strings.ReplaceAll(findings[i].Hint, "--connect "+finding.ShellWord(uri)+" ", "")
		}
		return findings
	}
	for _, g := range guests {
		g.Findings = withoutURI(g.Findings)
		g.Disks = slices.Clone(g.Disks)
		for i, d := range g.Disks {
			d.Findings = withoutURI(d.Findings)
			d.Layers = slices.Clone(d.Layers)
			for j := range d.Layers {
				if volume := d.Layers[j].Source.Volume; volume != "" && j > 0 {
					d.Layers[j].Source = report.Source{Type: "file", File: filepath.Join(folder, volume)}
				}
			}
			g.Disks[i] = d
		}
		all = append(all, g)
	}
	return all
}

func has(g report.Guest, code finding.Code) bool {
	is := func(f report.Finding) bool { return f.Code == string(code) }
	return slices.ContainsFunc(g.Findings, is) || slices.ContainsFunc(g.Disks, func(d report.Disk) bool { return slices.ContainsFunc(d.Findings, is) })
}

// startAll starts guests, many at a time, compares their outcomes, and waits
// until the daemon knows that they have ended.
func startAll(t *testing.T, l *peers.Libvirt, names []string, all []hostGuest, starts func(n int) bool, check func(n int, outcome predict.Outcome, said string)) {
	t.Helper()
	var mu sync.Mutex
	one := func(n int) {
		outcome, said := all[n].startDefined(t, l, names[n], filepath.Join(l.Images, names[n]))
		l.Try("destroy", names[n]) // it may be over already
		mu.Lock()
		defer mu.Unlock()
		check(n, outcome, said)
	}
	var group errgroup.Group
	group.SetLimit(12)
	for n, g := range all {
		if starts(n) && !g.alone {
			group.Go(func() error { one(n); return nil })
		}
	}
	group.Wait()
	for n, g := range all {
		if starts(n) && g.alone {
			one(n)
		}
	}
}

// TestHost is the day that chainfix is made for, on one real daemon: what the
// scan says of each guest is what starting it shows; apply changes those that
// are fixable and no others; these then start without any guess; and rollback
// restores every byte.
func TestHost(t *testing.T) {
	t.Parallel()
	all := hostGuests()
	l, names := hostOf(t, all)
	version, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	target := version.String()
	if len(all) < 60 {
		t.Errorf("only %d guests", len(all))
	}
	d := connect(t, l)
	before := definitions(t, d)
	uri := []string{"--connect", l.URI()}
	report, guests := scanHost(t, l, exitRefused, uri...)
	if report.Libvirt != target || len(guests) != len(all) {
		t.Errorf("libvirt %q, %d guests", report.Libvirt, len(guests))
	}
	for n, g := range all {
		said := guests[names[n]]
		if said.Verdict != g.verdict || g.finding != "" && !has(said, g.finding) {
			t.Errorf("%s: %+v", g.name, said)
		}
		if outcome := predicted(t, said, target); outcome != g.want {
			t.Errorf("%s: predicted %s, want %s: %+v", g.name, outcome, g.want, said)
		}
	}

	t.Run("another libvirt than the one that runs", func(t *testing.T) {
		for _, command := range []string{"scan", "apply"} {
			r := runHost(t, l, append([]string{command, "--target-libvirt", "1.2"}, uri...)...)
			if r.status != exitUsage || r.out != "" || !strings.Contains(r.errors, "--predict 1.2") {
				t.Errorf("%s: status %d\n%s%s", command, r.status, r.errors, r.out)
			}
		}
		if qemu := d.QEMU(); !qemu.Known() {
			t.Error("the running QEMU is unknown")
		}
	})
	t.Run("the files say what the daemon says", func(t *testing.T) {
		stored, _ := scanHost(t, l, exitRefused, "--from", l.SystemConfigDir(), "--target-libvirt", target)
		want := report
		want.Libvirt, want.Guests = "", saidByFiles(report.Guests, l.Images, l.URI())
		if diff := cmp.Diff(want, stored); diff != "" {
			t.Errorf("the files say something else than the daemon (-):\n%s", diff)
		}
	})
	var guessed map[string]bool
	t.Run("as they are, what is predicted happens", func(t *testing.T) {
		logged := len(l.DebugLog())
		startAll(t, l, names, all, func(n int) bool { return !all[n].busy }, func(n int, outcome predict.Outcome, said string) {
			if outcome != all[n].want {
				t.Errorf("%s: %s, not %s: %s", all[n].name, outcome, all[n].want, said)
			}
		})
		guessed = probedIn(l, l.DebugLog()[logged:])
		again, _ := scanHost(t, l, exitRefused, uri...)
		if diff := cmp.Diff(report, again); diff != "" {
			t.Errorf("the scan depends on what was started (-):\n%s", diff)
		}
	})
	needs := func(n int) predict.Need {
		return needOfOutcome(all[n].want, guessed[names[n]] || guessed[all[n].probes])
	}
	t.Run("it is needed where libvirt guesses, refuses or misopens", func(t *testing.T) {
		count := make(map[predict.Need]int)
		for n, g := range all {
			because, said := "", guests[names[n]]
			if needs(n) != predict.Recorded {
				because = needs(n).String()
			}
			if diff := cmp.Diff(new(because != ""), said.Needed); diff != "" || said.Because != because {
				t.Errorf("%s: %q, want %q\n%s", g.name, said.Because, because, diff)
			}
			count[needs(n)]++
		}
		for _, need := range []predict.Need{predict.Recorded, predict.Guessed, predict.Refused, predict.Misopened} {
			if count[need] < 4 {
				t.Errorf("only %d guests: %s", count[need], need)
			}
		}
	})

	everything := func(n int) bool { return all[n].safe() }
	needed := func(n int) bool { return all[n].safe() && needs(n) != predict.Recorded }
	state := []string{"--state-dir", filepath.Join(l.Dir, "state")}
	apply := append(append([]string{"apply"}, uri...), state...)
	applyAll := append(slices.Clone(apply), "--all")
	t.Run("a dry run changes nothing", func(t *testing.T) {
		for _, c := range []struct {
			args    []string
			changes func(n int) bool
		}{{apply, needed}, {applyAll, everything}} {
			r := runHost(t, l, append(slices.Clone(c.args), "--dry-run")...)
			for n, g := range all {
				if has := strings.Contains(r.out, "\n+++ "+names[n]+"\n"); has != c.changes(n) {
					t.Errorf("%s: there is a diff: %v", g.name, has)
				}
			}
			if diff := cmp.Diff(before, definitions(t, d)); diff != "" || r.status != exitRefused {
				t.Errorf("status %d\n%s", r.status, diff)
			}
		}
	})

	// runApply applies, and returns the run's folder and the lines that it has printed.
	runApply := func(t *testing.T, args []string, changes func(n int) bool) (run string, want []string) {
		r := runHost(t, l, args...)
		lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
		run = lines[len(lines)-1]
		if filepath.Dir(run) != state[1] || r.status != exitRefused {
			t.Fatalf("status %d, folder %q\n%s\n%s", r.status, run, r.errors, r.out)
		}
		after := definitions(t, d)
		for n, g := range all {
			if changes(n) {
				want = append(want, fmt.Sprintf("defined %q", names[n]))
			}
			if changed := before[names[n]] != after[names[n]]; changed != changes(n) {
				t.Errorf("%s: changed: %v\n%s", g.name, changed, after[names[n]])
			}
			if held := strings.Contains(r.errors, names[n]+": warning: held back: "); held != (g.verdict == "fixable" && !g.safe() && (!g.busy || args[len(args)-1] == "--all")) {
				t.Errorf("%s: held back: %v\n%s", g.name, held, r.errors)
			}
		}
		if diff := cmp.Diff(want, lines[:len(lines)-1]); diff != "" {
			t.Error(diff)
		}
		return run, want
	}
	t.Run("what is needed and safe becomes explicit, and nothing else changes", func(t *testing.T) {
		run, want := runApply(t, apply, needed)
		_, guests := scanHost(t, l, exitRefused, uri...)
		for n, g := range all {
			if said := guests[names[n]]; needed(n) && said.Verdict != "explicit" || !needed(n) && said.Verdict != g.verdict {
				t.Errorf("%s, afterwards: %+v", g.name, said)
			}
		}
		logged, started := len(l.DebugLog()), 0
		var group errgroup.Group
		group.SetLimit(12)
		for n, g := range all {
			if g.safe() && !needed(n) && !g.busy {
				started++
				group.Go(func() error { return onlyNodesOfLibvirt(l, names[n]) })
			}
		}
		if err := group.Wait(); err != nil || started < 10 {
			t.Errorf("%d guests whose chain is recorded to the end: %v", started, err)
		}
		if m := probedImage.FindString(l.DebugLog()[logged:]); m != "" {
			t.Errorf("libvirt probes an image of a guest that does not need an explicit chain: %s", m)
		}
		r := runHost(t, l, append(append([]string{"rollback"}, uri...), run)...)
		if diff := cmp.Diff(before, definitions(t, d)); diff != "" || r.status != exitDone || strings.Count(r.out, "restored ") != len(want) {
			t.Errorf("rollback: status %d\n%s\n%s", r.status, r.errors, diff)
		}
	})

	changes := everything
	apply = applyAll
	var run string
	var want []string
	var after map[string]string
	if !t.Run("what is fixable becomes explicit, and nothing else changes", func(t *testing.T) {
		run, want = runApply(t, apply, changes)
		after = definitions(t, d)
		_, guests := scanHost(t, l, exitRefused, uri...)
		for n, g := range all {
			verdict, outcome := g.verdict, g.want
			if changes(n) {
				verdict, outcome = "explicit", g.after
			}
			if said := guests[names[n]]; said.Verdict != verdict || predicted(t, said, target) != outcome {
				t.Errorf("%s, afterwards: %+v", g.name, said)
			}
		}
	}) {
		return
	}
	t.Run("once they are fixed, libvirt reads no headers", func(t *testing.T) {
		logged := len(l.DebugLog())
		startAll(t, l, names, all, func(n int) bool { return changes(n) && !all[n].busy }, func(n int, outcome predict.Outcome, said string) {
			if outcome != all[n].after {
				t.Errorf("%s: %s: %s", all[n].name, outcome, said)
			}
			for _, option := range l.Blockdevs(names[n]) {
				if node := blockdevNode(t, option); slices.Contains([]string{"qcow", "qcow2", "qed", "vmdk"}, node.Driver) && node.Backing == nil {
					t.Errorf("%s: QEMU is left to follow a header: %s", all[n].name, option)
				}
			}
		})
		for line := range strings.Lines(l.DebugLog()[logged:]) {
			if strings.Contains(line, "virStorageFileProbeFormatFromBuf") || strings.Contains(line, "virStorageSourceGetMetadataRecurse") {
				t.Fatalf("libvirt reads headers: %s", line)
			}
		}
	})
	t.Run("again, nothing is left to do", func(t *testing.T) {
		r := runHost(t, l, apply...)
		if strings.Contains(r.out, "defined") || r.status != exitRefused {
			t.Errorf("status %d\n%s", r.status, r.out)
		}
		if diff := cmp.Diff(after, definitions(t, d)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a rollback gives every byte back", func(t *testing.T) {
		r := runHost(t, l, append(append([]string{"rollback"}, uri...), run)...)
		if r.status != exitDone || strings.Count(r.out, "restored ") != len(want) || r.errors != "" {
			t.Errorf("status %d\n%s\n%s", r.status, r.errors, r.out)
		}
		if diff := cmp.Diff(before, definitions(t, d)); diff != "" {
			t.Error(diff)
		}
		again, _ := scanHost(t, l, exitRefused, uri...)
		if diff := cmp.Diff(report, again); diff != "" {
			t.Errorf("the scan says something else (-):\n%s", diff)
		}
	})
	t.Run("by name", func(t *testing.T) {
		for n, g := range all {
			if g.verdict != "fixable" || g.safe() || g.busy {
				continue
			}
			r := runHost(t, l, append(append([]string{"apply"}, append(uri, state...)...), names[n])...)
			if r.status != exitDone || !strings.Contains(r.out, fmt.Sprintf("defined %q\n", names[n])) {
				t.Errorf("%s: status %d\n%s\n%s", g.name, r.status, r.errors, r.out)
			}
		}
		startAll(t, l, names, all, func(n int) bool { return all[n].want == predict.Misopens && all[n].verdict == "fixable" }, func(n int, outcome predict.Outcome, said string) {
			if outcome != predict.Starts {
				t.Errorf("%s, of which the guest was to see other bytes then: %s: %s", all[n].name, outcome, said)
			}
		})
	})
}
