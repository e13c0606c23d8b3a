package storage

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// TestBackingsAsLibvirtOpensThem starts a guest whose disks are overlays with
// every backing string that is read here, once with what libvirt makes of them
// and once with an explicit chain of what ParseBacking makes of them. QEMU
// reaches none of the servers; what it was asked to open must be the same.
func TestBackingsAsLibvirtOpensThem(t *testing.T) {
	l := peers.StartLibvirt(t)
	base := filepath.Join(l.Images, "base: 1.raw")
	if err := os.WriteFile(base, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	file := mustJSON(t, base)
	opened := []string{
		base, "./base: 1.raw", "../images//./base: 1.raw",
		`json:{"driver":"file","filename":` + file + `}`,
		`json:{"file.driver":"host_device","file.filename":` + file + `}`,
		`json:{"file":{"driver":"raw","file":{"driver":"file","filename":` + file + `}}}`,
		`json:{"file":{"driver":"raw"},"file.file":{"driver":"file","filename":` + file + `}}`,
		`json:{"driver":"raw","offset":512,"size":1024,"file":{"driver":"file","filename":` + file + `}}`,
		`json:{"driver":"raw","size":1024,"file":{"driver":"file","filename":` + file + `}}`,
		`json:{"driver":"raw","offset":512,"size":1024,"file.driver":"nbd","file.host":"h"}`,
	}
	var refused []string
	for _, cases := range [][]backingCase{casesOfLibvirt, moreBackings} {
		for _, c := range cases {
			switch {
			case c.err != nil || c.diskType != "network":
			case strings.Contains(c.s, `"namespace"`):
				// 9.0 drops it, and 11.6 does not.
			case strings.Contains(c.s, "tftp:"), strings.Contains(c.s, "+rdma:"):
				refused = append(refused, c.s)
			default:
				opened = append(opened, c.s)
			}
		}
	}

	overlays, plain, explicit := guestsOver(t, l, opened)
	theirs, ours := startedNodes(t, l, plain), startedNodes(t, l, explicit)
	for i, s := range opened {
		want, got := theirs.above(overlays[i]), ours.above(overlays[i])
		if _, ok := want["backing"].(map[string]any); !ok {
			t.Errorf("%q: libvirt leaves the chain to QEMU", s)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-libvirt +explicit):\n%s", s, diff)
		}
	}
	for _, s := range refused {
		_, plain, explicit := guestsOver(t, l, []string{s})
		_, want := start(t, l, plain)
		if _, got := start(t, l, explicit); want == "" || got != want {
			t.Errorf("%q: libvirt says %q, and of the explicit chain %q", s, want, got)
		}
	}
}

const guestOfBackings = `<domain type='qemu'><memory unit='MiB'>64</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><controller type='scsi' index='0' model='virtio-scsi'/></devices></domain>`

// guestsOver makes an overlay over each of the backing strings, and two guests
// with all of them as disks: one with no chain in its XML, one with an explicit
// one.
func guestsOver(t *testing.T, l *peers.Libvirt, backings []string) (overlays []string, plain, explicit *libvirtxml.Domain) {
	t.Helper()
	plain, explicit = &libvirtxml.Domain{}, &libvirtxml.Domain{}
	for d, name := range map[*libvirtxml.Domain]string{plain: "plain", explicit: "explicit"} {
		if err := d.Unmarshal(guestOfBackings); err != nil {
			t.Fatal(err)
		}
		d.Name = name
	}
	for i, s := range backings {
		overlay := filepath.Join(l.Images, "top"+strconv.Itoa(i))
		data, err := mkimage.Qcow2{VirtualSize: 1 << 20, Backing: s, BackingFormat: "raw"}.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(overlay, data, 0o644); err != nil {
			t.Fatal(err)
		}
		top := LocalSource(overlay, false)
		src, err := ParseBacking(s, top)
		if err != nil {
			t.Fatal(err)
		}
		disk := libvirtxml.DomainDisk{
			Device: "disk", Source: top,
			Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2"},
			Target: &libvirtxml.DomainDiskTarget{Dev: "sd" + letter(i), Bus: "scsi"},
		}
		plain.Devices.Disks = append(plain.Devices.Disks, disk)
		disk.BackingStore = &libvirtxml.DomainDiskBackingStore{
			Format: &libvirtxml.DomainDiskFormat{Type: "raw"}, Source: src,
			BackingStore: &libvirtxml.DomainDiskBackingStore{},
		}
		explicit.Devices.Disks = append(explicit.Devices.Disks, disk)
		overlays = append(overlays, overlay)
	}
	l.Share(l.Images)
	return overlays, plain, explicit
}

// start defines a guest, starts it, which fails, and removes it. It returns the
// -blockdev options that QEMU was given, or why it was given none.
func start(t *testing.T, l *peers.Libvirt, d *libvirtxml.Domain) (options []string, refusal string) {
	t.Helper()
	text, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(l.Dir, d.Name+".xml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := l.Try("define", path)
	if err == nil {
		out, err = l.Try("start", d.Name)
		l.Virsh("undefine", d.Name)
	}
	if err == nil {
		t.Fatal("the guest starts, so its disks are others than it says")
	}
	_, reason, _ := strings.Cut(strings.TrimSpace(out), "\n")
	// A QEMU that ends before libvirt has connected to it was given its options, too.
	if !strings.Contains(reason, "qemu-system-x86_64:") && !strings.Contains(reason, "monitor socket") {
		return nil, reason
	}
	return l.Blockdevs(d.Name), ""
}

// letter names a disk: a to z, aa, ab and so on.
func letter(i int) string {
	if i < 26 {
		return string(rune('a' + i))
	}
	return letter(i/26-1) + letter(i%26)
}

// nodes are -blockdev options by their node names.
type nodes map[string]map[string]any

// startedNodes returns what QEMU is asked to open when a guest starts.
func startedNodes(t *testing.T, l *peers.Libvirt, d *libvirtxml.Domain) nodes {
	t.Helper()
	options, refusal := start(t, l, d)
	if refusal != "" {
		t.Fatalf("libvirt refuses: %s", refusal)
	}
	all := nodes{}
	for _, option := range options {
		var node map[string]any
		if err := json.Unmarshal([]byte(option), &node); err != nil {
			t.Fatal(err)
		}
		all[node["node-name"].(string)] = node
	}
	return all
}

var nodeNumber = regexp.MustCompile(`^libvirt-\d+-`)

// above returns the node whose file is the one with a name, with all that it
// refers to, and without the numbers in node names.
func (all nodes) above(filename string) map[string]any {
	for _, node := range all {
		if file, ok := node["file"].(string); ok && all[file]["filename"] == filename {
			return all.whole(node)
		}
	}
	return nil
}

func (all nodes) whole(node map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range node {
		if name, ok := value.(string); ok {
			value = nodeNumber.ReplaceAllString(name, "libvirt-")
			if inner, ok := all[name]; ok && key != "node-name" {
				value = all.whole(inner)
			}
		}
		out[key] = value
	}
	return out
}
