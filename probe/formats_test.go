package probe_test

import (
	"slices"
	"testing"

	"github.com/chainfix/chainfix/probe"
)

// TestFormatFacts: the facts about each format in the table are consistent.
func TestFormatFacts(t *testing.T) {
	for _, f := range probe.Formats() {
		name := f.LibvirtName()
		if back, ok := probe.FromLibvirt(name); ok != (name != "") || ok && back != f {
			t.Errorf("libvirt's name of %s is %q, which is %q", f, name, back)
		}
		switch {
		case !f.Known():
			t.Errorf("%s is not known", f)
		case f.IsAgreedName() && (f.IsQEMUsName() || name != string(f)):
			t.Errorf("%s is agreed upon, and %q to libvirt", f, name)
		case f.IsQEMUsName() && (name == "" || name == string(f)):
			t.Errorf("%s is QEMU's own name, and %q to libvirt", f, name)
		case f.CanRename() && !f.CanHaveBacking():
			t.Errorf("%s records a backing image that it cannot have", f)
		case f.CanRename() != f.CanRecord(probe.Raw):
			t.Errorf("%s can record raw: %t", f, f.CanRecord(probe.Raw))
		case !f.HasDriver() && (f.ReadOnly() || f.Checkable() || name != ""):
			t.Errorf("%s has no driver, but is something to QEMU", f)
		}
	}
	for _, f := range []probe.Format{"", "none", "QCOW2"} {
		if f.Known() || f.HasDriver() || f.LibvirtName() != "" || f.CanHaveBacking() || f.CanRename() || f.CanRecord(probe.Raw) {
			t.Errorf("something is known of %q", f)
		}
	}
}

func TestFromExtension(t *testing.T) {
	for ext, want := range map[string][]probe.Format{
		"": nil, ".": nil, ".img": nil, ".QCOW2": nil, "qcow2": nil,
		".raw": {probe.Raw}, ".iso": {probe.Raw},
		".qcow": {probe.Qcow, probe.Qcow2}, ".qcow2": {probe.Qcow2},
		".vhd": {probe.VPC}, ".vhdx": {probe.VHDX}, ".dmg": {probe.DMG}, ".cow": {probe.COW},
	} {
		if got := probe.FromExtension(ext); !slices.Equal(got, want) {
			t.Errorf("%q suggests %v, want %v", ext, got, want)
		}
	}
}
