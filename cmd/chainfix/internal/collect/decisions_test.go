package collect

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/probe/mkimage"
)

const virtualSize = 1 << 20

// decisionsOf are the decisions about the guests of a folder, whose XML has DIR in the place of
// the images' folder. The images are overlays: the name of the backing image, "" for none,
// then a space and the recorded format, if there is one.
func decisionsOf(t *testing.T, images map[string]string, guests []string, policy chain.Policy) (all []report.Decision, dir string) {
	t.Helper()
	dir = t.TempDir()
	definitions := filepath.Join(dir, "definitions")
	if err := os.Mkdir(definitions, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, backing := range images {
		named, recorded, _ := strings.Cut(backing, " ")
		data, err := mkimage.Qcow2{VirtualSize: virtualSize, Backing: named, BackingFormat: recorded}.Bytes()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, disk := range guests {
		text := fmt.Sprintf("<domain type='kvm'><name>guest%02d</name><uuid>00000000-0000-4000-8000-%012d</uuid><os><type>hvm</type></os><devices>%s</devices></domain>",
			i, i, strings.ReplaceAll(disk, "DIR", dir))
		if err := os.WriteFile(filepath.Join(definitions, fmt.Sprintf("guest%02d.xml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	collector := NewCollector(report.Run{}, libvirt.Version{})
	scan := &host.Scan{Inventory: host.FolderAt(definitions), Policy: policy}
	for r, err := range scan.Reports(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		collector.Add(r)
	}
	found := collector.End()
	names := make(map[string]string)
	for _, image := range found.Images {
		names[image.Key] = image.Name
	}
	for i := range found.Decisions {
		if d := &found.Decisions[i]; d.Image != "" {
			d.Image = names[d.Image]
		}
	}
	return found.Decisions, dir
}

// qcow2Disk is a disk of a guest whose own image is the one of this name.
func qcow2Disk(image string) string {
	return "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='DIR/" + image + "'/><target dev='vda' bus='virtio'/></disk>"
}

// TestDecisionsAreMerged: several guests that wait for the same answer get one
// question, with all evidence for and against, and the question that most wait for
// comes first.
func TestDecisionsAreMerged(t *testing.T) {
	rawDisk := strings.ReplaceAll(qcow2Disk("forged"), "'qcow2'", "'raw'")
	kept := strings.Replace(qcow2Disk("flat"), "<target", "<backingStore type='file'><format type='qcow2'/><source file='DIR/system.qcow2'/><backingStore/></backingStore><target", 1)
	all, dir := decisionsOf(t, map[string]string{
		"system.qcow2": "", "flat": "",
		"base.qcow2": "system.qcow2 qcow2", "a": "base.qcow2", "b": "./base.qcow2", "c": "base.qcow2",
		"forged": "/etc/shadow raw", "d": "forged",
		"e": "gone raw", "f": "gone raw",
	}, []string{qcow2Disk("d"), rawDisk, qcow2Disk("e"), qcow2Disk("f"), qcow2Disk("a"), qcow2Disk("b") + strings.ReplaceAll(qcow2Disk("c"), "vda", "vdb"), qcow2Disk("c"), kept}, chain.Policy{})
	in := func(text string) string { return strings.ReplaceAll(text, "DIR", dir) }
	const length = "it is 256 KiB long, but its overlay's disk is 1 MiB; a raw image usually has the same length"
	want := []report.Decision{
		{Code: "probed-backing", Image: in("DIR/base.qcow2"), Name: in("DIR/base.qcow2"), Question: in(`what is "DIR/base.qcow2"? its format is not recorded`),
			Claims: `qcow2 of 1 MiB with the backing image "system.qcow2"`, For: []string{`its name ends in ".qcow2"`, length}, Against: []string{},
			Answers: []report.Answer{{Format: "raw", Flag: in("--trust DIR/base.qcow2=raw")}, {Format: "qcow2", Flag: in("--trust DIR/base.qcow2=qcow2")},
				{Command: in("qemu-img rebase -u -f qcow2 -F qcow2 -b base.qcow2 DIR/a")}, {Command: in("qemu-img rebase -u -f qcow2 -F qcow2 -b ./base.qcow2 DIR/b")},
				{Command: in("qemu-img rebase -u -f qcow2 -F qcow2 -b base.qcow2 DIR/c")}},
			Guests: []string{"guest04", "guest05", "guest06"}},
		{Code: "image-missing", Image: in("DIR/gone"), Name: in("DIR/gone"), Question: in(`"DIR/gone" does not exist`), For: []string{}, Against: []string{},
			Answers: []report.Answer{{Command: in("qemu-img rebase -u -f qcow2 -F raw -b NAME DIR/e")}, {Command: in("qemu-img rebase -u -f qcow2 -F raw -b NAME DIR/f")}},
			Guests:  []string{"guest02", "guest03"}},
		{Code: "raw-disk-elsewhere", Image: in("DIR/forged"), Name: in("DIR/forged"), Question: in(`what is "DIR/forged"? its format is not recorded`),
			Claims: `qcow2 of 1 MiB with the backing image "/etc/shadow"`, For: []string{length},
			Against: []string{`it is or was the raw disk "vda" of the guest "guest01", which may have written its header`},
			Answers: []report.Answer{{Format: "raw", Flag: in("--trust DIR/forged=raw")}}, Guests: []string{"guest00"}},
		{Code: "chain-stale", Image: in("DIR/flat"), Name: in("DIR/flat"), Claims: "qcow2 of 1 MiB", For: []string{}, Against: []string{},
			Answers: []report.Answer{{Flag: "--refresh"}, {Flag: "--keep-xml", Keep: []string{in("DIR/flat")}}}, Guests: []string{"guest07"}},
	}
	for i := range all {
		if all[i].Hint == "" {
			t.Errorf("%s: no hint", all[i].Question)
		}
		all[i].Hint = ""
		if all[i].Code == "chain-stale" {
			all[i].Question = "" // the finding's own words
		}
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
