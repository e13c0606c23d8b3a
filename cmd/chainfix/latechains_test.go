package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// optionally makes a disk one that the guest may start without.
func optionally(disk string) string {
	return strings.Replace(disk, "<source ", "<source startupPolicy='optional' ", 1)
}

// socket makes a socket in the folder.
func socket(t *testing.T, dir string) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

// optionalDisks are faulty disks, by the outcome of the guest if the disk is
// optional: libvirt leaves the disk out if it cannot find out what is in the
// chain. If it or QEMU finds anything wrong later the guest is refused, as it is
// if the disk is not optional.
func optionalDisks() (leftOut, kept []oddChain) {
	const starts, refuses = predict.Starts, predict.Refuses
	character := sinceQEMU("6.0", starts, refuses)
	unrecordedCharacter := oddChain{name: "unrecorded character device", images: files(named("/dev/zero", ""), nil), want: refuses}
	if sinceQEMU("6.0", true, false) {
		unrecordedCharacter.want, unrecordedCharacter.but = predict.Misopens, becomes(starts, noSize)
	}
	unrecorded, corrupt := named("base.img", ""), patched(bytesOf(named("gone", "raw")), 79, 2)
	raw, vpc, ploop := typed("raw"), typed("vpc"), typed("ploop")
	onRaw := files(named("base.img", "raw"), rawDisk)
	overRaw := func(base string) []byte { return bytesOf(named(base, "raw")) }
	leftOut = []oddChain{
		{name: "missing top", images: map[string][]byte{"x": nil}},
		{name: "missing top of an ended chain", images: map[string][]byte{"x": nil}, disk: topDisk + end},
		{name: "missing raw top", images: map[string][]byte{"x": nil}, disk: raw},
		{name: "missing raw top with a chain", images: map[string][]byte{"base.img": rawDisk}, disk: raw + over("base.img", "raw", end)},
		{name: "missing base", images: map[string][]byte{"top": overRaw("base.img")}},
		{name: "missing base of a CD-ROM", attributes: "device='cdrom'", images: map[string][]byte{"top": overRaw("base.img")}},
		{name: "missing base of a top that QEMU refuses", images: map[string][]byte{"top": corrupt}},
		{name: "missing base below a character device", images: onRaw, disk: `<driver name='qemu' type='qcow2'/><source file='/dev/null'/>` + over("gone", "qcow2", over("base.img", "raw", end))},
		{name: "image over itself", images: map[string][]byte{"top": bytesOf(named("top", "qcow2"))}},
		{name: "unrecorded chain", images: files(unrecorded, bytesOf(named("other", "raw")), "other", rawDisk)},
		{name: "recorded cow", images: files(named("base.img", "cow"), rawDisk)},
		{name: "recorded dir", images: files(named("base.img", "dir"), rawDisk)},
		{name: "recorded fat", images: files(named("base.img", "fat"), rawDisk)},
		{name: "unrecorded cow", images: files(unrecorded, patched(rawDisk, 0, []byte("OOOM\x00\x00\x00\x02\x00")...))},
		{name: "AES base", images: files(named("base.img", "qcow2"), patched(qcow2Disk, 35, 1))},
		{name: "201 layers", images: map[string][]byte{"base.img": rawDisk}, prepare: layers(200)},
		{name: "directory", images: map[string][]byte{"top": overRaw("base.img"), "base.img/x": nil}},
		{name: "directory as the top", images: map[string][]byte{"top/x": nil}},
		{name: "socket", images: map[string][]byte{"top": overRaw("socket")}, prepare: socket},
		{name: "fat: name", images: map[string][]byte{"top": bytesOf(named("fat:/tmp", "raw"))}},
		{name: "json: name of no driver", images: map[string][]byte{"top": bytesOf(named(`json:{"driver":"garbage"}`, "raw"))}},

		{name: "explicit missing middle", images: onRaw, disk: topDisk + over("gone", "qcow2", over("base.img", "raw", end))},
		{name: "explicit missing base without an end", images: onRaw, disk: topDisk + over("gone", "raw", "")},
		{name: "explicit directory without an end", images: map[string][]byte{"top": overRaw("base.img"), "base.img/x": nil}, disk: topDisk + over("base.img", "qcow2", "")},
		{name: "explicit image, and a loop below", images: map[string][]byte{"top": bytesOf(named("top", "qcow2"))}, disk: topDisk + over("top", "qcow2", "")},
		{name: "explicit block device that is a file, and nothing below", images: map[string][]byte{"top": bytesOf(named("base.img", "qcow2")), "base.img": bytesOf(named("gone", "raw"))},
			disk: topDisk + `<backingStore type='block'><format type='qcow2'/><source dev='DIR/base.img'/></backingStore>`},
		{name: "explicit missing image below a raw base", images: onRaw, disk: topDisk + over("base.img", "raw", over("gone", "qcow2", over("base.img", "raw", end)))},
		{name: "explicit missing end below a raw base", images: onRaw, disk: topDisk + over("base.img", "raw", over("gone", "raw", ""))},
	}
	kept = []oddChain{
		{name: "base that is none", images: files(named("base.img", "qcow2"), rawDisk), want: refuses},
		{name: "corrupt top", images: map[string][]byte{"top": patched(qcow2Disk, 79, 2)}, want: refuses},
		unrecordedCharacter,
		{name: "character device", images: files(named("/dev/zero", "raw"), nil), want: character},
		{name: "character device as the top", images: map[string][]byte{"x": nil}, disk: `<driver name='qemu' type='qcow2'/><source file='/dev/null'/>`, want: refuses},
		{name: "character device as the raw top", images: map[string][]byte{"x": nil}, disk: `<driver name='qemu' type='raw'/><source file='/dev/full'/>`, want: character},
		{name: "directory as the raw top", images: map[string][]byte{"top/x": nil}, disk: raw, want: refuses},
		{name: "directory as the top of an ended chain", images: map[string][]byte{"top/x": nil}, disk: topDisk + end, want: refuses},
		{name: "qed over an unrecorded server", images: map[string][]byte{"top": bytesOf(mkimage.QED{VirtualSize: attackSize, Backing: "nbd://127.0.0.1:1/x"})}, disk: typed("qed"), want: refuses},

		{name: "explicit missing base", images: onRaw, disk: topDisk + over("gone", "raw", end), want: refuses},
		{name: "explicit character device", images: onRaw, disk: topDisk + strings.Replace(over("null", "raw", end), "DIR/null", "/dev/null", 1), want: character},
		{name: "explicit character device without an end", images: onRaw, disk: topDisk + strings.Replace(over("null", "qcow2", ""), "DIR/null", "/dev/null", 1), want: refuses},
		{name: "explicit directory", images: map[string][]byte{"top": overRaw("base.img"), "base.img/x": nil}, disk: topDisk + over("base.img", "raw", end), want: refuses},
		{name: "explicit socket", images: map[string][]byte{"top": overRaw("socket")}, prepare: socket, disk: topDisk + over("socket", "raw", end), want: refuses},
		{name: "explicit AES base without an end", images: files(named("base.img", "qcow2"), patched(qcow2Disk, 35, 1)), disk: topDisk + over("base.img", "qcow2", ""), want: refuses},
		{name: "explicit top over itself", images: map[string][]byte{"top": bytesOf(named("top", "qcow2"))}, disk: topDisk + over("top", "qcow2", end), want: refuses},
		{name: "explicit image below a raw top", images: map[string][]byte{"top": rawDisk, "base.img": rawDisk}, disk: raw + over("base.img", "raw", end), want: since("11.3", refuses, starts)},
		{name: "explicit missing image below a raw top", images: map[string][]byte{"top": rawDisk}, disk: raw + over("gone", "qcow2", ""), want: refuses},
		{name: "explicit image below a vpc top", images: map[string][]byte{"top": vpcDisk, "base.img": rawDisk}, disk: vpc + over("base.img", "raw", end), want: refuses},
		{name: "explicit image below a ploop top", images: map[string][]byte{"top": ploopDisk, "base.img": rawDisk}, disk: ploop + over("base.img", "raw", end), want: refuses},
		{name: "explicit image below a raw base", images: files(named("base.img", "raw"), rawDisk, "other", rawDisk), disk: topDisk + over("base.img", "raw", over("other", "raw", end)), want: since("11.3", refuses, starts)},
		{name: "explicit missing end below a raw base that ends the chain", images: onRaw, disk: topDisk + over("base.img", "raw", over("gone", "raw", end)), want: refuses},
		{name: "left over overlay", images: files(named("base.img", "raw"), rawDisk), disk: topDisk + "<transient/>", prepare: leftover("top"), want: leftoverWanted()},
	}
	// 7.0 finds out when it makes QEMU's command line.
	if luks := (oddChain{name: "unrecorded luks", images: files(unrecorded, luksDisk), want: refuses}); since("9.0", true, false) {
		kept = append(kept, luks)
	} else {
		leftOut = append(leftOut, luks)
	}
	for i := range leftOut {
		leftOut[i].want = starts
	}
	return leftOut, kept
}

// TestOptionalDiskIsPredicted starts a guest with each optional disk. A disk that
// is left out refuses the guest if it is not optional.
func TestOptionalDiskIsPredicted(t *testing.T) {
	l := peers.StartLibvirt(t)
	peers.Require(t, "qemu-img", "qemu-storage-daemon")
	leftOut, kept := optionalDisks()
	for n, c := range append(slices.Clone(leftOut), kept...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			isLeftOut, needed := n < len(leftOut), c.want
			if isLeftOut {
				needed = predict.Refuses
			}
			guest := fmt.Sprintf("optional%d", n)
			dir := filepath.Join(l.Images, guest)
			c.write(t, dir)
			l.Share(dir)
			if c.disk == "" {
				c.disk = topDisk
			}
			if p := predictDocument(t, c.document(guest, dir)); p.Outcome != needed {
				t.Errorf("predicted if it is not optional: %+v, not %s", p, needed)
			}
			c.disk = optionally(c.disk)
			document := c.document(guest, dir)
			predicted := predictDocument(t, document)
			l.Define(document)
			outcome, said := predict.Starts, ""
			if err := l.TryStart(guest); err != nil {
				outcome, said = predict.Refuses, err.Error()
			} else {
				if options := l.Blockdevs(guest); (len(options) == 0) != isLeftOut {
					said = fmt.Sprintf("the disk's nodes: %q", options)
				}
				l.End(guest)
			}
			if predicted.Outcome != c.want || outcome != c.outcome() || outcome == predict.Starts && said != "" {
				t.Errorf("want %s, predicted: %s %q, outcome: %s %s", c.want, predicted.Outcome, predicted.Reason, outcome, said)
			}
			if left := strings.Contains(predicted.Reason, "without the disk, which is optional: "); left != isLeftOut {
				t.Errorf("predicted words: %s", predicted.Reason)
			}
			if outcome == predict.Refuses && !saidBy(said, predicted.Reason) {
				t.Errorf("predicted words: %s\nlibvirt's: %s", predicted.Reason, said)
			}
		})
	}
}

// leftover makes the overlay that libvirt makes for a transient disk of the
// guest after which the folder is called.
func leftover(image string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		if err := os.WriteFile(overlayOf(dir, image), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// leftoverWanted is the outcome of the guest of such a disk.
func leftoverWanted() predict.Outcome {
	return since("9.0", predict.Starts, since("11.3", predict.Refuses, predict.Starts))
}

func overlayOf(dir, image string) string {
	return filepath.Join(dir, image+".TRANSIENT-"+filepath.Base(dir))
}

// TestLeftoverOfTransientDiskIsPredicted: libvirt 9.0 starts no guest whose
// transient disk has an overlay already. Newer ones make a new one of it, and 7.0
// takes no notice.
func TestLeftoverOfTransientDiskIsPredicted(t *testing.T) {
	l := peers.StartLibvirt(t)
	peers.Require(t, "qemu-img", "qemu-storage-daemon")
	const starts, refuses = predict.Starts, predict.Refuses
	transient := topDisk + "<transient/>"
	linked := strings.Replace(transient, "DIR/top", "DIR/link", 1)
	link := map[string]string{"link": "top"}
	onRaw := files(named("base.img", "raw"), rawDisk)
	left, blocked := leftoverWanted(), since("9.0", starts, refuses)
	for n, c := range []oddChain{
		{name: "no overlay", disk: transient, images: onRaw, want: starts},
		{name: "overlay", disk: transient, images: onRaw, prepare: leftover("top"), want: left},
		{name: "overlay of a disk that is not transient", images: onRaw, prepare: leftover("top"), want: starts},
		{name: "overlay of a raw image", disk: typed("raw") + "<transient/>", images: map[string][]byte{"top": rawDisk}, prepare: leftover("top"), want: left},
		{name: "overlay of an explicit chain", disk: topDisk + over("base.img", "raw", end) + "<transient/>", images: onRaw, prepare: leftover("top"), want: left},
		{name: "overlay of a disk that shares its backing image", disk: topDisk + "<transient shareBacking='yes'/>", images: onRaw, prepare: leftover("top"), want: left},
		{name: "overlay of the image that a link leads to", disk: linked, images: onRaw, links: link, prepare: leftover("top"), want: starts},
		{name: "overlay of the link", disk: linked, images: onRaw, links: link, prepare: leftover("link"), want: left},
		{name: "directory", disk: transient, images: onRaw, want: blocked, prepare: func(t *testing.T, dir string) {
			if err := os.Mkdir(overlayOf(dir, "top"), 0o755); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "link to nothing", disk: transient, images: onRaw, want: starts, prepare: func(t *testing.T, dir string) {
			if err := os.Symlink("nothing", overlayOf(dir, "top")); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "overlay of another guest", disk: transient, images: onRaw, want: starts, prepare: making("top.TRANSIENT-other", func(path string) error {
			return os.WriteFile(path, nil, 0o644)
		})},
		{name: "missing base", disk: transient, images: map[string][]byte{"top": onRaw["top"]}, prepare: leftover("top"), want: refuses},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			guest := fmt.Sprintf("transient%d", n)
			dir := filepath.Join(l.Images, guest)
			c.write(t, dir)
			l.Share(dir)
			// A disk that shares its backing image is plugged in, which takes ACPI.
			document := strings.Replace(c.document(guest, dir), "<devices>", "<features><acpi/></features><devices>", 1)
			predicted := predictDocument(t, document)
			outcome, said := c.start(t, l, guest, dir, document)
			if predicted.Outcome != c.want || outcome != c.want {
				t.Errorf("want %s, predicted: %s %q, outcome: %s %s", c.want, predicted.Outcome, predicted.Reason, outcome, said)
			}
			if outcome == refuses && !saidBy(said, predicted.Reason) {
				t.Errorf("predicted words: %s\nlibvirt's: %s", predicted.Reason, said)
			}
			// While the guest runs nothing is left over.
			l.Try("destroy", guest)
		})
	}
}
