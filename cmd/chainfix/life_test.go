package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/testdata/peers"
)

// TestAfterTheFix does common operations on guests of a real libvirt whose chains are
// explicit, with the usual tools, and compares every byte that they see afterwards.
// Where that is not what it should be, chainfix names the guest, and its hints lead to
// the right bytes.
func TestAfterTheFix(t *testing.T) {
	t.Parallel()
	peers.Require(t, "qemu-img", "qemu-io", "qemu-storage-daemon", "virt-clone", "virt-xml", "xmllint")
	here, there := peers.StartLibvirt(t), peers.StartLibvirt(t)
	installProgram(t, here)
	installProgram(t, there)
	images := lifeImages(t)
	apply := []string{"apply", "--state-dir", filepath.Join(here.Dir, "state")}
	var lives []*life
	for n, row := range lifeRows() {
		g := newLife(t, here, there, n, row, images)
		lives = append(lives, g)
		apply = append(apply, g.name("web"))
		if row.unrecorded {
			apply = slices.Insert(apply, 1, "--trust", filepath.Join(g.dir, "middle.qcow2")+"=qcow2")
		}
	}
	here.Share(here.Images)
	for _, g := range lives {
		here.Define(guestWithDisk(g.name("web"), "qcow2", filepath.Join(g.dir, "web.qcow2")))
		g.shell(t, g.row.before)
	}
	if r := runHost(t, here, apply...); r.status != exitDone {
		t.Fatalf("%q: status %d\n%s%s", apply, r.status, r.out, r.errors)
	}
	for _, g := range lives {
		t.Run(g.row.operation+"/"+g.row.does, func(t *testing.T) {
			t.Parallel()
			g.live(t)
		})
	}
}

// lifeImages makes the images of a guest in a folder: web.qcow2, in whose second block
// its guest has written zeros, over middle.qcow2, over base.qcow2.
func lifeImages(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	commands := exec.Command("sh", "-ec", `
		qemu-img create -q -f qcow2 base.qcow2 1M
		qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 middle.qcow2
		qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 web.qcow2
		qemu-io -f qcow2 -c 'write -q -P 0xb0 0 64k' -c 'write -q -P 0xb1 64k 64k' base.qcow2
		qemu-io -f qcow2 -c 'write -q -P 0x22 128k 64k' middle.qcow2
		qemu-io -f qcow2 -c 'write -q -z 64k 64k' -c 'write -q -P 0x33 192k 64k' web.qcow2`)
	commands.Dir = dir
	if out, err := commands.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// life is a row being tested.
type life struct {
	row         lifeRow
	n           int
	dir         string // of its images
	here, there *peers.Libvirt
}

func newLife(t *testing.T, here, there *peers.Libvirt, n int, row lifeRow, images string) *life {
	t.Helper()
	g := &life{row: row, n: n, here: here, there: there}
	// virtinst makes a pool of each folder that it meets, by the folder's name.
	g.dir = filepath.Join(here.Images, fmt.Sprint(n), g.name("images"))
	if err := os.CopyFS(g.dir, os.DirFS(images)); err != nil {
		t.Fatal(err)
	}
	if row.unrecorded {
		(&builder{t: t}).forgetFormat(filepath.Join(g.dir, "web.qcow2"))
	}
	return g
}

// name is the row's own name for a guest or a pool that the documents call otherwise.
func (g *life) name(called string) string { return fmt.Sprintf("%s%d", called, g.n) }

// beside is the path of a folder beside that of the images.
func (g *life) beside(called string) string {
	return filepath.Join(filepath.Dir(g.dir), g.name(called))
}

// host is where the guest is in the end.
func (g *life) host() *peers.Libvirt {
	if g.row.there {
		return g.there
	}
	return g.here
}

// shell runs commands in the folder of the images, as the daemon's user.
func (g *life) shell(t *testing.T, commands string) {
	t.Helper()
	if commands == "" {
		return
	}
	cmd := g.here.Command("sh", "-ec", commands)
	cmd.Dir = g.dir
	cmd.Env = append(cmd.Env, "LC_ALL=C", "images="+g.dir, "new="+g.beside("new"), "backup="+g.beside("backup"),
		"there="+g.there.URI(), "web="+g.name("web"), "copy="+g.name("copy"), "pool="+g.name("pool"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v\n%s", commands, err, out)
	}
}

// live does what the row says, and checks the outcome.
func (g *life) live(t *testing.T) {
	row, web := g.row, g.name("web")
	// All have the same images at first.
	if saw := g.sees(t, g.here, web); saw != row.sawAtFirst() {
		t.Fatalf("%q sees %q before anything is done", web, saw)
	}
	l, guest := g.host(), g.name(row.guest)
	if row.runs {
		if err := g.here.TryStart(web); err != nil {
			t.Fatal(err)
		}
	}
	g.shell(t, row.ready)
	g.shell(t, row.does)
	if row.runs {
		l.End(guest)
	}
	g.shell(t, row.later)

	verdict := row.verdict()
	said := g.scan(t, guest)
	if (verdict == chain.Refused) != (said.status == exitRefused) || said.verdict != verdict.String() || said.codes != string(row.code) {
		t.Errorf("%q is %s: %q, not %s: %q; the scan ends with %d", guest, said.verdict, said.codes, verdict, row.code, said.status)
	}
	if kept, why := g.kept(t, guest); kept != row.kept {
		t.Errorf("the guard keeps %q from starting: %v, %s", guest, kept, why)
	}
	see := g.starts
	if row.runs || row.keeps() {
		see = g.sees // libvirt takes its time until it knows of an end
	}
	if saw := see(t, l, guest); saw != row.seen() && !(row.seen() == doesNotStart && strings.HasPrefix(saw, doesNotStart)) {
		t.Errorf("%q sees %q, not %q", guest, saw, row.seen())
	}
	if row.keeps() {
		return
	}
	if row.mend != "" {
		g.shell(t, row.mend)
		said = g.scan(t, guest)
	}
	g.mend(t, guest, said.flags)
	if saw := g.sees(t, l, guest); saw != row.seenInTheEnd() {
		t.Errorf("once fixed %q sees %q, not %q", guest, saw, row.seenInTheEnd())
	}
}

// saidOfLife is what a scan says of a guest's disk.
type saidOfLife struct {
	status  int // with which it ends
	verdict string
	codes   string   // of what is more than information
	flags   []string // for apply, in the hints
}

func (g *life) scan(t *testing.T, guest string) (said saidOfLife) {
	t.Helper()
	r := runHost(t, g.host(), "scan", "--output", "json", guest)
	var report hostReport
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || len(report.Guests) != 1 || len(report.Guests[0].Disks) != 1 {
		t.Fatalf("%v\n%s%s", err, r.out, r.errors)
	}
	disk := report.Guests[0].Disks[0]
	said.status, said.verdict = r.status, disk.Verdict
	var codes []string
	for _, f := range disk.Findings {
		if f.Severity != "info" {
			codes = append(codes, f.Code)
			said.flags = append(said.flags, flagsIn(f.Hint)...)
		}
	}
	said.codes = strings.Join(codes, " ")
	return said
}

// kept asks the guard of the hook whether the guest may start, as libvirt does before it
// looks at any image.
func (g *life) kept(t *testing.T, guest string) (kept bool, why string) {
	t.Helper()
	l := g.host()
	definition := l.Virsh("dumpxml", "--inactive", guest)
	args := []string{"hook", "--timeout", "1m", guest, "prepare", "begin", "-"}
	if strings.Contains(definition, "<disk type='volume'") {
		args = slices.Insert(args, 1, "--pools", l.PoolDefinitions())
	}
	hook := l.Command(filepath.Join(l.Dir, "chainfix"), args...)
	hook.Stdin = strings.NewReader(definition)
	out, err := hook.CombinedOutput()
	if err != nil && (hook.ProcessState == nil || hook.ProcessState.ExitCode() != exitRefused || !strings.Contains(string(out), "["+string(g.row.code)+"]")) {
		t.Errorf("the hook: %v\n%s", err, out)
	}
	return err != nil, string(out)
}

// mend makes the chain explicit again, as the hints say; following one hint may
// produce another.
func (g *life) mend(t *testing.T, guest string, flags []string) {
	t.Helper()
	for range 3 {
		r := runHost(t, g.host(), slices.Concat([]string{"apply", "--state-dir", g.beside("state")}, flags, []string{guest})...)
		if r.status == exitDone {
			if said := g.scan(t, guest); said.codes != "" || said.verdict != chain.Explicit.String() {
				t.Errorf("after apply %q %q is %s: %q", flags, guest, said.verdict, said.codes)
			}
			if given := strings.Join(flags, " "); slices.Contains(flags, "--refresh") != g.row.refresh() || strings.Contains(given, "--trust") != g.row.word {
				t.Errorf("it took %q to fix %q", flags, guest)
			}
			return
		}
		known := len(flags)
		for _, flag := range flagsIn(r.errors) {
			if !slices.Contains(flags, flag) {
				flags = append(flags, flag)
			}
		}
		if len(flags) == known {
			t.Fatalf("apply %q %q: status %d, and no further hint:\n%s%s", flags, guest, r.status, r.out, r.errors)
		}
	}
	t.Fatalf("apply %q %q does not get to an end", flags, guest)
}

// flagsIn returns what hints say to give to apply. They ask of which of two formats an
// image is; here they all are qcow2.
func flagsIn(hints string) (flags []string) {
	for _, flag := range regexp.MustCompile(`--refresh|--trust=?\s*\S+=qcow2`).FindAllString(hints, -1) {
		flag = strings.Replace(flag, "--trust ", "--trust=", 1)
		if !slices.Contains(flags, flag) {
			flags = append(flags, flag)
		}
	}
	return flags
}

// starts starts the unchanged guest, and returns what it sees.
func (g *life) starts(t *testing.T, l *peers.Libvirt, guest string) string {
	t.Helper()
	if err := l.TryStart(guest); err != nil {
		return doesNotStart + ": " + err.Error()
	}
	options := l.Blockdevs(guest)
	l.End(guest)
	return g.shown(t, options)
}

// sees returns what the guest would see if it started now. An explicit chain is in the
// options of QEMU without a start, if libvirt need not look for a volume.
func (g *life) sees(t *testing.T, l *peers.Libvirt, guest string) string {
	t.Helper()
	document := l.Virsh("dumpxml", "--inactive", guest)
	if strings.Contains(document, "<disk type='volume'") {
		defer l.Try("destroy", guest) // and before, as it may just have ended
		l.Try("destroy", guest)
		return g.starts(t, l, guest)
	}
	options, err := l.NativeBlockdevs(document)
	if err != nil {
		t.Fatal(err)
	}
	return g.shown(t, options)
}

func (g *life) shown(t *testing.T, options []string) string {
	t.Helper()
	content, err := peers.GuestSees(t, options)
	if err != nil {
		return doesNotStart + ": " + err.Error()
	}
	return blocks(content)
}

// blocks says what is on a disk: the byte that fills each of its blocks of 64 KiB, or
// ".." for a block that is not filled by one byte, without the zeros at the end.
func blocks(content []byte) string {
	var all []string
	for block := range slices.Chunk(content, 64<<10) {
		word := fmt.Sprintf("%02x", block[0])
		if slices.ContainsFunc(block, func(b byte) bool { return b != block[0] }) {
			word = ".."
		}
		all = append(all, word)
	}
	for len(all) > 4 && all[len(all)-1] == "00" {
		all = all[:len(all)-1]
	}
	return strings.Join(all, " ")
}
