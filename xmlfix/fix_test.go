package xmlfix_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/xmlfix"
)

// twoDisks is a domain with two disks: the chain of the first is never refused,
// that of the second only if its base has a backing image.
func twoDisks(t *testing.T, baseHasBacking bool) (dir, document string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name string, image mkimage.Qcow2) {
		t.Helper()
		image.VirtualSize = 1 << 20
		content, err := image.Bytes()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	base := mkimage.Qcow2{}
	if baseHasBacking {
		base.Backing = "other"
	}
	write("base", base)
	write("one", mkimage.Qcow2{Backing: "base", BackingFormat: "qcow2"})
	write("two", mkimage.Qcow2{Backing: "base"})
	write("other", mkimage.Qcow2{})
	disk := func(name, target string) string {
		return "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='" + dir + "/" + name + "'/><target dev='" + target + "'/></disk>"
	}
	return dir, "<domain type='qemu'><name>vm</name><devices>" + disk("one", "vda") + disk("two", "vdb") + "</devices></domain>"
}

// TestFixIsWholeOrNothing: of text and of a libvirtxml.Domain alike.
func TestFixIsWholeOrNothing(t *testing.T) {
	for _, refused := range []bool{false, true} {
		dir, document := twoDisks(t, refused)
		walker := &chain.Walker{}
		fixed, found, err := xmlfix.Fix(t.Context(), walker, "vm.xml", []byte(document))
		var domain, before libvirtxml.Domain
		if err := errors.Join(domain.Unmarshal(document), before.Unmarshal(document)); err != nil {
			t.Fatal(err)
		}
		disks, domainErr := xmlfix.FixDomain(t.Context(), walker, &domain)
		if refused {
			if !errors.Is(err, xmlfix.ErrRefused) || fixed != nil || found.Verdict() != chain.Refused {
				t.Errorf("%v, %q, %v", err, fixed, found)
			}
			if !errors.Is(domainErr, xmlfix.ErrRefused) || len(disks) != 2 || disks[1].Verdict() != chain.Refused {
				t.Errorf("%v, %+v", domainErr, disks)
			}
			if diff := cmp.Diff(before, domain); diff != "" {
				t.Errorf("the domain was changed:\n%s", diff)
			}
			// The operator's word makes it go.
			trusting := &chain.Walker{Policy: chain.Policy{Trust: []chain.Statement{{Path: dir + "/base", Format: probe.Qcow2}}}}
			if _, _, err := xmlfix.Fix(t.Context(), trusting, "vm.xml", []byte(document)); err != nil {
				t.Error(err)
			}
			continue
		}
		if err != nil || found.Verdict() != chain.Fixable || domainErr != nil {
			t.Fatalf("%v, %v", err, domainErr)
		}
		var want libvirtxml.Domain
		if err := want.Unmarshal(string(fixed)); err != nil {
			t.Fatal(err)
		}
		wantText, wantErr := want.Marshal()
		text, textErr := domain.Marshal()
		if diff := cmp.Diff(wantText, text); wantErr != nil || textErr != nil || diff != "" {
			t.Errorf("the text and the domain differ:\n%s", diff)
		}
		again, _, err := xmlfix.Fix(t.Context(), walker, "vm.xml", fixed)
		if err != nil || string(again) != string(fixed) {
			t.Errorf("a second run: %v\n%s", err, again)
		}
	}
	if _, e, err := xmlfix.Fix(t.Context(), &chain.Walker{}, "vm.xml", []byte("<domain>")); !errors.Is(err, xmlfix.ErrSyntax) || e == nil {
		t.Errorf("%v", err)
	}
	if disks, err := xmlfix.FixDomain(t.Context(), &chain.Walker{}, &libvirtxml.Domain{}); disks != nil || err != nil {
		t.Errorf("%v, %v", disks, err)
	}
}
