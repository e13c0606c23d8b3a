package host_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

const imageSize = 1 << 20

// storedHost is what a libvirt that does not run has left in a folder, DIR in
// the texts below.
type storedHost struct {
	*testing.T
	dir string
}

func newStoredHost(t *testing.T) storedHost {
	h := storedHost{t, t.TempDir()}
	h.mkdir("etc/libvirt/qemu")
	return h
}

func (h storedHost) mkdir(name string) {
	h.Helper()
	if err := os.MkdirAll(filepath.Join(h.dir, name), 0o755); err != nil {
		h.Fatal(err)
	}
}

func (h storedHost) write(name string, content []byte) {
	h.Helper()
	h.mkdir(filepath.Dir(name))
	if err := os.WriteFile(filepath.Join(h.dir, name), content, 0o644); err != nil {
		h.Fatal(err)
	}
}

func (h storedHost) text(name, text string) {
	h.Helper()
	h.write(name, []byte(strings.ReplaceAll(text, "DIR", h.dir)))
}

// qcow2 makes an image over another one, whose format it does not record; over
// none with "".
func (h storedHost) qcow2(name, backing string) {
	h.Helper()
	image, err := mkimage.Qcow2{VirtualSize: imageSize, Backing: backing}.Bytes()
	if err != nil {
		h.Fatal(err)
	}
	h.write(name, image)
}

// qcow2Over makes an image over another one, whose format it records.
func (h storedHost) qcow2Over(name, backing, format string) {
	h.Helper()
	image, err := mkimage.Qcow2{VirtualSize: imageSize, Backing: backing, BackingFormat: format}.Bytes()
	if err != nil {
		h.Fatal(err)
	}
	h.write(name, image)
}

func stored(name, disks string) string {
	return fmt.Sprintf("<domain type='qemu'>\n  <name>%s</name>\n  <uuid>%s</uuid>\n  <devices>\n%s\n  </devices>\n</domain>\n", name, uuidOf(name), disks)
}

func uuidOf(name string) string {
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", name[:min(6, len(name))])
}

// guest defines a guest with disks.
func (h storedHost) guest(name, disks string) {
	h.Helper()
	h.text("etc/libvirt/qemu/"+name+".xml", stored(name, disks))
}

func (h storedHost) folder() *host.Folder {
	return host.FolderAt(filepath.Join(h.dir, "etc/libvirt/qemu"))
}

// scan returns the reports by guest.
func (h storedHost) scan(s *host.Scan) map[string]*host.Report {
	h.Helper()
	s.Inventory = h.folder()
	all := make(map[string]*host.Report)
	for r, err := range s.Reports(h.Context()) {
		if err != nil {
			h.Fatal(err)
		}
		all[r.Guest.Name] = r
	}
	return all
}

// a disk of a kind: attributes of the <disk>, its <driver type>, what is inside.
func diskOf(attributes, format, inside string) string {
	return fmt.Sprintf("<disk %s><driver name='qemu' type='%s'/>%s<target dev='vda' bus='virtio'/></disk>", attributes, format, inside)
}

const (
	fileDisk = "type='file' device='disk'"
	baseFile = "<source file='DIR/base.img'/>"
)

// snapshotOf is the metadata of a snapshot of a guest with disks.
func snapshotOf(root, disks string) string {
	return "<domainsnapshot><name>s</name><" + root + " type='qemu'><name>x</name><devices>" + disks + "</devices></" + root + "></domainsnapshot>"
}

// TestEvidence: a guest "asks" has an overlay over base.img, a qcow2 whose format
// is recorded nowhere; what the rest of the host says of that image decides.
func TestEvidence(t *testing.T) {
	raw, qcow2 := diskOf(fileDisk, "raw", baseFile), diskOf(fileDisk, "qcow2", baseFile)
	other := func(disk string) func(storedHost) { return func(h storedHost) { h.guest("other", disk) } }
	nothing := diskOf(fileDisk, "raw", "<source file='DIR/none.img'/>")
	over := func(format, more string) string {
		return diskOf(fileDisk, "qcow2", "<source file='DIR/o.qcow2'/><backingStore type='file'><format type='"+format+"'/>"+baseFile+more+"</backingStore>")
	}
	for name, c := range map[string]struct {
		make    func(storedHost)
		verdict chain.Verdict
		code    finding.Code // "" for the rule's own finding alone
		says    string       // the guest that it names
		from    chain.Origin // of the base, if fixable
	}{
		"nobody speaks": {func(storedHost) {}, chain.Fixable, "", "", chain.Probe},

		// A raw disk that a guest may write.
		"raw disk": {other(raw), chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"raw disk by a link": {func(h storedHost) {
			h.link("link.img")
			h.guest("other", diskOf(fileDisk, "raw", "<source file='DIR/link.img'/>"))
		}, chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"disk without a type":     {other("<disk " + fileDisk + ">" + baseFile + "<target dev='vda'/></disk>"), chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"floppy":                  {other(diskOf("type='file' device='floppy'", "raw", baseFile)), chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"shared raw disk":         {other(diskOf(fileDisk, "raw", baseFile+"<shareable/>")), chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"slice of a raw disk":     {other(diskOf(fileDisk, "raw", "<source file='DIR/base.img'><slices><slice type='storage' offset='0' size='65536'/></slices></source>")), chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"read-only raw disk":      {other(diskOf(fileDisk, "raw", baseFile+"<readonly/>")), chain.Fixable, "", "", chain.Probe},
		"CD-ROM":                  {other(diskOf("type='file' device='cdrom'", "raw", baseFile)), chain.Fixable, "", "", chain.Probe},
		"transient raw disk":      {other(diskOf(fileDisk, "raw", baseFile+"<transient/>")), chain.Fixable, "", "", chain.Probe},
		"encrypted raw disk":      {other(diskOf(fileDisk, "raw", "<source file='DIR/base.img'><encryption format='luks'><secret type='passphrase' uuid='c1f11a6d-8c5d-4a3e-ac7a-4e171c5e0d4a'/></encryption></source>")), chain.Fixable, "", "", chain.Probe},
		"raw disk and raw header": {func(h storedHost) { h.guest("other", raw); h.write("base.img", make([]byte, imageSize)) }, chain.Fixable, "", "", chain.Probe},
		"raw disk of another":     {other(nothing), chain.Fixable, "", "", chain.Probe},

		// Formats that are stated.
		"qcow2 disk":                      {other(qcow2), chain.Fixable, finding.StatedElsewhere, "other", chain.Libvirt},
		"read-only qcow2 disk":            {other(diskOf(fileDisk, "qcow2", baseFile+"<readonly/>")), chain.Fixable, finding.StatedElsewhere, "other", chain.Libvirt},
		"qcow2 in an explicit chain":      {other(over("qcow2", "<backingStore/>")), chain.Fixable, "", "", chain.Probe},
		"qcow2 in a chain without an end": {other(over("qcow2", "")), chain.Fixable, "", "", chain.Probe},
		"raw in an explicit chain":        {other(over("raw", "<backingStore/>")), chain.Fixable, finding.RawDiskElsewhere, "other", chain.Probe},
		"raw recorded by an overlay": {func(h storedHost) {
			h.qcow2Over("o.qcow2", "base.img", "raw")
			h.guest("other", diskOf(fileDisk, "qcow2", "<source file='DIR/o.qcow2'/>"))
		}, chain.Fixable, finding.RawDiskElsewhere, "other", chain.Probe},
		"raw below a read-only disk":       {other(strings.Replace(over("raw", "<backingStore/>"), "<target", "<readonly/><target", 1)), chain.Fixable, "", "", chain.Probe},
		"slice of a qcow2 disk":            {other(diskOf(fileDisk, "qcow2", "<source file='DIR/base.img'><slices><slice type='storage' offset='0' size='65536'/></slices></source>")), chain.Fixable, "", "", chain.Probe},
		"qcow2 disk, and a raw one":        {func(h storedHost) { h.guest("other", qcow2); h.guest("writer", raw) }, chain.Refused, finding.RawDiskElsewhere, "writer", 0},
		"qcow2 disk, and a qed one":        {func(h storedHost) { h.guest("other", qcow2); h.guest("second", diskOf(fileDisk, "qed", baseFile)) }, chain.Refused, finding.StatedConflict, "second", 0},
		"qcow2 disk, said twice":           {func(h storedHost) { h.guest("other", qcow2); h.guest("second", qcow2) }, chain.Fixable, finding.StatedElsewhere, "other", chain.Libvirt},
		"qcow2 disk whose header denies":   {func(h storedHost) { h.guest("other", qcow2); h.write("base.img", make([]byte, imageSize)) }, chain.Refused, finding.StatedElsewhere, "other", 0},
		"qcow2 disk, in a broken document": {func(h storedHost) { h.text("etc/libvirt/qemu/other.xml", stored("other", qcow2)+"<x/>") }, chain.Fixable, "", "", chain.Probe},

		// The metadata of snapshots and checkpoints, also of a guest that has
		// none of it in its definition any more, and of "asks" itself.
		"raw disk of a snapshot":           {func(h storedHost) { h.guest("other", nothing); h.snapshot("other", "domain", raw) }, chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"raw disk of the next start":       {func(h storedHost) { h.guest("other", nothing); h.snapshot("other", "inactiveDomain", raw) }, chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"raw disk first, then snapshotted": {func(h storedHost) { h.snapshot("asks", "domain", raw) }, chain.Refused, finding.RawDiskElsewhere, "asks", 0},
		"qcow2 disk of a snapshot":         {func(h storedHost) { h.guest("other", nothing); h.snapshot("other", "domain", qcow2) }, chain.Fixable, "", "", chain.Probe},
		"lower layer of a snapshot": {func(h storedHost) {
			h.guest("other", nothing)
			h.snapshot("other", "domain", over("qcow2", "<backingStore/>"))
		}, chain.Fixable, "", "", chain.Probe},
		"raw below a disk of a snapshot": {func(h storedHost) {
			h.guest("other", nothing)
			h.snapshot("other", "domain", over("raw", "<backingStore/>"))
		}, chain.Fixable, "", "", chain.Probe},
		"raw disk of a saved state":   {func(h storedHost) { h.guest("other", nothing); h.saved("other", raw) }, chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"qcow2 disk of a saved state": {func(h storedHost) { h.guest("other", nothing); h.saved("other", qcow2) }, chain.Fixable, "", "", chain.Probe},
		"raw disk of a checkpoint": {func(h storedHost) {
			h.guest("other", nothing)
			h.text("var/lib/libvirt/qemu/checkpoint/other/c.xml", strings.ReplaceAll(snapshotOf("domain", raw), "domainsnapshot", "domaincheckpoint"))
		}, chain.Refused, finding.RawDiskElsewhere, "other", 0},

		// What a guest runs with.
		"raw disk that was plugged in":  {func(h storedHost) { h.guest("other", nothing); h.running("other", raw) }, chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"qcow2 disk that was plugged":   {func(h storedHost) { h.guest("other", nothing); h.running("other", qcow2) }, chain.Fixable, finding.StatedElsewhere, "other", chain.Libvirt},
		"detected layer of one running": {func(h storedHost) { h.guest("other", nothing); h.running("other", over("qcow2", "<backingStore/>")) }, chain.Fixable, "", "", chain.Probe},

		"raw disk of one without a definition":   {func(h storedHost) { h.running("other", raw) }, chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"qcow2 disk of one without a definition": {func(h storedHost) { h.running("other", qcow2) }, chain.Fixable, finding.StatedElsewhere, "other", chain.Libvirt},
		"target of a running copy": {func(h storedHost) {
			h.guest("other", nothing)
			h.running("other", strings.Replace(nothing, "<target", "<mirror type='file' job='copy'><format type='raw'/>"+baseFile+"</mirror><target", 1))
		}, chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"raw below one with a block job": {func(h storedHost) {
			h.guest("other", nothing)
			h.text("run/libvirt/qemu/other.xml", "<domstatus state='running'><blockjobs active='yes'/>"+stored("other", over("raw", "<backingStore/>"))+"</domstatus>")
		}, chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"raw below one that runs": {func(h storedHost) { h.guest("other", nothing); h.running("other", over("raw", "<backingStore/>")) }, chain.Fixable, finding.RawDiskElsewhere, "other", chain.Probe},

		// Another disk of the guest itself.
		"raw disk of the same guest": {func(h storedHost) {
			h.guest("asks", diskOf(fileDisk, "qcow2", "<source file='DIR/asks.qcow2'/>")+strings.Replace(raw, "'vda'", "'vdb'", 1))
		}, chain.Refused, finding.RawDiskElsewhere, "asks", 0},
		"qcow2 disk of the same guest": {func(h storedHost) {
			h.guest("asks", diskOf(fileDisk, "qcow2", "<source file='DIR/asks.qcow2'/>")+strings.Replace(qcow2, "'vda'", "'vdb'", 1))
		}, chain.Fixable, finding.StatedElsewhere, "asks", chain.Libvirt},

		// Volumes.
		"raw volume":            {func(h storedHost) { h.pool(); h.guest("other", volume("raw")) }, chain.Refused, finding.RawDiskElsewhere, "other", 0},
		"qcow2 volume":          {func(h storedHost) { h.pool(); h.guest("other", volume("qcow2")) }, chain.Fixable, finding.StatedElsewhere, "other", chain.Libvirt},
		"volume without a pool": {other(volume("raw")), chain.Fixable, "", "", chain.Probe},
		"volume without a type": {func(h storedHost) {
			h.pool()
			h.guest("other", strings.Replace(volume("raw"), " type='raw'", "", 1))
		}, chain.Refused, finding.RawDiskElsewhere, "other", 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newStoredHost(t)
			h.qcow2("base.img", "")
			h.qcow2("o.qcow2", "base.img")
			h.qcow2("asks.qcow2", "base.img")
			h.guest("asks", diskOf(fileDisk, "qcow2", "<source file='DIR/asks.qcow2'/>"))
			c.make(h)
			e := h.scan(&host.Scan{})["asks"].Examination
			disk := e.Disks[0]
			if e.Verdict() != c.verdict {
				t.Fatalf("%s: %+v", e.Verdict(), disk.Chain.Findings)
			}
			var said []finding.Finding
			for _, f := range disk.Chain.Findings {
				switch f.Code {
				case finding.RawDiskElsewhere, finding.StatedElsewhere, finding.StatedConflict:
					said = append(said, f)
				}
			}
			if c.code == "" && len(said) > 0 || c.code != "" && (len(said) != 1 || said[0].Code != c.code) {
				t.Fatalf("want %q: %+v", c.code, said)
			}
			if c.says != "" && !strings.Contains(said[0].Text, `"`+c.says+`"`) {
				t.Errorf("the guest %q is not named: %s", c.says, said[0].Text)
			}
			if c.verdict == chain.Fixable && disk.Chain.Layers[1].From != c.from {
				t.Errorf("the format is from %s, not %s", disk.Chain.Layers[1].From, c.from)
			}
		})
	}
}

func (h storedHost) link(name string) {
	h.Helper()
	if err := os.Link(filepath.Join(h.dir, "base.img"), filepath.Join(h.dir, name)); err != nil {
		h.Fatal(err)
	}
}

func (h storedHost) snapshot(guest, root, disks string) {
	h.text("var/lib/libvirt/qemu/snapshot/"+guest+"/s.xml", snapshotOf(root, disks))
}

func (h storedHost) running(guest, disks string) {
	h.text("run/libvirt/qemu/"+guest+".xml", "<domstatus state='running'>"+stored(guest, disks)+"</domstatus>")
}

// saved makes a managed save image, laid out as libvirt 9.0 does.
func (h storedHost) saved(guest, disks string) {
	h.write("var/lib/libvirt/qemu/save/"+guest+".save", savedImage(strings.ReplaceAll(stored(guest, disks), "DIR", h.dir)))
}

func savedImage(definition string) []byte {
	definition += "\x00<cookie/>\x00"
	header := append([]byte("LibvirtQemudSave"), make([]byte, 76)...)
	binary.LittleEndian.PutUint32(header[16:], 2)
	binary.LittleEndian.PutUint32(header[20:], uint32(len(definition)))
	return append(append(header, definition...), "the state"...)
}

func (h storedHost) pool() {
	h.text("etc/libvirt/storage/p.xml", "<pool type='dir'><name>p</name><target><path>DIR</path></target></pool>")
}

func volume(format string) string {
	return diskOf("type='volume' device='disk'", format, "<source pool='p' volume='base.img'/>")
}

// TestComplaints: unreadable metadata of a guest, or an unreadable pool, is a
// warning and does not affect others.
func TestComplaints(t *testing.T) {
	h := newStoredHost(t)
	h.qcow2("a.qcow2", "")
	h.guest("a", diskOf(fileDisk, "qcow2", "<source file='DIR/a.qcow2'/>"))
	h.text("var/lib/libvirt/qemu/snapshot/a/broken.xml", "<domainsnapshot>")
	h.text("etc/libvirt/storage/broken.xml", "<pool")
	var complaints []string
	reports := h.scan(&host.Scan{Warn: func(name string, err error) {
		if err == nil {
			t.Errorf("%q: no error", name)
		}
		complaints = append(complaints, name)
	}})
	if strings.Join(complaints, " ") != "broken a" || reports["a"].Verdict() != chain.Fixable && reports["a"].Verdict() != chain.Explicit {
		t.Errorf("%q, %v", complaints, reports["a"].Verdict())
	}
	h.scan(&host.Scan{}) // nobody is told
}

// counting counts how often each image is opened.
type counting struct {
	storage.FileOpener
	mu     *sync.Mutex
	opened map[string]int
}

func (c counting) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	c.mu.Lock()
	c.opened[src.File.File]++
	c.mu.Unlock()
	return c.FileOpener.Open(ctx, src)
}

// TestEachImageIsOpenedOnce: a base that all guests share, an image whose format
// another guest states, and one that is also a guest's raw disk; with
// predictions for several libvirts.
func TestEachImageIsOpenedOnce(t *testing.T) {
	h := newStoredHost(t)
	h.write("bottom.img", make([]byte, imageSize))
	h.qcow2("base.img", "bottom.img")
	h.qcow2("lone.img", "")
	for _, name := range []string{"a", "b", "c"} {
		h.qcow2(name+".qcow2", "base.img")
		h.qcow2(name+"2.qcow2", "lone.img")
		h.guest(name, diskOf(fileDisk, "qcow2", "<source file='DIR/"+name+".qcow2'/>")+
			strings.Replace(diskOf(fileDisk, "qcow2", "<source file='DIR/"+name+"2.qcow2'/>"), "vda", "vdb", 1))
	}
	h.guest("d", diskOf(fileDisk, "qcow2", baseFile))
	h.guest("e", diskOf(fileDisk, "raw", "<source file='DIR/lone.img'/>"))
	opener := counting{mu: new(sync.Mutex), opened: make(map[string]int)}
	var targets []libvirt.Pair
	for _, v := range []string{"6.0.0", "9.0.0", "11.3.0"} {
		pair, err := libvirt.ParsePair(v)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, pair)
	}
	reports := h.scan(&host.Scan{Opener: opener, Targets: targets})
	if len(reports) != 5 || len(reports["a"].Predictions[0]) != 3 {
		t.Errorf("%d reports", len(reports))
	}
	if got := reports["a"].Examination.Disks[0].Chain.Layers; len(got) != 3 || got[1].From != chain.Libvirt || got[1].Format != probe.Qcow2 {
		t.Errorf("%+v", got)
	}
	if len(opener.opened) != 9 {
		t.Errorf("%d images were opened", len(opener.opened))
	}
	for name, n := range opener.opened {
		if n != 1 {
			t.Errorf("%q was opened %d times", name, n)
		}
	}
}

// TestNames: a scan reports on the guests that it is asked for, reads the
// others as evidence, and reports nothing if one of them does not exist.
func TestNames(t *testing.T) {
	h := newStoredHost(t)
	h.qcow2("base.img", "")
	h.qcow2("top.qcow2", "base.img")
	h.guest("asks", diskOf(fileDisk, "qcow2", "<source file='DIR/top.qcow2'/>"))
	h.guest("writer", diskOf(fileDisk, "raw", baseFile))
	h.text("etc/libvirt/qemu/broken.xml", "<domain>")
	h.text("etc/libvirt/qemu/unread.xml", stored("unread", "")+"<x/>")
	var warned []string
	complain := func(name string, err error) { warned = append(warned, name) }
	if reports := h.scan(&host.Scan{Names: []string{"asks", "asks"}, Warn: complain}); len(reports) != 1 || reports["asks"].Verdict() != chain.Refused {
		t.Errorf("%v", reports)
	}
	if strings.Join(warned, " ") != "broken unread" {
		t.Errorf("the warnings about unreadable metadata are for %q", warned)
	}
	if reports := h.scan(&host.Scan{Names: []string{"broken"}}); len(reports) != 1 || !errors.Is(reports["broken"].Err, host.ErrDefinition) {
		t.Errorf("%v", reports)
	}
	n := 0
	for r, err := range (&host.Scan{Inventory: h.folder(), Names: []string{"asks", "nobody"}}).Reports(t.Context()) {
		if n++; r != nil || !errors.Is(err, host.ErrNoGuest) || !strings.Contains(err.Error(), `"nobody"`) {
			t.Errorf("%v, %v", r, err)
		}
	}
	if n != 1 {
		t.Errorf("%d reports and errors", n)
	}
}
