package chain_test

import (
	"os/exec"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
)

// A top's own type is compared with the statements, whether it can have a
// backing image or not; one that is not stated is written. What is stated
// never changes.
func TestStatementsAboutTops(t *testing.T) {
	f := newFiles(t)
	f.raw("disk.img", 1<<20)
	f.qcow2("disk.qcow2", img{})
	f.symlink("disk.img", "link.img")
	network := chain.Layer{Format: probe.Raw, From: chain.XML, Source: &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{
		Protocol: "nbd", Name: "disk", Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "storage", Port: "10809"}}}}}
	const uri = "nbd://storage:10809/disk"
	encrypted := f.layer("disk.img", probe.Raw)
	encrypted.Source.Encryption = &libvirtxml.DomainDiskEncryption{Format: "luks"}
	for _, c := range []struct {
		name    string
		top     chain.Layer
		below   bool // the XML goes on to another image
		path    string
		pattern bool
		format  probe.Format
		want    chain.Verdict
	}{
		{"raw, stated qcow2", f.layer("disk.img", probe.Raw), false, "disk.img", false, probe.Qcow2, chain.Refused},
		{"raw by another name", f.layer("disk.img", probe.Raw), false, "link.img", false, probe.Qcow2, chain.Refused},
		{"raw by a pattern", f.layer("disk.img", probe.Raw), false, "*.img", true, probe.Qcow2, chain.Refused},
		{"raw that agrees", f.layer("disk.img", probe.Raw), false, "disk.img", false, probe.Raw, chain.Explicit},
		{"raw, another is stated", f.layer("disk.img", probe.Raw), false, "disk.qcow2", false, probe.Qcow2, chain.Explicit},
		{"luks is raw to the XML", encrypted, false, "disk.img", false, probe.Raw, chain.Explicit},
		{"luks, stated qcow2", encrypted, false, "disk.img", false, probe.Qcow2, chain.Refused},
		{"raw with a chain that goes on", f.layer("disk.img", probe.Raw), true, "disk.img", false, probe.Qcow2, chain.Refused},
		{"raw that is gone", f.layer("gone.img", probe.Raw), false, "gone.img", false, probe.Qcow2, chain.Refused},
		{"vpc, stated qcow2", f.layer("disk.img", probe.VPC), false, "disk.img", false, probe.Qcow2, chain.Refused},
		{"vpc, stated raw", f.layer("disk.img", probe.VPC), false, "disk.img", false, probe.Raw, chain.Refused},
		{"vpc that agrees", f.layer("disk.img", probe.VPC), false, "disk.img", false, probe.VPC, chain.Explicit},
		{"vdi by another name", f.layer("disk.img", probe.VDI), false, "link.img", false, probe.Raw, chain.Refused},
		{"qcow2, stated raw", f.layer("disk.qcow2", probe.Qcow2), false, "disk.qcow2", false, probe.Raw, chain.Refused},
		{"no type, stated qcow2", f.layer("disk.qcow2", ""), false, "disk.qcow2", false, probe.Qcow2, chain.Fixable},
		{"no type, stated raw", f.layer("disk.qcow2", ""), false, "disk.qcow2", false, probe.Raw, chain.Fixable},
		{"no type, stated by another name", f.layer("disk.img", ""), false, "link.img", false, probe.Raw, chain.Fixable},
		{"network, stated qcow2", network, false, uri, false, probe.Qcow2, chain.Refused},
		{"network that agrees", network, false, uri, false, probe.Raw, chain.Explicit},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.path != uri {
				c.path = f.path(c.path)
			}
			s := chain.Stated{Target: "vda", Layers: []chain.Layer{c.top}}
			if c.below {
				s.Layers = append(s.Layers, f.layer("disk.qcow2", probe.Qcow2))
			}
			got := f.walk(t, chain.Policy{Trust: []chain.Statement{{Path: c.path, Pattern: c.pattern, Format: c.format}}}, s)
			switch {
			case got.Verdict != c.want:
				t.Fatalf("%v, want %v: %+v", got.Verdict, c.want, got.Findings)
			case c.want == chain.Fixable && (got.Layers[0].Format != c.format || got.Layers[0].From != chain.Trust):
				t.Errorf("the type that is written: %+v", got.Layers[0])
			case c.want == chain.Explicit && got.Layers[0].Format != c.top.Format:
				t.Errorf("the type has changed: %+v", got.Layers[0])
			case c.want == chain.Refused:
				wantFix(t, wantRefused(t, got, finding.TrustConflict), c.pattern, "<driver name='qemu' type='"+c.format.LibvirtName()+"'/>")
				if len(got.Findings) != 1 {
					t.Errorf("more was said: %+v", got.Findings)
				}
			}
		})
	}
}

// wantFix checks that a hint says how to fix either side.
func wantFix(t *testing.T, f finding.Finding, pattern bool, other string) {
	t.Helper()
	drop := "if the statement is wrong, remove --trust "
	if pattern {
		drop = "if the statement is wrong, remove the glob "
	}
	if !strings.HasPrefix(f.Remedy.String(), drop) || !strings.Contains(f.Remedy.String(), other) {
		t.Errorf("hint %q", f.Remedy.String())
	}
}

// Explicit chains that are only partly checked, because an image is missing or
// a part cannot be written, are compared with the statements too.
func TestStatementsAboutUncheckedChains(t *testing.T) {
	f := newFiles(t)
	f.qcow2("top.qcow2", img{backing: "gone.img", backingFormat: "qcow2"})
	s := f.top("top.qcow2")
	s.Layers = append(s.Layers, f.layer("gone.img", probe.Qcow2), f.layer("lowest.img", probe.Raw))
	s.Terminated = true
	state := func(name string, format probe.Format) chain.Policy {
		return chain.Policy{Trust: []chain.Statement{{Path: f.path(name), Format: format}}}
	}
	wantVerdict(t, f.walk(t, chain.Policy{}, s), chain.Explicit, 3)
	wantVerdict(t, f.walk(t, state("lowest.img", probe.Raw), s), chain.Explicit, 3)
	wantFix(t, wantRefused(t, f.walk(t, state("lowest.img", probe.Qcow2), s), finding.TrustConflict), false, "<format type='qcow2'/> in its <backingStore>")
	wantRefused(t, f.walk(t, state("gone.img", probe.Raw), s), finding.TrustConflict)

	s = f.top("top.qcow2")
	s.Inexpressible, s.Terminated = "a <backingStore> of type nvme", true
	wantVerdict(t, f.walk(t, state("top.qcow2", probe.Qcow2), s), chain.Explicit, 1)
	wantRefused(t, f.walk(t, state("top.qcow2", probe.Raw), s), finding.TrustConflict)
}

// The refusal's command corrects the overlay's record: the chain that was
// refused is fixed with the same statement.
func TestTrustConflictCorrectsTheRecord(t *testing.T) {
	peers.Require(t, "sh", "qemu-img")
	f := newFiles(t)
	f.mkdir("it's here")
	f.qcow2("it's here/base.img", img{})
	f.qcow2("it's here/top.qcow2", img{backing: "base.img", backingFormat: "raw"})
	policy := chain.Policy{Trust: []chain.Statement{{Path: f.path("it's here/base.img"), Format: probe.Qcow2}}}
	refused := wantRefused(t, f.walk(t, policy, f.top("it's here/top.qcow2")), finding.TrustConflict)
	_, command, ok := strings.Cut(refused.Remedy.String(), "record the format there: ")
	if !ok {
		t.Fatalf("hint %q", refused.Remedy.String())
	}
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	wantFixable(t, f.walk(t, policy, f.top("it's here/top.qcow2")), 2)
}

// Two statements that contradict each other are told with what drops either.
func TestStatementsThatContradictEachOther(t *testing.T) {
	f := newFiles(t)
	f.qcow2("base.img", img{})
	got := f.walk(t, chain.Policy{Trust: []chain.Statement{
		{Path: f.path("b*"), Pattern: true, Format: probe.Raw}, {Path: f.path("*.img"), Pattern: true, Format: probe.Qcow2}}},
		chain.Stated{Target: "vda", Layers: []chain.Layer{f.layer("base.img", probe.Raw)}})
	hint := wantRefused(t, got, finding.TrustConflict).Remedy.String()
	for _, want := range []string{`the glob "` + f.path("b*") + `"`, `the glob "` + f.path("*.img") + `"`, "--trust " + f.path("base.img=raw"), "--trust " + f.path("base.img=qcow2")} {
		if !strings.Contains(hint, want) {
			t.Errorf("hint %q lacks %q", hint, want)
		}
	}
}
