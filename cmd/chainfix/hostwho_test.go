package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/testdata/peers"
)

// who asks who uses an image, and checks that the status is what the answer says.
func (h snapshotHost) who(image string, more ...string) report.Who {
	h.Helper()
	r := runHost(h.T, h.Libvirt, append([]string{"who", "--output", "json", image}, more...)...)
	var who report.Who
	if err := json.Unmarshal([]byte(r.out), &who); err != nil {
		h.Fatalf("%v\n%s%s", err, r.out, r.errors)
	}
	if want := map[string]int{report.Nobody: exitDone, report.Somebody: exitUsed, report.NotKnown: exitUnknown}[who.Answer]; r.status != want {
		h.Errorf("%s: status %d for %q", image, r.status, who.Answer)
	}
	return who
}

// TestWho: of guests that are off, run, run without a definition, are saved or have snapshots,
// on one real daemon, their images are reported, from libvirt and from its files, and so is
// every image that a QEMU has open.
func TestWho(t *testing.T) {
	t.Parallel()
	peers.Require(t, "qemu-img")
	h := snapshotHost{T: t, Libvirt: peers.StartLibvirt(t)}
	installProgram(t, h.Libvirt)
	h.d = connect(t, h.Libvirt)
	chained := func() map[string][]byte { return files(named("base.img", "raw"), rawDisk, "free", rawDisk) }
	for _, guest := range []string{"off", "ran", "saved", "past", "external", "kept"} {
		h.guest(guest, "", chained())
	}
	at := func(guest, image string) string { return filepath.Join(h.Images, guest, image) }
	// It has other images now than its snapshot.
	h.Virsh("snapshot-create-as past before")
	h.guest("new", "", chained())
	h.guest("discards", "<transient/>", chained())
	now := strings.ReplaceAll(definitions(t, h.d)["past"], at("past", ""), at("new", ""))
	h.Virsh("undefine new")
	h.Define(now)
	h.guest("transient", "", chained())
	document := filepath.Join(h.Dir, "transient.xml")
	if err := os.WriteFile(document, []byte(definitions(t, h.d)["transient"]), 0o644); err != nil {
		t.Fatal(err)
	}
	h.Virsh("undefine transient; create --paused " + document + "; start --paused ran; start --paused discards; start --paused saved; managedsave saved")
	h.Virsh("start --paused external; snapshot-create-as external disks --no-metadata --disk-only --diskspec vda,file=" + at("external", "overlay"))

	h.Virsh("start --paused kept; snapshot-create-as kept disks --disk-only --diskspec vda,file=" + at("kept", "overlay"))

	uri := []string{"--connect", h.URI()}
	in := make(map[string]string)
	for image, want := range map[string]string{
		at("off", "top"): "definition", at("off", "base.img"): "definition", at("off", "free"): "",
		at("ran", "base.img"):  "definition, running XML",
		at("transient", "top"): "running XML", at("transient", "base.img"): "running XML", at("transient", "free"): "",
		at("saved", "base.img"): "definition, managed save image",
		at("past", "top"):       `snapshot "before"`, at("new", "base.img"): "definition", at("new", "free"): "",
		at("external", "top"): "definition, running XML", at("external", "overlay"): "definition, running XML", at("external", "base.img"): "definition, running XML",
		at("off", "gone"): "",
	} {
		who := h.who(image, uri...)
		for _, use := range who.Uses {
			in[image] = strings.Join(use.In, ", ")
		}
		if got := in[image]; got != want || len(who.Uses) > 1 {
			t.Errorf("%s: %q, want %q: %+v", image, got, want, who)
		}
	}
	// What the snapshot has is confirmed by what the guest has now.
	for _, image := range []string{"overlay", "top", "base.img"} {
		who := h.who(at("kept", image), uri...)
		if who.Answer != report.Somebody || slices.ContainsFunc(who.Doubts, func(d report.UseDoubt) bool { return d.Guest == "kept" }) {
			t.Errorf("%s: %+v", image, who)
		}
	}
	// Nothing in the present says what the snapshot's image is: that is a doubt.
	if who := h.who(at("past", "base.img"), uri...); who.Answer != report.NotKnown {
		t.Errorf("below a snapshot: %+v", who)
	}
	// The files say the same.
	from := []string{"--from", h.SystemConfigDir()}
	for image, want := range in {
		who, got := h.who(image, from...), ""
		for _, use := range who.Uses {
			got = strings.Join(use.In, ", ")
		}
		if got != want {
			t.Errorf("%s, by files: %q, want %q: %+v", image, got, want, who)
		}
	}
	h.Virsh("snapshot-delete past before --metadata")
	for _, by := range [][]string{uri, from} {
		if who := h.who(at("off", "free"), by...); who.Answer != report.Nobody || who.Guests != 8 {
			t.Errorf("%+v", who)
		}
	}
	h.deletes(at("off", "free"), at("off", "base.img"), at("external", "free"))
	seen := 0
	for _, guest := range []string{"ran", "transient", "external", "kept", "discards"} {
		for _, path := range h.OpenFiles(guest) {
			if strings.HasPrefix(path, h.Images) {
				seen++
				if who := h.who(path, uri...); who.Answer != report.Somebody {
					t.Errorf("%s has %s open: %+v", guest, path, who)
				}
			}
		}
	}
	if seen < 11 {
		t.Errorf("only %d images are open", seen)
	}
}

// deletes runs the script of the documentation, which must delete the first image and the last,
// and keep the one in the middle.
func (h snapshotHost) deletes(first, kept, last string) {
	h.Helper()
	document, err := os.ReadFile("../../docs/host.md")
	if err != nil {
		h.Fatal(err)
	}
	_, script, found := strings.Cut(string(document), "\n    #!/bin/sh\n")
	script, _, ended := strings.Cut(script, "\n\n")
	if !found || !ended {
		h.Fatal("there is no script in docs/host.md")
	}
	script = strings.ReplaceAll("\n"+script, "\n    ", "\n")[1:]
	cmd := exec.Command("sh", "-c", script, "delete", first, kept, last)
	cmd.Env = append(os.Environ(), "LIBVIRT_DEFAULT_URI="+h.URI(), "PATH="+h.Dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "kept: "+kept+"\n") {
		h.Errorf("%v\n%s", err, out)
	}
	for image, there := range map[string]bool{first: false, kept: true, last: false} {
		if _, err := os.Stat(image); (err == nil) != there {
			h.Errorf("%s: %v\n%s", image, err, out)
		}
	}
}
