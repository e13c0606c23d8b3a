package collect

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// scanned is the report on the guests of a folder, as libvirt 11.3 would start them: their disks by
// their names, with DIR in the place of the images' folder, or else the text of the whole file. An image whose content is "" is a raw
// one; else it is an overlay, and has the name of its backing image, and the format after a space
// if it is recorded.
func scanned(t *testing.T, images, guests map[string]string) report.Host {
	t.Helper()
	dir := t.TempDir()
	definitions := filepath.Join(dir, "definitions")
	if err := os.Mkdir(definitions, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, backing := range images {
		content := make([]byte, virtualSize)
		if backing != "" {
			named, recorded, _ := strings.Cut(backing, " ")
			var err error
			if content, err = (mkimage.Qcow2{VirtualSize: virtualSize, Backing: strings.Trim(named, "-"), BackingFormat: recorded}).Bytes(); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []struct {
		made func(string, string) error
		to   string
	}{{os.Symlink, "symlink"}, {os.Link, "hardlink"}} {
		if _, ok := images["base"]; ok {
			if err := link.made(filepath.Join(dir, "base"), filepath.Join(dir, link.to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, disks := range guests {
		text := "<domain type='kvm'><name>" + name + "</name><os><type>hvm</type></os><devices>" + disks + "</devices></domain>"
		if !strings.HasPrefix(disks, "<disk ") {
			text = disks
		}
		if err := os.WriteFile(filepath.Join(definitions, name+".xml"), []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	scan := &host.Scan{Inventory: host.FolderAt(definitions), Targets: []libvirt.Pair{{Libvirt: libvirt.Version{Major: 11, Minor: 3}}}}
	collector := NewCollector(report.Run{Targets: []string{"11.3.0"}}, libvirt.Version{})
	var all []report.Guest
	for r, err := range scan.Reports(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, collector.Add(r))
	}
	h := collector.End()
	h.Guests = all
	// The folder is another one each time.
	text, err := json.Marshal(h)
	if err == nil {
		var again report.Host
		err = json.Unmarshal([]byte(strings.ReplaceAll(string(text), dir, "DIR")), &again)
		h = again
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// fileDisk is a disk on an image of the folder; more is what its element has besides.
func fileDisk(image, format, more string) string {
	return fmt.Sprintf("<disk type='file' device='disk'><driver name='qemu' type='%s'/><source file='DIR/%s'/><target dev='vda' bus='virtio'/>%s</disk>", format, image, more)
}

// netDisk is a raw disk on the network, which is not opened.
func netDisk(attrs, inside string) string {
	return "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol=" + attrs + ">" + inside + "</source><target dev='vda'/></disk>"
}

// imageOf returns the image of this name.
func imageOf(t *testing.T, h report.Host, name string) report.Image {
	t.Helper()
	for _, i := range h.Images {
		if i.Name == name {
			return i
		}
	}
	t.Fatalf("no image is called %q", name)
	return report.Image{}
}

// TestImagesAreIdentified: an image is one, whatever its names; images that differ in any part of
// their source are two.
func TestImagesAreIdentified(t *testing.T) {
	const secret = "hush"
	slice := func(offset int) string {
		return fmt.Sprintf("<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='DIR/base'><slices><slice type='storage' offset='%d' size='512'/></slices></source><target dev='vda'/></disk>", offset)
	}
	h := scanned(t, map[string]string{"base": "", "a": "base raw", "b": "symlink raw", "c": "hardlink raw"}, map[string]string{
		"a": fileDisk("a", "qcow2", ""), "b": fileDisk("b", "qcow2", ""), "c": fileDisk("c", "qcow2", ""),
		"direct": fileDisk("symlink", "raw", ""), "first": slice(0), "second": slice(512),
		"n1": netDisk("'nbd' name='export'", "<host name='one'/>"),
		"n2": netDisk("'nbd' name='export'", "<host name='one' port='10809'/>"), // the same
		"n3": netDisk("'nbd' name='export'", "<host name='two'/>"),
		"n4": netDisk("'nbd' name='export'", "<host transport='unix' socket='/run/one'/>"),
		"n5": netDisk("'nbd' name='export'", "<host transport='unix' socket='/run/two'/>"),
		"n6": netDisk("'nbd'", "<host name='one'/>"),
		"q1": netDisk("'https' name='image' query='token="+secret+"1'", "<host name='one' port='443'/>"),
		"q2": netDisk("'https' name='image' query='token="+secret+"2'", "<host name='one' port='443'/><cookies><cookie name='c'>"+secret+"</cookie></cookies>"),
		"r1": netDisk("'rbd' name='pool/image'", "<host name='one'/><host name='two'/><auth username='"+secret+"'><secret type='ceph' usage='u'/></auth>"),
		"r2": netDisk("'rbd' name='pool/image'", "<host name='one'/><host name='two'/><snapshot name='s'/>"),
	})
	shared := make(map[string][]string)
	for _, i := range h.Images {
		if len(i.Guests) > 1 {
			shared[i.Name] = i.Guests
		}
	}
	want := map[string][]string{"DIR/base": {"a", "b", "c", "direct"}, "nbd://one:10809/export": {"n1", "n2"}}
	if diff := cmp.Diff(want, shared); diff != "" {
		t.Errorf("images of several guests (-want):\n%s", diff)
	}
	if base := imageOf(t, h, "DIR/base"); len(base.Names) != 3 || base.Names[0] != base.Name || !cmp.Equal(base.Writers, []report.DiskRef{{Guest: "direct", Target: "vda"}}) {
		t.Errorf("%+v", base)
	}
	// Those of the guests, each with an overlay or an image of its own, and the base.
	if len(h.Images) != 15 {
		t.Errorf("%d images", len(h.Images))
	}
	text, err := json.Marshal(h)
	if err != nil || strings.Contains(string(text), secret) {
		t.Errorf("%v, a secret is in %s", err, text)
	}
}

// TestImageFacts: whether an image exists, its size, its claim, and its users.
func TestImageFacts(t *testing.T) {
	h := scanned(t, map[string]string{"base": "", "top": "middle qcow2", "middle": "base raw", "lost": "gone qcow2"}, map[string]string{
		"web":  fileDisk("top", "qcow2", ""),
		"view": fileDisk("top", "qcow2", "<readonly/>"),
		"lost": fileDisk("lost", "qcow2", ""),
		"far":  netDisk("'nbd' name='export'", "<host name='one'/>"),
		"cd":   "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>",
	})
	yes, no := true, false
	base := imageOf(t, h, "DIR/base")
	for _, want := range []report.Image{
		{Name: "DIR/top", Exists: &yes, VirtualSize: new(uint64(virtualSize)), Format: "qcow2", From: "xml", Claims: "qcow2", Backing: `"middle"`,
			Below: imageOf(t, h, "DIR/middle").Key, Guests: []string{"view", "web"}, Writers: []report.DiskRef{{Guest: "web", Target: "vda"}}},
		{Name: "DIR/middle", Exists: &yes, VirtualSize: new(uint64(virtualSize)), Format: "qcow2", From: "header", Claims: "qcow2", Backing: `"base"`,
			Below: base.Key, Guests: []string{"view", "web"}, Writers: []report.DiskRef{}},
		{Name: "DIR/base", Exists: &yes, Format: "raw", From: "header", Claims: "raw", Guests: []string{"view", "web"}, Writers: []report.DiskRef{}},
		{Name: "DIR/gone", Exists: &no, Format: "qcow2", From: "header", Guests: []string{"lost"}, Writers: []report.DiskRef{}, Problem: true},
		{Name: "nbd://one:10809/export", Format: "raw", From: "xml", Guests: []string{"far"}, Writers: []report.DiskRef{{Guest: "far", Target: "vda"}}},
	} {
		got := imageOf(t, h, want.Name)
		if known := want.Exists != nil && *want.Exists; (got.Size != nil) != known || (got.Inode != "" && got.Device != "") != known || got.QEMUFormat != got.Format {
			t.Errorf("%+v", got)
		}
		want.Key, want.Names, want.Source, want.Size, want.Device, want.Inode, want.QEMUFormat = got.Key, got.Names, got.Source, got.Size, got.Device, got.Inode, got.QEMUFormat
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want):\n%s", want.Name, diff)
		}
	}
	if len(h.Images) != 6 || *base.Size != virtualSize {
		t.Errorf("%d images, %d bytes", len(h.Images), *base.Size)
	}
}

// TestProblems: each cause appears once, with all its guests, and each guest that is not fine is
// in exactly one.
func TestProblems(t *testing.T) {
	h := scanned(t, map[string]string{"base": "", "system": "-", "golden": "system qcow2",
		"u1": "golden", "u2": "golden", "m1": "gone qcow2", "m2": "gone qcow2", "m3": "gone qcow2", "g1": "base", "fine": "base raw"},
		map[string]string{
			"u1": fileDisk("u1", "qcow2", ""), "u2": fileDisk("u2", "qcow2", ""),
			"m1": fileDisk("m1", "qcow2", ""), "m2": fileDisk("m2", "qcow2", ""),
			// What keeps a guest from starting is worse than a guess.
			"m3":       fileDisk("g1", "qcow2", "") + strings.ReplaceAll(fileDisk("m3", "qcow2", ""), "vda", "vdb"),
			"g1":       fileDisk("g1", "qcow2", ""),
			"fine":     fileDisk("fine", "qcow2", ""),
			"stale":    fileDisk("fine", "qcow2", "<backingStore type='file'><format type='qcow2'/><source file='DIR/system'/><backingStore/></backingStore>"),
			"format":   fileDisk("base", "nonsense", ""),
			"far":      strings.ReplaceAll(netDisk("'nbd' name='x'", "<host name='h'/>"), "raw", "qcow2"),
			"pool":     "<pool/>",
			"unclosed": "<domain type='kvm'><name>unclosed</name>",
		})
	type problem struct {
		state       report.State
		code, image string
		text        string
		guests      string
	}
	var got []problem
	names, in := make(map[string]string), make(map[string]int)
	for _, i := range h.Images {
		names[i.Key] = i.Name
	}
	for _, p := range h.Problems {
		got = append(got, problem{p.State, p.Code, names[p.Image], p.Text, strings.Join(p.Guests, " ")})
		for _, guest := range p.Guests {
			in[guest]++
		}
	}
	want := []problem{
		{report.WillNotStart, "image-missing", "DIR/gone", `"DIR/gone" does not exist`, "m1 m2 m3"},
		{report.WillNotStart, "probed-backing", "DIR/golden", `the format of "DIR/golden" is not recorded; its header claims a backing image`, "u1 u2"},
		{report.WillNotStart, "disk-unreadable", "", `disk cannot be read: format "nonsense" is not one that libvirt passes to QEMU`, "format"},
		{report.WrongData, "chain-conflict", "DIR/fine", `below "DIR/fine" the XML names "DIR/system", but the header "DIR/base", and both exist`, "stale"},
		{report.Guessed, "format-unrecorded", "DIR/base", `the format of "DIR/base" is not recorded`, "g1"},
		{report.Unreadable, "document-unreadable", "", "the definition cannot be read", "pool unclosed"},
		{report.Unknown, "source-not-local", "nbd://h:10809/x", `"nbd://h:10809/x" is not read`, "far"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(problem{})); diff != "" {
		t.Errorf("problems (-want):\n%s", diff)
	}
	for _, g := range h.Guests {
		if listed := in[g.Name]; listed > 1 || (listed == 0) != (g.State == report.Fine) {
			t.Errorf("%s, which is %s, is in %d problems", g.Name, g.State, listed)
		}
	}
	const hint = `its header claims qcow2 and names "system"; state its format: --trust DIR/golden=qcow2 (or =raw)`
	if got := h.Problems[1].Hint; got != hint {
		t.Errorf("the hint is %q, want %q", got, hint)
	}
}
