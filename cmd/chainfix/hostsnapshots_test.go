package main

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// snapshotHost is a private daemon with guests that have snapshots of all kinds, a
// checkpoint and a managed save image.
type snapshotHost struct {
	*testing.T
	*peers.Libvirt
	d *host.Daemon
}

// guest defines a guest, and makes its images.
func (h snapshotHost) guest(name, inDisk string, images map[string][]byte) {
	h.Helper()
	c := oddChain{disk: topDisk + inDisk, images: images}
	dir := filepath.Join(h.Images, name)
	c.write(h.T, dir)
	h.Share(h.Images)
	// A secret is lost if it is not asked for.
	h.Define(strings.Replace(c.document(name, dir), "<controller ", "<graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1' passwd='sesame'/><controller ", 1))
}

// everything is what libvirt has.
func (h snapshotHost) everything() map[string]string {
	h.Helper()
	all := definitions(h.T, h.d)
	addStored(h.T, h.d, all)
	return all
}

// trees are which snapshots come after which, and which is the current one.
func (h snapshotHost) trees() string {
	h.Helper()
	return h.Virsh("snapshot-list --tree off; snapshot-current --name off; snapshot-list --tree external; checkpoint-list --tree checked; list --all --managed-save")
}

// stored are the snapshots, checkpoints and saved states that a scan wants fixed.
func (h snapshotHost) stored(want int) map[string]string {
	h.Helper()
	_, guests := scanHost(h.T, h.Libvirt, want, "--connect", h.URI())
	all := make(map[string]string)
	for name, g := range guests {
		for _, s := range g.Stored {
			all[name+" "+s.Kind+" "+s.Name] = s.Verdict
		}
	}
	return all
}

// chains are what the disks of a text state, and the text without them.
func (h snapshotHost) chains(text string) (stated []chain.Stated, rest string) {
	h.Helper()
	doc, err := xmlfix.ParseMetadata("text", []byte(text))
	if err != nil {
		h.Fatal(err)
	}
	for _, d := range doc.Disks() {
		s, err := d.Stated()
		if err != nil {
			h.Fatal(err)
		}
		stated = append(stated, s)
		d.RemoveChain()
	}
	bare, err := doc.Bytes()
	if err != nil {
		h.Fatal(err)
	}
	return stated, string(bare)
}

// chainsOf are the chains that the disks of a text state.
func (h snapshotHost) chainsOf(text string) []chain.Stated {
	stated, _ := h.chains(text)
	return stated
}

// sees starts a guest that does not run yet, and checks what it sees.
func (h snapshotHost) sees(guest string, want []byte) {
	h.Helper()
	if strings.TrimSpace(h.Virsh("domstate", guest)) == "shut off" {
		h.Virsh("start", "--paused", guest)
	}
	h.End(guest)
	if got, err := peers.GuestSees(h.T, h.Blockdevs(guest)); err != nil || !bytes.Equal(got, want) {
		h.Errorf("%s sees %.40q (%d bytes), %v", guest, got, len(got), err)
	}
}

// printedFolder is the last line that an apply has printed.
func printedFolder(r ran) string {
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	return lines[len(lines)-1]
}

// TestWhyASnapshotIsRefused: the reason is about the refused disk, whatever can be fixed on
// another one.
func TestWhyASnapshotIsRefused(t *testing.T) {
	chains := []*chain.Chain{{Verdict: chain.Fixable}, {Verdict: chain.Refused, Findings: []finding.Finding{
		{Code: finding.BaseWritten, Severity: finding.Warn}, {Code: finding.ImageMissing, Severity: finding.Refuse, Text: "it is gone"}}}}
	e := &xmlfix.Examination{}
	for _, c := range chains {
		e.Disks = append(e.Disks, xmlfix.DiskExamination{Chain: c})
	}
	stored := host.StoredReport{Stored: host.Stored{Kind: host.Snapshot, Name: "s"}, Examination: e,
		Findings: []finding.Finding{{Code: finding.SnapshotDiffers, Severity: finding.Warn, Text: "with a chain that is not explicit"}}}
	result := newApplyResult("9.0.0", true)
	result.asksFor = func(host.MetadataKind) bool { return true }
	result.storedOf(&host.Report{Guest: &host.Guest{Name: "web"}, Examination: &xmlfix.Examination{}, Stored: []*host.StoredReport{&stored}})
	if s := result.Stored[0]; s.Outcome != wasRefused || s.Code != string(finding.ImageMissing) || s.Reason != "it is gone" {
		t.Errorf("%+v", s)
	}
}

// TestSnapshots: snapshots and checkpoints are reported by a scan, fixed by an apply,
// still fixed after a revert, and restored byte for byte by a rollback.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	peers.Require(t, "qemu-img", "qemu-storage-daemon")
	h := snapshotHost{T: t, Libvirt: peers.StartLibvirt(t)}
	installProgram(t, h.Libvirt)
	h.d = connect(t, h.Libvirt)

	guessed := func() map[string][]byte {
		return files(named("middle", "qcow2"), rawDisk, "middle", bytesOf(mkimage.Qcow2{VirtualSize: attackSize, Backing: "base.img"}))
	}
	// libvirt takes the base as raw, so the guest sees a container as long as nothing is
	// explicit.
	h.guest("off", "", files(named("base.img", ""), vhdxDisk))
	h.Virsh("snapshot-create-as off first; snapshot-create-as off second")
	h.guest("ran", "", guessed())
	h.guest("external", "", guessed())
	h.guest("checked", "", guessed())
	h.guest("saved", "", guessed())
	h.guest("vhdx", "", files(named("base.img", ""), vhdxDisk))
	overlay := filepath.Join(h.Images, "external", "overlay")
	var group errgroup.Group // the daemon takes its time over each guest that ends
	for guest, then := range map[string]string{
		"ran": "snapshot-create-as ran memory; destroy ran", "external": "snapshot-create-as external disks --disk-only --diskspec vda,file=" + overlay + "; destroy external",
		"checked": "checkpoint-create-as checked point; destroy checked", "saved": "managedsave saved", "vhdx": "managedsave vhdx",
	} {
		group.Go(func() error {
			out, err := h.Try("start --paused " + guest + "; " + then)
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	// Its snapshot states a base that it does not have any more.
	h.guest("flattened", over("base.img", "raw", end), files(named("base.img", "raw"), rawDisk))
	h.Virsh("snapshot-create-as flattened before")
	if out, err := h.Command("qemu-img", "rebase", "-f", "qcow2", "-b", "", filepath.Join(h.Images, "flattened", "top")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	state := filepath.Join(h.Dir, "state")
	apply := func(want int, words ...string) ran {
		t.Helper()
		r := runHost(t, h.Libvirt, slices.Concat([]string{"apply", "--connect", h.URI(), "--state-dir", state}, words)...)
		if r.status != want {
			t.Fatalf("apply %q: status %d, want %d\n%s%s", words, r.status, want, r.out, r.errors)
		}
		return r
	}
	apply(exitDone, "--refresh", "flattened")

	before, trees := h.everything(), h.trees()
	mendable := []string{"off snapshot first", "off snapshot second", "ran snapshot memory", "external snapshot disks", "checked checkpoint point", "saved saved state managed save",
		"vhdx saved state managed save"}
	found := map[string]string{"flattened snapshot before": "refused"}
	for _, key := range mendable {
		found[key] = "fixable"
	}
	if diff := cmp.Diff(found, h.stored(exitRefused)); diff != "" {
		t.Errorf("what a scan names:\n%s", diff)
	}
	all := slices.Sorted(maps.Keys(definitions(t, h.d)))
	// The definitions of saved guests are held back.
	dry := apply(exitRefused, append([]string{"--dry-run", "--snapshots", "--saved"}, all...)...)
	if n := strings.Count(dry.out, "\n+++ "); n != 5-1+6 {
		t.Errorf("a dry run has %d diffs:\n%s", n, dry.out)
	}
	first := printedFolder(apply(exitRefused, all...))
	for key, text := range h.everything() {
		if strings.Contains(key, " ") && text != before[key] {
			t.Errorf("%s is changed, which was not asked for", key)
		}
	}
	r := apply(exitRefused, append([]string{"--snapshots", "--saved"}, all...)...)
	if !strings.Contains(r.errors, "vhdx: warning: managed save image is held back: the guest cannot be changed now: the guest resumes") {
		t.Errorf("a saved guest whose disk would change under it is not left:\n%s", r.errors)
	}
	second := printedFolder(r)

	mended := h.everything()
	for key, now := range mended {
		if key == "flattened" || key == "flattened snapshot before" || key == "saved" || strings.HasPrefix(key, "vhdx") {
			if now != before[key] {
				t.Errorf("%s is changed:\n%s", key, cmp.Diff(before[key], now))
			}
			continue
		}
		chains, rest := h.chains(now)
		if _, want := h.chains(before[key]); rest != want {
			t.Errorf("%s: more is changed than the chains:\n%s", key, cmp.Diff(want, rest))
		}
		for _, s := range chains {
			if !s.Terminated || len(s.Layers) < 2 {
				t.Errorf("%s: %q is not explicit:\n%s", key, s.Target, now)
			}
		}
		if !strings.Contains(now, "sesame") {
			t.Errorf("%s: a secret is lost", key)
		}
	}
	// The snapshot is of the time before the overlay.
	if chains, _ := h.chains(mended["external snapshot disks"]); len(chains[0].Layers) != 3 {
		t.Errorf("the snapshot has a chain of %d layers", len(chains[0].Layers))
	}
	if chains, _ := h.chains(mended["external"]); len(chains[0].Layers) != 4 {
		t.Errorf("the definition has a chain of %d layers", len(chains[0].Layers))
	}
	if now := h.trees(); now != trees {
		t.Errorf("the trees are others:\n%s", cmp.Diff(trees, now))
	}
	left := map[string]string{"flattened snapshot before": "refused", "vhdx saved state managed save": "fixable"}
	if diff := cmp.Diff(left, h.stored(exitRefused)); diff != "" {
		t.Errorf("what a scan names afterwards:\n%s", diff)
	}

	for kind, name := range map[string]string{"snapshot": "memory", "checkpoint": "point", "saved state": "managed save"} {
		if listed := runHost(t, h.Libvirt, "runs", "--state-dir", state, "--output", "json"); !strings.Contains(listed.out, `"kind":"`+kind+`","stored":"`+name+`","step":"defined"`) {
			t.Errorf("no %s in %s", kind, listed.out)
		}
	}
	for _, run := range []string{second, first} {
		if r := runHost(t, h.Libvirt, "rollback", "--connect", h.URI(), run); r.status != exitDone {
			t.Fatalf("rollback: status %d\n%s%s", r.status, r.out, r.errors)
		}
	}
	if diff := cmp.Diff(before, h.everything()); diff != "" {
		t.Errorf("after the rollback:\n%s", diff)
	}
	if now := h.trees(); now != trees {
		t.Errorf("the trees are others:\n%s", cmp.Diff(trees, now))
	}

	// Now for good.
	apply(exitRefused, append([]string{"--snapshots", "--saved"}, all...)...)
	apply(exitDone, "--snapshots", "--refresh", "flattened")
	for _, guest := range []string{"off", "flattened"} {
		snapshot := map[string]string{"off": "first", "flattened": "before"}[guest]
		h.Virsh("snapshot-revert", guest, snapshot)
		if got, want := h.everything()[guest], h.chainsOf(mended[guest]); !cmp.Equal(h.chainsOf(got), want) {
			t.Errorf("%s: a revert brings back\n%s", guest, got)
		}
	}
	h.sees("off", rawDisk)
	h.Virsh("snapshot-revert", "ran", "memory")
	h.sees("ran", rawDisk)
	h.sees("saved", rawDisk)
	if r := runHost(t, h.Libvirt, "scan", "--connect", h.URI(), "off", "ran", "flattened"); r.status != exitDone || strings.Contains(r.errors, "snapshot-differs") {
		t.Errorf("after the reverts: status %d\n%s%s", r.status, r.out, r.errors)
	}
}
