package xmlfix_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

const (
	loneStyle = `<disk type='file' device='disk'>
  <driver name='qemu' type='qcow2'/>
  <source file='/a'/>
  <target dev='vdb' bus='virtio'/>
</disk>
`
	loneStyleTwo = `<disk type='file' device='disk'>
  <driver name='qemu' type='qcow2'/>
  <source file='/a'/>
  <backingStore type='file'>
    <format type='raw'/>
    <source file='/b'/>
    <backingStore/>
  </backingStore>
  <target dev='vdb' bus='virtio'/>
</disk>
`
)

// loneTests set a chain on a document that is a disk.
var loneTests = []struct {
	name   string
	in     string
	layers []chain.Layer
	want   string
}{
	{"libvirt's layout", loneStyle, two, loneStyleTwo},
	{"CRLF and double quotes", crlf(double(loneStyle)), two, crlf(double(loneStyleTwo))},
	{"declaration and comments", "<?xml version='1.0'?>\n<!-- a -->\n" + loneStyle + "<!-- b -->", two, "<?xml version='1.0'?>\n<!-- a -->\n" + loneStyleTwo + "<!-- b -->"},
	{"one line", plainDisk, two, strings.Replace(plainDisk, "<target", store("raw", "/b", "<backingStore/>")+"<target", 1)},
	{"empty element", strings.Replace(loneStyle, "      <target", "<backingStore/><target", 1), two[:1],
		strings.Replace(loneStyle, "  <target", "  <backingStore/>\n  <target", 1)},
	{"driver type missing", strings.Replace(loneStyle, " type='qcow2'", "", 1), rawTop, strings.Replace(loneStyle, "qcow2", "raw", 1)},
}

func TestLoneDisk(t *testing.T) {
	for _, tt := range loneTests {
		t.Run(tt.name, func(t *testing.T) {
			doc := parse(t, tt.in)
			if len(doc.Disks()) != 1 || doc.DomainName() != "" || doc.Live() {
				t.Fatalf("%d disks of domain %q, live %v", len(doc.Disks()), doc.DomainName(), doc.Live())
			}
			disk := doc.Disks()[0]
			if err := disk.SetChain(fixable(t, disk, tt.layers)); err != nil {
				t.Fatal(err)
			}
			got, err := doc.Bytes()
			if diff := cmp.Diff(tt.want, string(got)); err != nil || diff != "" {
				t.Errorf("%v, document (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestLoneDiskIsRead: as strictly as a disk in a domain, with the same result.
func TestLoneDiskIsRead(t *testing.T) {
	for _, tt := range statedTests {
		if tt.live {
			continue
		}
		got, err := parse(t, tt.disk).Disks()[0].Stated()
		want, wantErr := parse(t, domain(tt.disk)).Disks()[0].Stated()
		want.Guest = ""
		if diff := cmp.Diff(want, got); diff != "" || errors.Is(err, xmlfix.ErrDisk) != errors.Is(wantErr, xmlfix.ErrDisk) {
			t.Errorf("%s (-in a domain +alone), %v:\n%s", tt.name, err, diff)
		}
	}
	if !stated(t, strings.Replace(loneStyle, "'/a'", "'/a' index='1'", 1)).Live {
		t.Error("a disk of a running guest is not live")
	}
	for name, in := range map[string]string{
		"prefixed root":     "<y:disk xmlns:y='u'/>",
		"default namespace": "<disk xmlns='u'/>",
		"DOCTYPE":           "<!DOCTYPE disk>" + plainDisk,
		"two sources":       "<disk type='file'><source file='/a'/><source file='/b'/></disk>",
		"prefixed source":   "<disk type='file'><y:source file='/a'/></disk>",
	} {
		if _, err := xmlfix.Parse("disk.xml", []byte(in)); !errors.Is(err, xmlfix.ErrAmbiguous) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, in := range map[string]string{
		"two roots":       plainDisk + plainDisk,
		"text behind":     plainDisk + "x",
		"not ended":       "<disk>",
		"domain behind":   plainDisk + "<domain/>",
		"text in front":   "x" + plainDisk,
		"CDATA behind it": plainDisk + "<![CDATA[]]>",
	} {
		if _, err := xmlfix.Parse("disk.xml", []byte(in)); !errors.Is(err, xmlfix.ErrSyntax) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLoneDiskAsLibvirt: what libvirt makes of such a document when it attaches
// the disk, and when it updates one, is what was read here.
func TestLoneDiskAsLibvirt(t *testing.T) {
	l := peers.StartLibvirt(t)
	l.Define(`<domain type='qemu'>
  <name>vm</name>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices/>
</domain>`)
	commands := []string{"attach-device", "update-device"}
	for i, document := range []string{loneStyleTwo, strings.Replace(loneStyleTwo, "/b", "/c", 1)} {
		file := filepath.Join(l.Dir, "disk.xml")
		if err := os.WriteFile(file, []byte(document), 0o644); err != nil {
			t.Fatal(err)
		}
		l.Virsh(commands[i], "vm", file, "--config")
		got := stated(t, l.Virsh("dumpxml", "--inactive", "vm"))
		want := stated(t, document)
		want.Guest = "vm" // which the document does not say
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-here +libvirt):\n%s", commands[i], diff)
		}
	}
}

// TestHintsOfOtherDocuments does what the hints for a snapshot's and a saved
// guest's XML say: libvirt then has the chains.
func TestHintsOfOtherDocuments(t *testing.T) {
	peers.Require(t, "qemu-img", "xmllint")
	l := peers.StartLibvirt(t)
	overlay, base := filepath.Join(l.Images, "overlay"), filepath.Join(l.Images, "base")
	for _, args := range [][]string{
		{"create", "-q", "-f", "qcow2", base, "1M"},
		{"create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, overlay},
	} {
		if out, err := l.Command("qemu-img", args...).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img: %v\n%s", err, out)
		}
	}
	l.Define(`<domain type='qemu'>
  <name>vm</name>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='` + overlay + `'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>`)
	l.Virsh("start", "vm")
	l.Virsh("snapshot-create-as", "vm", "s", "--disk-only")

	fixed := func(document string) string {
		doc := parse(t, document)
		disk := doc.Disks()[0]
		layers := append([]chain.Layer(nil), stated(t, document).Layers...)
		layers = append(layers, chain.Layer{Source: file(base), Format: probe.Qcow2, From: chain.Header})
		if err := disk.SetChain(&chain.Chain{Verdict: chain.Fixable, Layers: layers}); err != nil {
			t.Fatal(err)
		}
		out, err := doc.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	wantChain := func(what, document string, layers int) {
		t.Helper()
		if s := stated(t, document); len(s.Layers) != layers || !s.Terminated {
			t.Errorf("%s states %d layers, ended %v:\n%s", what, len(s.Layers), s.Terminated, document)
		}
	}

	snapshot := l.Virsh("snapshot-dumpxml", "vm", "s")
	if _, err := xmlfix.Parse("snapshot.xml", []byte(snapshot)); !errors.Is(err, xmlfix.ErrNotDomain) {
		t.Errorf("a snapshot: %v", err)
	}
	part := func(root string) string {
		t.Helper()
		cmd := l.Command("xmllint", "--xpath", "/domainsnapshot/"+root, "-")
		cmd.Stdin = strings.NewReader(l.Virsh("snapshot-dumpxml", "vm", "s"))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	snapshot = strings.Replace(snapshot, element(snapshot, "domain"), fixed(part("domain")), 1)
	inactive := fixed(renamed(part("inactiveDomain"), "inactiveDomain", "domain"))
	snapshot = strings.Replace(snapshot, element(snapshot, "inactiveDomain"), renamed(inactive, "domain", "inactiveDomain"), 1)
	redefine := filepath.Join(l.Dir, "snapshot.xml")
	if err := os.WriteFile(redefine, []byte(snapshot), 0o644); err != nil {
		t.Fatal(err)
	}
	l.Virsh("snapshot-create", "vm", redefine, "--redefine")
	wantChain("the snapshot", part("domain"), 2)
	wantChain("its definition", renamed(part("inactiveDomain"), "inactiveDomain", "domain"), 2)

	status, err := os.ReadFile(filepath.Join(l.Dir, "run/libvirt/qemu/run/vm.xml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := xmlfix.Parse("status.xml", status); !errors.Is(err, xmlfix.ErrNotDomain) {
		t.Errorf("a status: %v", err)
	}
	parse(t, l.Virsh("dumpxml", "--inactive", "vm"))

	l.Virsh("managedsave", "vm")
	// The pipe has to be one that the daemon's user may open by its name.
	define := l.Command("sh", "-c", "cat | virsh -q managedsave-define vm /dev/stdin")
	define.Stdin = strings.NewReader(fixed(l.Virsh("managedsave-dumpxml", "vm")))
	if out, err := define.CombinedOutput(); err != nil {
		t.Fatalf("managedsave-define: %v\n%s", err, out)
	}
	wantChain("the saved guest", l.Virsh("managedsave-dumpxml", "vm"), 3)
	l.Virsh("start", "vm")
}

// element returns the text of the first element of a name.
func element(document, name string) string {
	start, end := strings.Index(document, "<"+name+" "), strings.Index(document, "</"+name+">")
	return document[start : end+len("</"+name+">")]
}

// renamed gives a document's root another name.
func renamed(document, from, to string) string {
	document = strings.Replace(document, "<"+from, "<"+to, 1)
	return strings.TrimSuffix(strings.TrimSpace(document), "</"+from+">") + "</" + to + ">"
}
