package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/testdata/peers"
)

// volumeRow is a guest whose disk is a volume, most often.
type volumeRow struct {
	guest  string
	images map[string][]byte
	disk   string
	below  []string // the <source> elements that apply writes, top first
}

// volumeRows are guests with their images in dir. Headers name images absolutely, so
// that nothing but the XML can find them once they were moved.
func volumeRows(dir string) []volumeRow {
	overlay := func(name, format string) []byte { return bytesOf(named(filepath.Join(dir, name), format)) }
	volume := func(name string) string { return "<source pool='pool' volume='" + name + "'/>" }
	file := func(name string) string { return "<source file='" + filepath.Join(dir, name) + "'/>" }
	return []volumeRow{
		{"volumes", map[string][]byte{"pool/top": overlay("pool/middle", "qcow2"), "pool/middle": overlay("pool/base", "raw"), "pool/base": rawDisk},
			volumeSource("top", "qcow2"), []string{volume("middle"), volume("base")}},
		{"relative", map[string][]byte{"pool/relative": bytesOf(named("../pool/base", ""))},
			volumeSource("relative", "qcow2"), []string{volume("base")}},
		{"elsewhere", map[string][]byte{"pool/over-elsewhere": overlay("elsewhere/middle", "qcow2"), "elsewhere/middle": overlay("pool/base", "raw")},
			volumeSource("over-elsewhere", "qcow2"), []string{file("elsewhere/middle"), volume("base")}},
		{"other-pool", map[string][]byte{"pool/over-other": overlay("other/base", "raw"), "other/base": rawDisk},
			volumeSource("over-other", "qcow2"), []string{file("other/base")}},
		{"not-refreshed", map[string][]byte{"pool/over-late": overlay("pool/late", "raw")},
			volumeSource("over-late", "qcow2"), []string{file("pool/late")}},
		{"inactive", map[string][]byte{"inactive/top": overlay("inactive/base", "raw"), "inactive/base": rawDisk},
			"<driver name='qemu' type='qcow2'/><source pool='inactive' volume='top'/>", []string{file("inactive/base")}},
		{"file", map[string][]byte{"pool/file": overlay("pool/base", "raw")},
			"<driver name='qemu' type='qcow2'/>" + file("pool/file"), []string{file("pool/base")}},
	}
}

// sourcesBelow are the <source> elements of a definition below the first one.
func sourcesBelow(definition string) (sources []string) {
	for line := range strings.Lines(definition) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "<source ") {
			sources = append(sources, line)
		}
	}
	return sources[1:]
}

// TestVolumesStayVolumes: below a volume, apply names as a volume what libvirt has in
// the same pool now, and nothing else. Such a guest starts after the pool was moved,
// although the headers name where it was; one with paths does not.
func TestVolumesStayVolumes(t *testing.T) {
	t.Parallel()
	l := peers.StartLibvirt(t)
	installProgram(t, l)
	rows := volumeRows(l.Images)
	in := func(name string) string { return filepath.Join(l.Images, name) }
	for _, pool := range []string{"pool", "other", "inactive", "elsewhere"} {
		if err := os.Mkdir(in(pool), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var guests []string
	for _, r := range rows {
		guests = append(guests, r.guest)
		for name, image := range r.images {
			writeFile(t, in(name), image)
		}
		kind := "volume"
		if r.guest == "file" {
			kind = "file"
		}
		l.Define(peers.SmallGuest(r.guest, "<disk type='"+kind+"' device='disk'>"+r.disk+"<target dev='vda' bus='virtio'/></disk>"))
	}
	l.Share(l.Images)
	for _, pool := range []string{"pool", "other", "inactive"} {
		l.StartPool(pool, "<pool type='dir'><name>"+pool+"</name><target><path>"+in(pool)+"</path></target></pool>")
	}
	l.Virsh("pool-destroy", "inactive")
	writeFile(t, in("pool/late"), rawDisk)
	l.Share(in("pool"))

	// Without libvirt no volumes are named.
	stored, err := l.Command("sh", "-c", "virsh dumpxml --inactive volumes | chainfix --pools "+l.PoolDefinitions()).Output()
	if want := []string{"<source file='" + in("pool/middle") + "'/>", "<source file='" + in("pool/base") + "'/>"}; err != nil || !slices.Equal(sourcesBelow(string(stored)), want) {
		t.Errorf("without libvirt: %v\n%s", err, stored)
	}
	l.Define(withPaths(string(stored)))

	if r := runHost(t, l, append([]string{"apply", "--state-dir", filepath.Join(l.Dir, "state")}, guests...)...); r.status != exitDone {
		t.Fatalf("apply: status %d\n%s%s", r.status, r.out, r.errors)
	}
	for _, r := range rows {
		if is := sourcesBelow(l.Virsh("dumpxml", "--inactive", r.guest)); !slices.Equal(is, r.below) {
			t.Errorf("%s: below its own image\n%q, want\n%q", r.guest, is, r.below)
		}
	}
	if r := runHost(t, l, append([]string{"scan"}, guests...)...); r.status != exitDone {
		t.Errorf("scan: status %d\n%s", r.status, r.errors)
	}

	l.Virsh("pool-destroy", "pool")
	l.Virsh("pool-undefine", "pool")
	if err := os.Rename(in("pool"), in("moved")); err != nil {
		t.Fatal(err)
	}
	l.StartPool("pool", "<pool type='dir'><name>pool</name><target><path>"+in("moved")+"</path></target></pool>")
	l.Virsh("start", "--paused", "volumes")
	files, err := peers.Filenames(l.Blockdevs("volumes"))
	slices.Sort(files)
	if want := []string{in("moved/base"), in("moved/middle"), in("moved/top")}; err != nil || !slices.Equal(files, want) {
		t.Errorf("after the move QEMU opens %q, %v; want %q", files, err, want)
	}
	if out, err := l.Try("start", "--paused", "paths"); err == nil {
		t.Errorf("with paths the guest starts: %s", out)
	}
}

// withPaths is the definition of another guest with the same disk.
func withPaths(definition string) string {
	definition = strings.Replace(definition, "<name>volumes<", "<name>paths<", 1)
	before, rest, _ := strings.Cut(definition, "<uuid>")
	_, after, _ := strings.Cut(rest, "</uuid>")
	return before + after
}
