package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// hostGuest is a guest of TestHost.
type hostGuest struct {
	oddChain        // its first disk
	more     string // other disks, with DIR for the folder

	verdict string
	finding finding.Code // that there must be; "" for any
	// after is the outcome of a fixable guest once it is fixed. For most that
	// is Starts.
	after predict.Outcome

	// state brings the guest, whose definition is there, into a state.
	state func(t *testing.T, l *peers.Libvirt, guest, dir string)
	held  bool // it must not be changed now, or not without being named, for another reason than that it misopens
	busy  bool // it runs, or would not start from its definition
	alone bool // it writes to an image that others read
	// probes is the image outside of the guest's folder that libvirt probes.
	probes string
}

// hostGuests are guests of all kinds, but for those in which only the images
// differ: of these a sample will do, by the names of TestPredictionIsOutcome.
func hostGuests() []hostGuest {
	const starts, refuses, misopens = predict.Starts, predict.Refuses, predict.Misopens
	byName := make(map[string]oddChain)
	for _, c := range oddChains() {
		byName[c.name] = c
	}
	var all []hostGuest
	sample := func(verdict string, names ...string) {
		for _, name := range names {
			c, ok := byName[name]
			if !ok {
				panic("no chain " + name)
			}
			all = append(all, hostGuest{oddChain: c, verdict: verdict})
		}
	}
	all = append(all, hostGuest{oddChain: byName["30 layers"], verdict: "fixable", after: nested(starts, refuses)})
	sample("fixable", "raw", "qcow2", "three layers", "unrecorded raw", "unrecorded qcow2", "unrecorded vdi",
		"recorded file over raw", "qed over qcow2", "json: name", "cdrom", "explicit without an end", "name with markup", "symbolic link to the base")
	sample("fixable", "recorded none", "vmdk over vmdk over vmdk")                 // libvirt refuses them unchanged, or did
	sample("fixable", "unrecorded vhdx", "recorded garbage over vhdx", "far name") // and shows these guests something else
	all = append(all, hostGuest{oddChain: byName["corrupt top"], verdict: "fixable", after: refuses},
		// Only by name.
		hostGuest{oddChain: byName["raw over a forged qcow2"], verdict: "fixable", finding: finding.RawWithSignature, held: true},
		hostGuest{oddChain: byName["unrecorded .qcow2 without a header"], verdict: "fixable", finding: finding.NameContradicts, held: true})
	sample("explicit", "explicit", "explicit moved image", "vhd top", "no driver type over raw", "raw top with a forged header", "missing raw top", "empty cdrom",
		"missing optional top")
	sample("refused", "CVE-2008-2004 qcow2", "unrecorded qcow2 over a raw image", "missing base", "image over itself", "qcow2 that is none", "AES base", "directory",
		"file: name")
	sample("refused", "CVE-2022-47951", "vpc differencing", "explicit chain of a flattened top", "explicit other image", "explicit raw for a recorded qcow2")
	sample("refused", "name with a NUL", "vmdk with extents") // libvirt starts them all the same
	sample(since("10.10", "refused", "fixable"), "data file")

	overRaw := files(named("base.img", "raw"), rawDisk)
	second := `<disk type='file' device='%s'><driver name='qemu' type='%s'/><source file='DIR/%s'/><target dev='%s' bus='%s'/></disk>`
	with := func(name, disk string, images map[string][]byte) oddChain {
		return oddChain{name: name, disk: disk, images: images, truth: nil, want: starts}
	}
	own := func(name string, images map[string][]byte) oddChain { return with(name, "", images) }
	return append(all,
		// Disks of all kinds, and none.
		hostGuest{oddChain: oddChain{name: "no disks", disk: "-", want: starts}, verdict: "explicit"},
		hostGuest{oddChain: own("two disks", files(named("base.img", "raw"), rawDisk, "data.qcow2", qcow2Disk)), verdict: "fixable",
			more: fmt.Sprintf(second, "disk", "qcow2", "data.qcow2", "vdb", "virtio")},
		hostGuest{oddChain: own("a disk and a CD", files(named("base.img", "raw"), rawDisk, "cd.iso", rawDisk)), verdict: "fixable",
			more: fmt.Sprintf(second, "cdrom", "raw", "cd.iso", "hda", "ide") + `<disk type='file' device='cdrom'><target dev='hdb' bus='ide'/></disk>`},
		hostGuest{oddChain: oddChain{name: "one good disk and one refused", images: files(named("base.img", "raw"), rawDisk, "bad.qcow2", bytesOf(named("middle", "")),
			"middle", bytesOf(named("base.img", "raw"))), want: refuses}, verdict: "refused", finding: finding.ProbedBacking,
			more: fmt.Sprintf(second, "disk", "qcow2", "bad.qcow2", "vdb", "virtio")},
		hostGuest{oddChain: with("transient disk", topDisk+"<transient/>", overRaw), verdict: "fixable"},
		hostGuest{oddChain: with("read-only disk", topDisk+"<readonly/>", overRaw), verdict: "fixable"},

		// Two guests over one base.
		hostGuest{oddChain: oddChain{name: "first over a shared base", images: map[string][]byte{"top": bytesOf(named("../shared.img", ""))}, want: starts}, verdict: "fixable"},
		hostGuest{oddChain: oddChain{name: "second over a shared base", images: map[string][]byte{"top": bytesOf(named("../shared.img", ""))}, want: starts}, verdict: "fixable"},

		// What one guest says of another one's base.
		hostGuest{oddChain: with("writer of a raw disk", `<driver name='qemu' type='raw'/><source file='DIR/../written.img'/>`, map[string][]byte{"x": nil}), verdict: "explicit", alone: true},
		hostGuest{oddChain: own("over the writer's disk", map[string][]byte{"top": bytesOf(named("../written.img", ""))}), verdict: "refused", finding: finding.RawDiskElsewhere},
		hostGuest{oddChain: with("whose definition states a base", topDisk+over("../stated.img", "qcow2", over("../shared.img", "raw", end)),
			map[string][]byte{"top": bytesOf(named("../stated.img", ""))}), verdict: "explicit"},
		hostGuest{oddChain: oddChain{name: "over the stated base", images: map[string][]byte{"top": bytesOf(named("../stated.img", ""))}, want: refuses}, verdict: "refused", finding: finding.ProbedBacking},
		hostGuest{oddChain: with("whose snapshot had a raw disk", `<driver name='qemu' type='raw'/><source file='DIR/../snapshotted.img'/>`, map[string][]byte{"x": nil}), verdict: "fixable",
			finding: finding.RawWithSignature, held: true, state: snapshotted("--disk-only", "--diskspec", "vda,file=DIR/overlay")},
		hostGuest{oddChain: own("over the snapshot's raw disk", map[string][]byte{"top": bytesOf(named("../snapshotted.img", ""))}), verdict: "refused", finding: finding.RawDiskElsewhere},
		hostGuest{oddChain: with("whose snapshot had a qcow2 disk", `<driver name='qemu' type='qcow2'/><source file='DIR/../told.img'/>`, map[string][]byte{"x": nil}), verdict: "fixable",
			state: snapshotted("--disk-only", "--diskspec", "vda,file=DIR/overlay")},
		hostGuest{oddChain: oddChain{name: "over the snapshot's qcow2 disk", images: map[string][]byte{"top": bytesOf(named("../told.img", ""))}, want: refuses}, verdict: "refused", finding: finding.ProbedBacking},
		hostGuest{oddChain: with("whose own disk is a base", `<driver name='qemu' type='qcow2'/><source file='DIR/../own.img'/><readonly/>`, map[string][]byte{"x": nil}), verdict: "fixable"},
		hostGuest{oddChain: oddChain{name: "over the other's own disk", images: map[string][]byte{"top": bytesOf(named("../own.img", ""))}, want: refuses}, verdict: "fixable", finding: finding.StatedElsewhere},

		// States.
		hostGuest{oddChain: with("internal snapshot", "", map[string][]byte{"top": qcow2Disk}), verdict: "fixable", state: snapshotted()},
		hostGuest{oddChain: own("running", overRaw), verdict: "fixable", busy: true, state: running},
		hostGuest{oddChain: own("running, with a disk-only snapshot", overRaw), verdict: "fixable", busy: true, state: func(t *testing.T, l *peers.Libvirt, guest, dir string) {
			running(t, l, guest, dir)
			snapshotted("--disk-only")(t, l, guest, dir)
		}},
		hostGuest{oddChain: own("running, with a block job", files(named("base.img", "qcow2"), qcow2Disk)), verdict: "fixable", finding: finding.BlockJob, busy: true, held: true,
			state: func(t *testing.T, l *peers.Libvirt, guest, dir string) {
				running(t, l, guest, dir)
				l.Virsh("blockpull", guest, "vda", "1", "--bytes")
			}},
		hostGuest{oddChain: own("saved", overRaw), verdict: "fixable", finding: finding.ManagedSave, busy: true, held: true, state: func(t *testing.T, l *peers.Libvirt, guest, dir string) {
			running(t, l, guest, dir)
			l.Virsh("managedsave", guest)
		}},

		// Volumes of a pool, which is the folder of them all.
		hostGuest{oddChain: volumeDisk("volume over raw", "over-raw", "qcow2", starts), verdict: "fixable", probes: "volume.img"},
		hostGuest{oddChain: volumeDisk("raw volume", "shared.img", "raw", starts), verdict: "explicit", alone: true},
		hostGuest{oddChain: volumeDisk("volume over a chain", "over-chain", "qcow2", refuses), verdict: "refused", finding: finding.ProbedBacking},
		hostGuest{oddChain: volumeDisk("volume that is not there", "absent", "qcow2", refuses), verdict: "refused"},
		hostGuest{oddChain: volumeDisk("volume that misses its base", "over-nothing", "qcow2", refuses), verdict: "refused"},
		hostGuest{oddChain: oddChain{name: "volume over vhdx", kind: "volume", disk: volumeSource("over-vhdx", "qcow2"), want: misopens, truth: rawDisk}, verdict: "fixable"},
	)
}

// safe reports whether apply may change the guest without its name.
func (g hostGuest) safe() bool {
	return g.verdict == "fixable" && !g.held && g.want != predict.Misopens
}

func volumeDisk(name, volume, format string, want predict.Outcome) oddChain {
	return oddChain{name: name, kind: "volume", disk: volumeSource(volume, format), want: want}
}

func volumeSource(volume, format string) string {
	return fmt.Sprintf("<driver name='qemu' type='%s'/><source pool='pool' volume='%s'/>", format, volume)
}

// sharedImages are those in the folder above the guests' own.
func sharedImages() map[string][]byte {
	return map[string][]byte{
		"shared.img": rawDisk, "written.img": qcow2Disk, "stated.img": bytesOf(named("shared.img", "raw")),
		"snapshotted.img": qcow2Disk, "told.img": bytesOf(named("shared.img", "raw")), "own.img": bytesOf(named("shared.img", "raw")),
		"over-raw": bytesOf(named("volume.img", "")), "volume.img": rawDisk, "over-vhdx": bytesOf(named("volume.vhdx.img", "")), "volume.vhdx.img": vhdxDisk,
		"over-chain": bytesOf(named("stated.volume", "")), "stated.volume": bytesOf(mkimage.Qcow2{VirtualSize: attackSize, Backing: "volume.img", BackingFormat: "raw"}),
		"over-nothing": bytesOf(named("nothing.img", "raw")),
	}
}

func running(t *testing.T, l *peers.Libvirt, guest, _ string) { l.Virsh("start", "--paused", guest) }

func snapshotted(options ...string) func(*testing.T, *peers.Libvirt, string, string) {
	return func(t *testing.T, l *peers.Libvirt, guest, dir string) {
		args := []string{"snapshot-create-as", guest, "before"}
		for _, o := range options {
			args = append(args, strings.ReplaceAll(o, "DIR", dir))
		}
		l.Virsh(args...)
	}
}

// definition is the guest's, with its images in dir.
func (g hostGuest) definition(guest, dir string) string {
	document := g.document(guest, dir)
	if g.disk == "-" {
		before, rest, _ := strings.Cut(document, "<disk ")
		_, after, _ := strings.Cut(rest, "</disk>\n")
		document = before + after
	}
	return strings.Replace(document, "<controller ", strings.ReplaceAll(g.more, "DIR", dir)+"<controller ", 1)
}

// hostOf makes a host of the guests, on a private daemon.
func hostOf(t *testing.T, all []hostGuest) (l *peers.Libvirt, names []string) {
	t.Helper()
	peers.Require(t, "qemu-img", "qemu-storage-daemon")
	l = peers.StartLibvirt(t)
	installProgram(t, l)
	for name, content := range sharedImages() {
		writeFile(t, filepath.Join(l.Images, name), content)
	}
	for n, g := range all {
		names = append(names, fmt.Sprintf("g%02d", n))
		g.write(t, filepath.Join(l.Images, names[n]))
	}
	l.Share(l.Images)
	l.StartPool("pool", "<pool type='dir'><name>pool</name><target><path>"+l.Images+"</path></target></pool>")
	var script strings.Builder
	for n, g := range all {
		file := filepath.Join(l.Dir, names[n]+".xml")
		writeFile(t, file, []byte(g.definition(names[n], filepath.Join(l.Images, names[n]))))
		fmt.Fprintf(&script, "define %s; ", file)
	}
	l.Virsh(script.String())
	for n, g := range all {
		if g.state != nil {
			g.state(t, l, names[n], filepath.Join(l.Images, names[n]))
		}
	}
	return l, names
}
