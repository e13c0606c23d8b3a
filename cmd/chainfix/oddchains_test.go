package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

const (
	topDisk = `<driver name='qemu' type='qcow2'/><source file='DIR/top'/>`
	end     = `<backingStore/>`
)

// over is a <backingStore> for an image of the folder.
func over(name, format, below string) string {
	return fmt.Sprintf(`<backingStore type='file'><format type='%s'/><source file='DIR/%s'/>%s</backingStore>`, format, name, below)
}

// payload is what the base of every chain holds, at the start of its disk.
var payload = bytes.Repeat([]byte("the guest's bytes and no others "), 2048)

// disk fills content up to the size of the disk.
func disk(content []byte) []byte {
	return append(bytes.Clone(content), make([]byte, attackSize-len(content))...)
}

// patched changes bytes of an image.
func patched(image []byte, off int, b ...byte) []byte {
	image = bytes.Clone(image)
	copy(image[off:], b)
	return image
}

func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

var (
	rawDisk   = disk(payload)
	qcow2Disk = bytesOf(mkimage.Qcow2{VirtualSize: attackSize, Data: payload})
	qcowDisk  = bytesOf(mkimage.Qcow{VirtualSize: attackSize, Data: payload})
	qedDisk   = bytesOf(mkimage.QED{VirtualSize: attackSize, Data: payload})
	vmdkDisk  = bytesOf(mkimage.VMDK{VirtualSize: attackSize, Data: payload})
	vdiDisk   = bytesOf(mkimage.VDI{VirtualSize: attackSize, Data: payload})
	vpcDisk   = bytesOf(mkimage.VPC{VirtualSize: attackSize, Data: payload})
	vpcFixed  = bytesOf(mkimage.VPC{VirtualSize: attackSize, Data: payload, Fixed: true})
	vhdxDisk  = bytesOf(mkimage.VHDX{VirtualSize: attackSize, Data: payload})
	ploopDisk = bytesOf(mkimage.Parallels{VirtualSize: attackSize, Data: payload})
	luksDisk  = bytesOf(mkimage.LUKS1{VirtualSize: attackSize})
	textVMDK  = bytesOf(mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Sectors: attackSize / 512, Name: "secret"}}})
)

// files are the images of a folder: the top over a base, and what else there is.
func files(top mkimage.Qcow2, base []byte, more ...any) map[string][]byte {
	all := map[string][]byte{"top": bytesOf(top), "base.img": base}
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1].([]byte)
	}
	return all
}

// far is an overlay with its backing image's name after the bytes that libvirt
// reads.
func far(clusterBits uint, format string) mkimage.Qcow2 {
	q := named("base.img", format)
	q.ClusterBits, q.Extensions = clusterBits, []mkimage.Extension{{Type: 0x12345678, Data: make([]byte, 34000)}}
	return q
}

// extended is an overlay that holds extensions.
func extended(format string, extensions ...mkimage.Extension) mkimage.Qcow2 {
	q := named("base.img", format)
	q.Extensions = extensions
	return q
}

func withData(name string) mkimage.Qcow2 {
	return mkimage.Qcow2{VirtualSize: attackSize, DataFile: name}
}

// behindRecord is an overlay with its data file's name after a record of 3 bytes.
func behindRecord(name string) mkimage.Qcow2 {
	q := named("base.img", "raw")
	q.DataFile = name
	return q
}

// slicedDisk is a top that is a part of a file.
var slicedDisk = fmt.Sprintf(`<driver name='qemu' type='qcow2'/><source file='DIR/top'><slices><slice type='storage' offset='%d' size='%d'/></slices></source>`,
	sliceAt, len(bytesOf(named("base.img", "raw"))))

const sliceAt = 1 << 16

// put writes an image whose names are known only with the folder.
func put(t *testing.T, dir, name string, q mkimage.Qcow2) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), bytesOf(q), 0o644); err != nil {
		t.Fatal(err)
	}
}

// layers makes n images over base.img, which is raw, of which "top" is the first.
func layers(n int) func(*testing.T, string) { return layersOver("raw", n) }

// layersOver does so where base.img has another format.
func layersOver(base string, n int) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		for i := range n {
			name, below := "l"+strconv.Itoa(i), "l"+strconv.Itoa(i+1)
			if i == 0 {
				name = "top"
			}
			if i == n-1 {
				below = "base.img"
			}
			format := "qcow2"
			if i == n-1 {
				format = base
			}
			put(t, dir, name, mkimage.Qcow2{ClusterBits: 12, VirtualSize: attackSize, Backing: below, BackingFormat: format})
		}
	}
}

// oddChains are the disks of TestPredictionIsOutcome: the rows of the decision
// table of libvirt's walk, the attacks that concern a backing image, and whatever
// the two programs read differently. What is wanted is what the installed libvirt
// and QEMU do: where versions differ, it names those for which the behaviour was
// observed, or is in release notes.
func oddChains() []oddChain {
	const starts, refuses, misopens = predict.Starts, predict.Refuses, predict.Misopens
	parallels := starts
	if !peers.HasDriver("parallels") {
		parallels = refuses
	}
	unrecorded := named("base.img", "")
	forged := func(q interface{ Bytes() ([]byte, error) }) map[string][]byte {
		return files(unrecorded, bytesOf(q), "secret", rawDisk)
	}
	two := []string{"top", "base.img"}
	last := since("12.8", nil, becomes(starts, damagedHeader))
	readJSON := since("10.8", nil, becomes(starts, oddJSON))
	zstd := patched(patched(qcow2Disk, 79, 8), 104, 1)
	return []oddChain{
		// The format is recorded.
		{name: "raw", images: files(named("base.img", "raw"), rawDisk), truth: rawDisk, want: starts},
		{name: "qcow2", images: files(named("base.img", "qcow2"), qcow2Disk), truth: rawDisk, want: starts},
		{name: "qcow", images: files(named("base.img", "qcow"), qcowDisk), truth: rawDisk, want: starts},
		{name: "qed", images: files(named("base.img", "qed"), qedDisk), truth: rawDisk, want: starts},
		{name: "vmdk", images: files(named("base.img", "vmdk"), vmdkDisk), truth: rawDisk, want: starts},
		{name: "vdi", images: files(named("base.img", "vdi"), vdiDisk), truth: rawDisk, want: starts},
		{name: "vpc", images: files(named("base.img", "vpc"), vpcDisk), truth: rawDisk, want: starts},
		{name: "vpc fixed", images: files(named("base.img", "vpc"), vpcFixed), truth: rawDisk, want: starts},
		{name: "vmdk with extents", images: files(named("base.img", "vmdk"), textVMDK, "secret", rawDisk), truth: rawDisk, want: starts},
		{name: "vmdk with a missing extent", images: files(named("base.img", "vmdk"), textVMDK), want: refuses},
		{name: "three layers", images: files(named("middle", "qcow2"), rawDisk, "middle", bytesOf(named("base.img", "raw"))), truth: rawDisk, want: starts},
		{name: "raw over a forged qcow2", images: files(named("base.img", "raw"), forgedQcow2("secret"), "secret", rawDisk), stated: two, truth: disk(forgedQcow2("secret")), want: starts},
		{name: "24 layers over qcow2", images: map[string][]byte{"base.img": qcow2Disk}, prepare: layersOver("qcow2", 24), truth: rawDisk, want: starts},
		{name: "25 layers over raw", images: map[string][]byte{"base.img": rawDisk}, prepare: layers(25), truth: rawDisk, want: starts},
		{name: "26 layers over raw", images: map[string][]byte{"base.img": rawDisk}, prepare: layers(26), truth: rawDisk, want: nested(starts, refuses)},
		{name: "25 layers over qcow2", images: map[string][]byte{"base.img": qcow2Disk}, prepare: layersOver("qcow2", 25), truth: rawDisk, want: nested(starts, refuses)},
		{name: "30 layers", images: map[string][]byte{"base.img": rawDisk}, prepare: layers(30), truth: rawDisk, want: nested(starts, refuses)},
		{name: "201 layers", images: map[string][]byte{"base.img": rawDisk}, prepare: layers(200), want: refuses},
		{name: "200 layers", images: map[string][]byte{"base.img": rawDisk}, prepare: layers(199), want: nested(starts, refuses)},

		// The format is not recorded.
		{name: "unrecorded raw", images: files(unrecorded, rawDisk), truth: rawDisk, want: starts},
		{name: "unrecorded qcow2", images: files(unrecorded, qcow2Disk), truth: rawDisk, want: starts},
		{name: "unrecorded qcow", images: files(unrecorded, qcowDisk), truth: rawDisk, want: starts},
		{name: "unrecorded qed", images: files(unrecorded, qedDisk), truth: rawDisk, want: starts},
		{name: "unrecorded vmdk", images: files(unrecorded, vmdkDisk), truth: rawDisk, want: starts},
		{name: "unrecorded vdi", images: files(unrecorded, vdiDisk), truth: rawDisk, want: starts},
		{name: "unrecorded vpc", images: files(unrecorded, vpcDisk), truth: rawDisk, want: starts},
		{name: "unrecorded vpc fixed of a smaller disk", images: map[string][]byte{"top": bytesOf(mkimage.Qcow2{VirtualSize: 2 * attackSize, Backing: "base.img"}), "base.img": vpcFixed}, truth: append(disk(payload), make([]byte, attackSize)...), want: misopens},
		{name: "unrecorded vpc fixed", images: files(unrecorded, vpcFixed), truth: rawDisk, want: starts},
		{name: "unrecorded vhdx", images: files(unrecorded, vhdxDisk), truth: rawDisk, want: misopens},
		{name: "unrecorded parallels", images: files(unrecorded, ploopDisk), truth: rawDisk, want: parallels},
		{name: "unrecorded luks", images: files(unrecorded, luksDisk), want: refuses},
		{name: "unrecorded luks version 2", images: files(unrecorded, patched(luksDisk, 7, 2)), want: starts},
		{name: "unrecorded cow", images: files(unrecorded, patched(rawDisk, 0, []byte("OOOM\x00\x00\x00\x02\x00")...)), want: refuses},
		{name: "unrecorded iso", images: files(unrecorded, patched(rawDisk, 32769, []byte("CD001")...)), truth: patched(rawDisk, 32769, []byte("CD001")...), want: starts},
		{name: "unrecorded qcow2 that looks like an iso", images: files(unrecorded, patched(bytesOf(mkimage.Qcow2{VirtualSize: attackSize, Data: payload}), 32769, []byte("CD001")...)), truth: rawDisk, want: misopens},
		{name: "unrecorded qcow2 of version 4", images: files(unrecorded, patched(qcow2Disk, 4, 0, 0, 0, 4)), truth: rawDisk, want: misopens},
		{name: "unrecorded QFIx", images: files(unrecorded, patched(qcow2Disk, 3, 'x')), want: refuses},
		{name: "unrecorded QEDx", images: files(unrecorded, patched(qedDisk, 3, 'x')), want: refuses},
		{name: "unrecorded vmdk of version 4", images: files(unrecorded, patched(vmdkDisk, 4, 4)), truth: rawDisk, want: misopens},
		{name: "unrecorded vdi of version 2", images: files(unrecorded, patched(vdiDisk, 70, 2)), truth: rawDisk, want: misopens},
		{name: "unrecorded qcow2 with an unknown feature", images: files(unrecorded, patched(qcow2Disk, 72, 1)), want: refuses},
		{name: "unrecorded qcow2 over a raw image", images: forged(mkimage.Qcow2{VirtualSize: attackSize, Backing: "secret", BackingFormat: "raw"}), want: refuses},
		{name: "CVE-2008-2004 qcow2", images: forged(mkimage.Qcow2{VirtualSize: attackSize, Backing: "secret"}), want: refuses},
		{name: "CVE-2008-2004 qcow", images: forged(mkimage.Qcow{VirtualSize: attackSize, Backing: "secret"}), want: refuses},
		{name: "CVE-2008-2004 qed", images: forged(mkimage.QED{VirtualSize: attackSize, Backing: "secret"}), want: refuses},
		{name: "CVE-2008-2004 vmdk", images: forged(mkimage.VMDK{VirtualSize: attackSize, Backing: "secret"}), want: refuses},
		{name: "CVE-2008-2004 far name", images: files(unrecorded, bytesOf(far(16, "")), "secret", rawDisk), truth: rawDisk, want: misopens},
		{name: "CVE-2008-2004 exactly as long as the disk", images: files(unrecorded, disk(bytesOf(mkimage.Qcow2{VirtualSize: attackSize}))), truth: disk(bytesOf(mkimage.Qcow2{VirtualSize: attackSize})), want: misopens},
		{name: "unrecorded .raw that looks like qcow2", images: map[string][]byte{"top": bytesOf(named("base.raw", "")), "base.raw": qcow2Disk}, truth: rawDisk, want: starts},
		{name: "unrecorded .qcow2 without a header", images: map[string][]byte{"top": bytesOf(named("base.qcow2", "")), "base.qcow2": rawDisk}, truth: rawDisk, want: starts},
		{name: "unrecorded .dmg without a trailer", images: map[string][]byte{"top": bytesOf(named("base.dmg", "")), "base.dmg": rawDisk}, truth: rawDisk, want: starts},
		{name: "recorded vhdx, raw in the XML", images: files(named("base.img", "vhdx"), vhdxDisk), disk: topDisk + over("base.img", "raw", end), truth: rawDisk, want: misopens},
		{name: "recorded vhdx, vhd in the XML", images: files(named("base.img", "vhdx"), vhdxDisk), disk: topDisk + over("base.img", "vhd", end), truth: rawDisk, want: starts},
		{name: "recorded parallels, raw in the XML", images: files(named("base.img", "parallels"), ploopDisk), disk: topDisk + over("base.img", "raw", end), truth: rawDisk, want: misopens},
		{name: "CVE-2022-47951", images: files(unrecorded, textVMDK, "secret", rawDisk), stated: two, truth: rawDisk, want: misopens},
		{name: "vmdk of capacity 0", images: files(unrecorded, capacity0("secret"), "secret", rawDisk), stated: two, want: misopens},
		{name: "CVE-2024-32498 relative", images: forged(withData("secret")), stated: two, want: since("12.8", misopens, refuses),
			but: since("10.10", becomes(refuses, noLook), nil)},
		{name: "CVE-2024-32498", stated: two, images: map[string][]byte{"top": bytesOf(unrecorded), "secret": rawDisk},
			prepare: func(t *testing.T, dir string) { put(t, dir, "base.img", withData(dir+"/secret")) }, want: since("12.8", misopens, refuses)},
		{name: "vpc differencing", images: files(unrecorded, bytesOf(mkimage.VPC{VirtualSize: attackSize, Parent: "secret"}), "secret", vpcDisk), truth: rawDisk, want: misopens},
		{name: "vdi differencing", images: files(named("base.img", "vdi"), bytesOf(mkimage.VDI{VirtualSize: attackSize, Differencing: true})), want: refuses},
		{name: "sparse file", images: map[string][]byte{"top": bytesOf(unrecorded)}, prepare: making("base.img", func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o644), os.Truncate(p, 8<<40))
		}), want: starts},
		{name: "empty file", images: files(unrecorded, nil), want: starts},
		{name: "short file", images: files(unrecorded, []byte("QFI\xfb")), want: starts},

		// The record is a word that not every program knows.
		{name: "recorded file over raw", images: files(named("base.img", "file"), rawDisk), truth: rawDisk, want: starts},
		{name: "recorded file over qcow2", images: files(named("base.img", "file"), qcow2Disk), truth: disk(qcow2Disk[:min(len(qcow2Disk), attackSize)]), want: since("9.10", misopens, starts)},
		{name: "recorded QCOW2", images: files(named("base.img", "QCOW2"), qcow2Disk), truth: rawDisk, want: since("9.10", starts, misopens)},
		{name: "recorded QCOW2 over a chain", images: files(named("base.img", "QCOW2"), bytesOf(named("secret", "raw")), "secret", rawDisk), truth: rawDisk, want: since("9.10", refuses, misopens)},
		{name: "recorded vhdx", images: files(named("base.img", "vhdx"), vhdxDisk), truth: rawDisk, want: misopens},
		{name: "recorded vhd", images: files(named("base.img", "vhd"), vhdxDisk), truth: rawDisk, want: starts},
		{name: "recorded vhd over raw", images: files(named("base.img", "vhd"), rawDisk), want: refuses},
		{name: "recorded parallels", images: files(named("base.img", "parallels"), ploopDisk), truth: rawDisk, want: since("9.10", parallels, misopens)},
		{name: "recorded ploop", images: files(named("base.img", "ploop"), ploopDisk), truth: rawDisk, want: parallels},
		{name: "recorded luks", images: files(named("base.img", "luks"), luksDisk), want: refuses},
		{name: "recorded raw over luks", images: files(named("base.img", "raw"), luksDisk), want: refuses},
		{name: "recorded garbage over raw", images: files(named("base.img", "garbage"), rawDisk), truth: rawDisk, want: starts},
		{name: "recorded garbage over vhdx", images: files(named("base.img", "garbage"), vhdxDisk), truth: rawDisk, want: misopens},
		{name: "recorded none", images: files(named("base.img", "none"), rawDisk), want: since("9.10", refuses, starts)},
		{name: "recorded iso", images: files(named("base.img", "iso"), rawDisk), truth: rawDisk, want: starts},
		{name: "recorded cow", images: files(named("base.img", "cow"), disk(nil)), want: refuses},
		{name: "recorded dir", images: files(named("base.img", "dir"), rawDisk), want: refuses},
		{name: "recorded fat", images: files(named("base.img", "fat"), rawDisk), want: refuses},
		{name: "recorded aio over raw", images: files(named("base.img", "aio"), rawDisk), truth: rawDisk, want: starts},
		{name: "recorded raw, a NUL, qcow2", images: files(named("base.img", "raw\x00qcow2"), rawDisk), truth: rawDisk, want: starts},
		{name: "recorded nothing", images: files(extended("", mkimage.Extension{Type: mkimage.ExtBackingFormat}), qcow2Disk), truth: rawDisk, want: since("9.10", starts, misopens)},
		{name: "recorded after an odd extension", images: files(extended("", mkimage.Extension{Type: 0x11111111, Data: []byte("odd")}, mkimage.Extension{Type: mkimage.ExtBackingFormat, Data: []byte("raw")}), qcow2Disk), truth: disk(qcow2Disk[:min(len(qcow2Disk), attackSize)]), want: since("12.8", misopens, starts)},

		// Overlays of other formats.
		{name: "qcow over raw", images: map[string][]byte{"top": bytesOf(mkimage.Qcow{VirtualSize: attackSize, Backing: "base.img"}), "base.img": rawDisk}, disk: typed("qcow"), truth: rawDisk, want: starts},
		{name: "qcow over a chain", images: map[string][]byte{"top": bytesOf(mkimage.Qcow{VirtualSize: attackSize, Backing: "base.img"}), "base.img": bytesOf(named("secret", "raw")), "secret": rawDisk}, disk: typed("qcow"), want: refuses},
		{name: "qed over raw", images: map[string][]byte{"top": bytesOf(mkimage.QED{VirtualSize: attackSize, Backing: "base.img"}), "base.img": rawDisk}, disk: typed("qed"), truth: rawDisk, want: starts},
		{name: "qed over recorded raw", images: map[string][]byte{"top": bytesOf(mkimage.QED{VirtualSize: attackSize, Backing: "base.img", NoProbe: true}), "base.img": rawDisk}, disk: typed("qed"), truth: rawDisk, want: starts},
		{name: "qed over qcow2", images: map[string][]byte{"top": bytesOf(mkimage.QED{VirtualSize: attackSize, Backing: "base.img"}), "base.img": qcow2Disk}, disk: typed("qed"), truth: rawDisk, want: starts},
		{name: "qed over vhdx", images: map[string][]byte{"top": bytesOf(mkimage.QED{VirtualSize: attackSize, Backing: "base.img"}), "base.img": vhdxDisk}, disk: typed("qed"), truth: rawDisk, want: misopens},
		{name: "qed over a chain", images: map[string][]byte{"top": bytesOf(mkimage.QED{VirtualSize: attackSize, Backing: "base.img"}), "base.img": bytesOf(named("secret", "raw")), "secret": rawDisk}, disk: typed("qed"), stated: two, truth: rawDisk, want: misopens},
		{name: "vmdk over vmdk", images: map[string][]byte{"top": bytesOf(mkimage.VMDK{VirtualSize: attackSize, Backing: "base.img"}), "base.img": vmdkDisk}, disk: typed("vmdk"), truth: rawDisk, want: starts},
		{name: "vmdk over vmdk over vmdk", images: map[string][]byte{"top": bytesOf(mkimage.VMDK{VirtualSize: attackSize, Backing: "base.img"}), "base.img": bytesOf(mkimage.VMDK{VirtualSize: attackSize, Backing: "secret"}), "secret": vmdkDisk}, disk: typed("vmdk"), want: refuses},
		{name: "vmdk over a vmdk with extents", images: map[string][]byte{"top": bytesOf(mkimage.VMDK{VirtualSize: attackSize, Backing: "base.img"}), "base.img": textVMDK, "secret": rawDisk}, disk: typed("vmdk"), truth: rawDisk, want: misopens},
		{name: "vmdk over raw", images: map[string][]byte{"top": bytesOf(mkimage.VMDK{VirtualSize: attackSize, Backing: "base.img"}), "base.img": rawDisk}, disk: typed("vmdk"), truth: rawDisk, want: misopens},
		{name: "vmdk with two other characters before the name", images: map[string][]byte{"top": bytes.Replace(bytesOf(mkimage.VMDK{VirtualSize: attackSize, Backing: "base.img"}), []byte(`parentFileNameHint="`), []byte(`parentFileNameHint:'`), 1), "base.img": vmdkDisk}, disk: typed("vmdk"), truth: rawDisk, want: misopens},

		// The name.
		{name: "far name", images: files(far(16, "raw"), rawDisk), truth: rawDisk, want: misopens},
		{name: "far name in a cluster of 2 MiB", images: files(far(21, "raw"), rawDisk), truth: rawDisk, want: misopens},
		{name: "name with a NUL", images: files(named("base.img\x00junk", "raw"), rawDisk), truth: rawDisk, want: starts},
		{name: "name of nothing", images: files(mkimage.Qcow2{VirtualSize: attackSize, Data: payload}, nil), truth: rawDisk, want: starts},
		{name: "name with a newline", images: map[string][]byte{"top": bytesOf(named("base\n.img", "raw")), "base\n.img": rawDisk}, truth: nil, want: starts},
		{name: "name with markup", images: map[string][]byte{"top": bytesOf(named("a]]>&\"<b>.img", "raw")), "a]]>&\"<b>.img": rawDisk}, truth: nil, want: starts},
		{name: "name that is no UTF-8", images: map[string][]byte{"top": bytesOf(named("base\xff.img", "raw")), "base\xff.img": rawDisk}, truth: nil, want: refuses},
		{name: "relative name through a folder", images: map[string][]byte{"top": bytesOf(named("a/../base.img", "raw")), "a/x": nil, "base.img": rawDisk}, truth: rawDisk, want: starts},
		{name: "file: name", images: files(named("file:base.img", "raw"), rawDisk), want: refuses},
		{name: "host_device: name", images: files(named("host_device:/dev/null", "raw"), rawDisk), want: refuses},
		{name: "name with a colon", images: files(named("a:base.img", "raw"), rawDisk), want: refuses},
		{name: "fat: name", images: files(named("fat:/etc", "raw"), rawDisk), want: refuses},
		{name: "unrecorded nbd", images: files(named("nbd:localhost:10809", ""), rawDisk), want: refuses},
		{name: "json: name", prepare: jsonOverlay(`{"driver":"file","filename":"DIR/base.img"}`, "raw"), images: map[string][]byte{"base.img": rawDisk}, truth: rawDisk, want: starts},
		{name: "json: name of qcow2", prepare: jsonOverlay(`{"driver":"file","filename":"DIR/base.img"}`, "qcow2"), images: map[string][]byte{"base.img": qcow2Disk}, truth: rawDisk, want: starts},
		{name: "json: name, unrecorded", prepare: jsonOverlay(`{"driver":"file","filename":"DIR/base.img"}`, ""), images: map[string][]byte{"base.img": bytesOf(named("secret", "raw")), "secret": rawDisk}, want: refuses},
		{name: "json: relative name", prepare: jsonOverlay(`{"driver":"file","filename":"base.img"}`, "raw"), images: map[string][]byte{"base.img": rawDisk}, want: refuses},
		{name: "json: name of a format driver", prepare: jsonOverlay(`{"driver":"qcow2","file":{"driver":"file","filename":"DIR/base.img"}}`, ""), images: map[string][]byte{"base.img": qcow2Disk}, want: refuses},
		{name: "json: name that is none", prepare: jsonOverlay(`{`, "raw"), images: map[string][]byte{"base.img": rawDisk}, want: refuses},
		{name: "json: name with a dropped key", prepare: jsonOverlay(`{"driver":"file","filename":"DIR/base.img","locking":"off"}`, "raw"), images: map[string][]byte{"base.img": rawDisk}, truth: rawDisk, want: starts},
		{name: "json: name with a key twice", prepare: jsonOverlay(`{"driver":"file","filename":"DIR/gone","filename":"DIR/base.img"}`, "raw"), images: map[string][]byte{"base.img": rawDisk}, truth: rawDisk, want: since("10.8", refuses, misopens), but: readJSON},
		{name: "json: name with NaN", prepare: jsonOverlay(`{"driver":"file","filename":"DIR/base.img","x":NaN}`, "raw"), images: map[string][]byte{"base.img": rawDisk}, truth: rawDisk, want: since("10.8", refuses, misopens), but: readJSON},
		{name: "json: name of a device that is a file", prepare: jsonOverlay(`{"driver":"host_device","filename":"DIR/base.img"}`, "raw"), images: map[string][]byte{"base.img": rawDisk}, want: refuses},
		{name: "tftp name", images: files(named("tftp://127.0.0.1/x", "raw"), rawDisk), want: refuses},
		{name: "json: null-co", prepare: jsonOverlay(`{"driver":"null-co"}`, "raw"), images: map[string][]byte{"base.img": rawDisk}, want: refuses},
		{name: "nbd+unix name", prepare: overNBD("raw", "raw"), images: map[string][]byte{"base.img": rawDisk}, truth: rawDisk, want: starts},
		{name: "nbd+unix name, unrecorded", prepare: overNBD("raw", ""), images: map[string][]byte{"base.img": rawDisk}, want: refuses},
		{name: "rbd: name without a pool", images: files(named("rbd:image", "raw"), rawDisk), want: refuses},
		{name: "unrecorded http", images: files(named("http://localhost/x", ""), rawDisk), want: refuses},

		// What the name leads to.
		{name: "missing base", images: map[string][]byte{"top": bytesOf(named("base.img", "raw"))}, want: refuses},
		{name: "missing unrecorded base", images: map[string][]byte{"top": bytesOf(unrecorded)}, want: refuses},
		{name: "missing base of a middle", images: map[string][]byte{"top": bytesOf(named("middle", "qcow2")), "middle": bytesOf(named("base.img", "raw"))}, want: refuses},
		{name: "missing top", images: map[string][]byte{"x": nil}, want: refuses},
		{name: "missing raw top", disk: `<driver name='qemu' type='raw'/><source file='DIR/top'/>`, images: map[string][]byte{"x": nil}, want: refuses},
		{name: "missing optional top", images: map[string][]byte{"x": nil}, disk: optional, want: starts},
		{name: "missing base of an optional disk", images: map[string][]byte{"top": bytesOf(named("base.img", "raw"))}, disk: optional, want: starts},
		{name: "unrecorded chain of an optional disk", images: forged(mkimage.Qcow2{VirtualSize: attackSize, Backing: "secret"}), disk: optional, want: starts},
		{name: "broken base of an optional disk", images: files(named("base.img", "qcow2"), rawDisk), disk: optional, want: refuses},
		{name: "directory", images: map[string][]byte{"top": bytesOf(named("base.img", "raw")), "base.img/x": nil}, want: refuses},
		{name: "unrecorded directory", images: map[string][]byte{"top": bytesOf(unrecorded), "base.img/x": nil}, want: refuses},
		{name: "directory as the top", images: map[string][]byte{"top/x": nil}, want: refuses},
		{name: "character device", images: files(named("/dev/zero", "raw"), nil), want: sinceQEMU("6.0", starts, refuses)},
		{name: "FIFO", images: map[string][]byte{"top": bytesOf(named("base.img", "raw"))}, prepare: making("base.img", func(p string) error { return syscall.Mkfifo(p, 0o644) }), want: refuses, hangs: true},
		{name: "symbolic link to the base", images: map[string][]byte{"top": bytesOf(named("link", "raw")), "base.img": rawDisk}, links: map[string]string{"link": "base.img"}, truth: rawDisk, want: starts},
		{name: "base beside the target of a link", images: map[string][]byte{"real/top": bytesOf(named("base.img", "raw")), "real/base.img": rawDisk}, links: map[string]string{"top": "real/top"}, want: refuses},
		{name: "base beside the link", images: map[string][]byte{"real/top": bytesOf(named("base.img", "raw")), "base.img": rawDisk}, links: map[string]string{"top": "real/top"}, truth: rawDisk, want: starts},
		{name: "image over itself", images: map[string][]byte{"top": bytesOf(named("top", "qcow2"))}, want: refuses},
		{name: "image over a link to itself", images: map[string][]byte{"top": bytesOf(named("link", "qcow2"))}, links: map[string]string{"link": "top"}, want: refuses},
		{name: "images over each other", images: files(named("base.img", "qcow2"), bytesOf(named("top", "qcow2"))), want: refuses},

		// Headers that QEMU refuses, and some that it does not.
		{name: "qcow2 that is none", images: files(named("base.img", "qcow2"), rawDisk), want: refuses},
		{name: "vmdk that is none", images: files(named("base.img", "vmdk"), rawDisk), want: refuses},
		{name: "top that is none", images: map[string][]byte{"top": rawDisk}, want: refuses},
		{name: "cluster_bits 63", images: files(named("base.img", "qcow2"), patched(qcow2Disk, 20, 0, 0, 0, 63)), want: refuses},
		{name: "header_length 8", images: files(named("base.img", "qcow2"), patched(qcow2Disk, 100, 0, 0, 0, 8)), want: refuses},
		{name: "name of 1024 bytes", images: map[string][]byte{"top": patched(bytesOf(named(strings.Repeat("b", 1000), "raw")), 16, 0, 0, 4, 0), strings.Repeat("b", 200): rawDisk}, want: refuses},
		{name: "name outside the first cluster", images: map[string][]byte{"top": patched(bytesOf(named("base.img", "raw")), 8, be64(70000)...), "base.img": rawDisk}, want: refuses},
		{name: "corrupt top", images: map[string][]byte{"top": patched(qcow2Disk, 79, 2)}, want: refuses},
		{name: "corrupt base", images: files(named("base.img", "qcow2"), patched(qcow2Disk, 79, 2)), truth: rawDisk, want: starts},
		{name: "dirty base", images: files(named("base.img", "qcow2"), patched(qcow2Disk, 79, 1)), want: starts},
		{name: "AES top", images: map[string][]byte{"top": patched(qcow2Disk, 35, 1)}, want: refuses},
		{name: "AES base", images: files(named("base.img", "qcow2"), patched(qcow2Disk, 35, 1)), want: refuses},
		{name: "AES qcow base", images: files(named("base.img", "qcow"), patched(qcowDisk, 39, 1)), want: refuses},
		{name: "zstd", images: files(named("base.img", "qcow2"), zstd), truth: rawDisk, want: sinceQEMU("7.2", refuses, starts)},
		{name: "zstd top", images: map[string][]byte{"top": zstd}, truth: rawDisk, want: sinceQEMU("7.2", refuses, starts)},
		{name: "compression without its bit", images: files(named("base.img", "qcow2"), patched(qcow2Disk, 104, 1)), want: refuses},

		{name: "two records", images: files(extended("raw", mkimage.Extension{Type: mkimage.ExtBackingFormat, Data: []byte("qcow2\x00\x00\x00")}), qcow2Disk), truth: rawDisk, want: misopens, but: last},
		{name: "two records, the first of 3 bytes", images: files(extended("raw", mkimage.Extension{Type: mkimage.ExtBackingFormat, Data: []byte("qcow2")}), qcow2Disk), truth: rawDisk, want: misopens, but: last},
		{name: "name inside the header", images: files(named("base.img", "raw"), rawDisk, "top", patched(bytesOf(named("base.img", "raw")), 8, be64(72)...)), want: refuses},
		{name: "qcow2 cut short", images: files(named("base.img", "qcow2"), qcow2Disk[:104]), truth: rawDisk, want: misopens},
		{name: "qcow2 cut very short", images: files(named("base.img", "qcow2"), qcow2Disk[:20]), want: refuses},
		{name: "vhdx cut short", images: files(named("base.img", "vhd"), vhdxDisk[:len(vhdxDisk)/2]), truth: rawDisk, want: misopens},
		{name: "vmdk cut short", images: files(named("base.img", "vmdk"), vmdkDisk[:1024]), want: refuses},
		{name: "unrecorded qcow2 cut short", images: files(unrecorded, qcow2Disk[:104]), truth: rawDisk, want: misopens},

		// The XML states the chain.
		{name: "explicit", images: files(named("base.img", "raw"), rawDisk), disk: topDisk + over("base.img", "raw", end), truth: rawDisk, want: starts},
		{name: "explicit without an end", images: files(named("base.img", "raw"), rawDisk), disk: topDisk + over("base.img", "raw", ""), truth: rawDisk, want: starts},
		{name: "explicit unrecorded qcow2 over raw", images: files(unrecorded, bytesOf(named("secret", "raw")), "secret", rawDisk), disk: topDisk + over("base.img", "qcow2", over("secret", "raw", end)), truth: rawDisk, want: starts},
		{name: "explicit, and detected below", images: files(named("base.img", "qcow2"), bytesOf(named("secret", "raw")), "secret", rawDisk), disk: topDisk + over("base.img", "qcow2", ""), truth: rawDisk, want: starts},
		{name: "explicit, and refused below", images: files(named("base.img", "qcow2"), bytesOf(named("secret", "")), "secret", bytesOf(named("x", "raw")), "x", rawDisk), disk: topDisk + over("base.img", "qcow2", ""), want: refuses},
		{name: "explicit vhd", images: files(unrecorded, vhdxDisk), disk: topDisk + over("base.img", "vhd", end), truth: rawDisk, want: starts},
		{name: "explicit end over a base", images: files(named("base.img", "raw"), rawDisk), disk: topDisk + end, truth: rawDisk, want: misopens},
		{name: "explicit end and content without a type", images: files(named("base.img", "raw"), rawDisk), disk: topDisk + `<backingStore><format type='raw'/><source file='DIR/base.img'/></backingStore>`, truth: rawDisk, want: misopens},
		{name: "explicit chain of a flattened top", images: files(mkimage.Qcow2{VirtualSize: attackSize}, rawDisk), disk: topDisk + over("base.img", "raw", end), truth: disk(nil), want: misopens},
		{name: "explicit raw for a recorded qcow2", images: files(named("base.img", "qcow2"), qcow2Disk), disk: topDisk + over("base.img", "raw", end), truth: rawDisk, want: misopens},
		{name: "explicit qcow2 for a recorded raw", images: files(named("base.img", "raw"), qcow2Disk), disk: topDisk + over("base.img", "qcow2", end), truth: disk(qcow2Disk[:min(len(qcow2Disk), attackSize)]), want: misopens},
		{name: "explicit qcow2 that is none", images: files(unrecorded, rawDisk), disk: topDisk + over("base.img", "qcow2", end), want: refuses},
		{name: "explicit other image", images: files(named("base.img", "raw"), rawDisk, "other", disk(nil)), disk: topDisk + over("other", "raw", end), truth: rawDisk, want: misopens},
		{name: "explicit moved image", images: files(named("gone", "raw"), rawDisk), disk: topDisk + over("base.img", "raw", end), truth: rawDisk, want: starts},
		{name: "explicit other spelling", images: files(named("./base.img", "raw"), rawDisk), disk: topDisk + over("base.img", "raw", end), truth: rawDisk, want: starts},
		{name: "explicit missing base", images: files(named("base.img", "raw"), rawDisk), disk: topDisk + over("gone", "raw", end), want: refuses},
		{name: "explicit missing middle", images: files(named("base.img", "raw"), rawDisk), disk: topDisk + over("gone", "qcow2", over("base.img", "raw", end)), want: refuses},
		{name: "explicit image below raw", images: files(named("base.img", "raw"), rawDisk, "other", rawDisk), disk: topDisk + over("base.img", "raw", over("other", "raw", end)), want: since("11.3", refuses, starts)},
		{name: "explicit image below a raw top", images: map[string][]byte{"top": rawDisk, "base.img": rawDisk}, disk: `<driver name='qemu' type='raw'/><source file='DIR/top'/>` + over("base.img", "raw", end), want: since("11.3", refuses, starts)},
		{name: "explicit end below a raw top", images: map[string][]byte{"top": rawDisk}, disk: `<driver name='qemu' type='raw'/><source file='DIR/top'/>` + end, truth: rawDisk, want: starts},
		{name: "explicit block device that is a file", images: files(named("base.img", "raw"), rawDisk), disk: topDisk + `<backingStore type='block'><format type='raw'/><source dev='DIR/base.img'/><backingStore/></backingStore>`, want: refuses},
		{name: "explicit iso", images: files(named("base.img", "raw"), rawDisk), disk: topDisk + over("base.img", "raw", end), truth: rawDisk, want: starts},
		{name: "explicit raw luks", images: files(named("base.img", "raw"), luksDisk), disk: topDisk + over("base.img", "raw", end), want: starts},
		{name: "explicit raw luks without an end", images: files(named("base.img", "raw"), luksDisk), disk: topDisk + over("base.img", "raw", ""), want: since("9.0", refuses, starts)},
		{name: "explicit top over itself", images: map[string][]byte{"top": bytesOf(named("top", "qcow2"))}, disk: topDisk + over("top", "qcow2", end), want: refuses},
		{name: "explicit slice past the end", images: files(named("base.img", "raw"), rawDisk), disk: topDisk + `<backingStore type='file'><format type='raw'/><source file='DIR/base.img'><slices><slice type='storage' offset='512' size='1048576'/></slices></source><backingStore/></backingStore>`, want: refuses},

		// The top alone.
		{name: "no driver type over raw", images: map[string][]byte{"top": rawDisk}, disk: `<source file='DIR/top'/>`, truth: rawDisk, want: starts},
		{name: "no driver type over qcow2", images: map[string][]byte{"top": qcow2Disk}, disk: `<driver name='qemu'/><source file='DIR/top'/>`, truth: rawDisk, want: misopens},
		{name: "no driver type over luks", images: map[string][]byte{"top": luksDisk}, disk: `<source file='DIR/top'/>`, want: starts},
		{name: "raw top with a forged header", images: map[string][]byte{"top": forgedQcow2("secret"), "secret": rawDisk}, disk: `<driver name='qemu' type='raw'/><source file='DIR/top'/>`, stated: []string{"top"}, want: starts},
		{name: "vhd top", images: map[string][]byte{"top": vhdxDisk}, disk: typed("vhd"), truth: rawDisk, want: starts},
		{name: "vdi top", images: map[string][]byte{"top": vdiDisk}, disk: typed("vdi"), truth: rawDisk, want: starts},
		{name: "ploop top", images: map[string][]byte{"top": ploopDisk}, disk: typed("ploop"), truth: rawDisk, want: parallels},
		{name: "vmdk top with extents", images: map[string][]byte{"top": textVMDK, "secret": rawDisk}, disk: typed("vmdk"), truth: rawDisk, want: starts},
		{name: "bochs top that is none", images: map[string][]byte{"top": rawDisk}, disk: typed("bochs"), want: refuses},
		{name: "cdrom", attributes: "device='cdrom'", images: files(named("base.img", "raw"), rawDisk), truth: rawDisk, want: starts},
		{name: "cdrom over a forged header", attributes: "device='cdrom'", images: forged(mkimage.Qcow2{VirtualSize: attackSize, Backing: "secret"}), want: refuses},
		{name: "corrupt cdrom", attributes: "device='cdrom'", images: map[string][]byte{"top": patched(qcow2Disk, 79, 2)}, truth: rawDisk, want: starts},
		{name: "empty cdrom", attributes: "device='cdrom'", images: map[string][]byte{"x": nil}, disk: `<driver name='qemu' type='raw'/>`, want: starts},
		{name: "shared", images: files(named("base.img", "raw"), rawDisk), disk: topDisk + "<shareable/>", want: refuses},
		{name: "shared raw", images: map[string][]byte{"top": rawDisk}, disk: typed("raw") + "<shareable/>", truth: rawDisk, want: starts},
		{name: "slice with a chain", images: map[string][]byte{"top": append(make([]byte, sliceAt), bytesOf(named("base.img", "raw"))...), "base.img": rawDisk}, disk: slicedDisk, truth: rawDisk, want: misopens},
		{name: "slice with an explicit chain", images: map[string][]byte{"top": append(make([]byte, sliceAt), bytesOf(named("base.img", "raw"))...), "base.img": rawDisk}, disk: slicedDisk + over("base.img", "raw", end), truth: rawDisk, want: starts},
		{name: "secret for a plain image", images: map[string][]byte{"top": qcow2Disk}, disk: `<driver name='qemu' type='qcow2'/><source file='DIR/top'><encryption format='luks'><secret type='passphrase' uuid='c1f11a6d-8c5d-4a3e-ac7a-4e171c5e0d4a'/></encryption></source>`, want: refuses},

		// Data files.
		{name: "data file", images: map[string][]byte{"data": rawDisk}, prepare: func(t *testing.T, dir string) { put(t, dir, "top", withData(dir+"/data")) }, want: starts},
		{name: "data file of a recorded base", images: map[string][]byte{"top": bytesOf(named("base.img", "qcow2")), "data": rawDisk}, prepare: func(t *testing.T, dir string) { put(t, dir, "base.img", withData(dir+"/data")) }, want: starts},
		{name: "missing data file", images: map[string][]byte{"x": nil}, prepare: func(t *testing.T, dir string) { put(t, dir, "top", withData(dir+"/data")) }, want: refuses},
		{name: "relative data file", images: map[string][]byte{"top": bytesOf(withData("data")), "data": rawDisk}, want: since("10.10", refuses, starts)},
		{name: "relative data file in the root folder", attributes: "device='cdrom'", images: map[string][]byte{"top": bytesOf(withData("etc/passwd")), "data": rawDisk}, stated: []string{"top"}, want: since("10.10", misopens, refuses)},
		{name: "CVE-2024-4467 data file in json", images: map[string][]byte{"data": rawDisk}, prepare: func(t *testing.T, dir string) {
			put(t, dir, "top", withData(`json:{"driver":"file","filename":"`+dir+`/data"}`))
		}, stated: []string{"top"}, want: since("10.10", sinceQEMU("7.2.13", misopens, refuses), misopens)},
		{name: "relative data file after a short record", images: files(behindRecord("data"), rawDisk, "data", disk(nil)), truth: rawDisk, want: since("12.8", refuses, starts)},
		{name: "data file after a short record", images: map[string][]byte{"base.img": rawDisk, "data": disk(nil)}, prepare: func(t *testing.T, dir string) { put(t, dir, "top", behindRecord(dir+"/data")) }, truth: rawDisk, want: starts},
		{name: "data file of an unknown protocol", images: map[string][]byte{"top": bytesOf(withData("a:b.raw")), "a:b.raw": rawDisk}, stated: []string{"top"}, want: refuses},
		{name: "data file by file:", images: map[string][]byte{"data": rawDisk}, prepare: func(t *testing.T, dir string) { put(t, dir, "top", withData("file:"+dir+"/data")) },
			stated: []string{"top"}, want: sinceQEMU("7.2.13", misopens, refuses)},
		{name: "data file without a name", images: map[string][]byte{"top": patched(qcow2Disk, 79, 4)}, want: refuses},
	}
}

// jsonOverlay makes a top whose backing image's name is a json: description, with
// DIR for the folder.
func jsonOverlay(description, format string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		put(t, dir, "top", named("json:"+strings.ReplaceAll(description, "DIR", dir), format))
	}
}

// overNBD makes a top over base.img, which an nbd server has as of a format.
func overNBD(as, format string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		socket := peers.QemuNBD(t, "unix", "--read-only", "--format", as, filepath.Join(dir, "base.img"))
		put(t, dir, "top", named("nbd+unix:///?socket="+socket, format))
	}
}

var optional = strings.Replace(topDisk, "<source ", "<source startupPolicy='optional' ", 1)

func typed(format string) string { return strings.Replace(topDisk, "qcow2", format, 1) }

// making makes something in the folder that is no plain file.
func making(name string, make func(path string) error) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := make(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}
