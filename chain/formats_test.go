package chain_test

import (
	"bytes"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// layerCase is a base image and what becomes of it below a qcow2 overlay, as
// long as nobody records its format and once the operator states it.
type layerCase struct {
	name  string
	image interface{ Bytes() ([]byte, error) }

	probed probe.Format // what leaf takes it for; "" if it refuses
	code   chain.Code   // of leaf's refusal
	warn   chain.Code   // of a warning that goes with it; "" for none

	stated  probe.Format // what the operator states
	refused chain.Code   // of the refusal in spite of that; "" for none
}

const baseSize = 4 << 20

// literal is an image of its own making.
type literal []byte

func (l literal) Bytes() ([]byte, error) { return l, nil }

// at is an image of zeros with some bytes in it.
func at(off int, s string, size int) literal {
	b := make([]byte, size)
	copy(b[off:], s)
	return b
}

var layerCases = []layerCase{
	{name: "raw", image: at(510, "\x55\xaa", baseSize), probed: probe.Raw, stated: probe.Raw},
	{name: "qcow", image: mkimage.Qcow{VirtualSize: baseSize}, probed: probe.Qcow, stated: probe.Qcow},
	{name: "qcow2", image: mkimage.Qcow2{VirtualSize: baseSize}, probed: probe.Qcow2, stated: probe.Qcow2},
	{name: "qcow2 with a data file", image: mkimage.Qcow2{VirtualSize: baseSize, DataFile: "/data"}, code: chain.DataFile, stated: probe.Qcow2, refused: chain.DataFile},
	{name: "qed", image: mkimage.QED{VirtualSize: baseSize}, probed: probe.QED, stated: probe.QED},
	{name: "vmdk", image: mkimage.VMDK{VirtualSize: baseSize}, probed: probe.VMDK, stated: probe.VMDK},
	{name: "vmdk with a parent", image: mkimage.VMDK{VirtualSize: baseSize, Backing: "/parent.vmdk"}, code: chain.ProbedBacking, stated: probe.VMDK, refused: chain.ImageMissing},
	{name: "vmdk descriptor", image: mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Sectors: baseSize / 512, Name: "/etc/shadow"}}}, code: chain.ForeignExtents, stated: probe.VMDK, refused: chain.ForeignExtents},
	{name: "vdi", image: mkimage.VDI{VirtualSize: baseSize}, probed: probe.VDI, stated: probe.VDI},
	{name: "vdi, differencing", image: mkimage.VDI{VirtualSize: baseSize, Differencing: true}, code: chain.Differencing, stated: probe.VDI, refused: chain.Differencing},
	{name: "vpc", image: mkimage.VPC{VirtualSize: baseSize}, probed: probe.VPC, stated: probe.VPC},
	{name: "vpc, fixed", image: mkimage.VPC{VirtualSize: baseSize, Fixed: true}, probed: probe.Raw, warn: chain.RawWithSignature, stated: probe.VPC},
	{name: "vpc, differencing", image: mkimage.VPC{VirtualSize: baseSize, Parent: "parent.vhd"}, code: chain.Differencing, stated: probe.VPC, refused: chain.Differencing},
	{name: "vhdx", image: mkimage.VHDX{VirtualSize: baseSize}, probed: probe.VHDX, stated: probe.VHDX},
	{name: "vhdx, differencing", image: mkimage.VHDX{VirtualSize: baseSize, Parent: "parent.vhdx"}, code: chain.Differencing, stated: probe.VHDX, refused: chain.Differencing},
	{name: "parallels", image: mkimage.Parallels{VirtualSize: baseSize}, probed: probe.Parallels, stated: probe.Parallels},
	{name: "luks 1", image: mkimage.LUKS1{VirtualSize: baseSize}, code: chain.Encrypted, stated: probe.Raw},
	{name: "luks 2", image: at(0, "LUKS\xba\xbe\x00\x02", baseSize), probed: probe.Raw, warn: chain.RawWithSignature, stated: probe.Raw},
	{name: "bochs that is broken", image: at(0, "Bochs Virtual HD Image\x00"+string(make([]byte, 9))+"Redolog\x00"+string(make([]byte, 8))+"Growing\x00"+string(make([]byte, 8))+"\x00\x00\x02\x00", baseSize), code: chain.ImageBroken, stated: probe.Bochs, refused: chain.ImageBroken},
	{name: "dmg by its trailer", image: at(baseSize-512, "koly", baseSize), probed: probe.Raw, warn: chain.RawWithSignature, stated: probe.DMG, refused: chain.ImageBroken},
	{name: "iso", image: at(32769, "CD001", baseSize), probed: probe.Raw, stated: probe.Raw},
	{name: "cow", image: at(0, "OOOM\x00\x00\x00\x02", baseSize), code: chain.ImageBroken, stated: probe.Raw},
	{name: "gzip", image: at(0, "\x1f\x8b\x08\x00", baseSize), probed: probe.Raw, warn: chain.RawWithSignature, stated: probe.Raw},
	{name: "vdi of a version that nobody opens", image: at(64, "\x7f\x10\xda\xbe\x00\x00\x02\x00", baseSize), code: chain.ImageBroken, stated: probe.Raw},
	{name: "nothing known", image: at(0, "", baseSize), probed: probe.Raw, stated: probe.Raw},
}

func TestLayersOfEveryFormat(t *testing.T) {
	missing := make(map[probe.Format]bool)
	for _, f := range probe.Formats() {
		missing[f] = f.LibvirtName() != "" && f != probe.Cloop
	}
	for _, c := range layerCases {
		t.Run(c.name, func(t *testing.T) {
			f := newFiles(t)
			f.write("base.img", c.image)
			f.qcow2("top.qcow2", image{backing: "base.img"})
			got := f.walk(t, chain.Policy{}, f.top("top.qcow2"))
			if c.probed == "" {
				wantRefused(t, got, c.code)
			} else {
				wantFixable(t, got, 2)
				if base := got.Layers[1]; base.Format != c.probed || base.From != chain.Probe {
					t.Errorf("it is %q from %v, want %q", base.Format, base.From, c.probed)
				}
			}
			if c.warn != "" {
				wantFinding(t, got, c.warn, chain.Warn)
			}
			for _, finding := range got.Findings {
				if finding.Severity == chain.Warn && c.warn == "" {
					t.Errorf("an unexpected warning: %+v", finding)
				}
			}

			strict := f.walk(t, chain.Policy{Rule: chain.Strict}, f.top("top.qcow2"))
			if takesIt := strict.Verdict == chain.Fixable; takesIt != (c.probed == probe.Raw) {
				t.Errorf("strict: %v, %+v", strict.Verdict, strict.Findings)
			}

			trust := chain.Policy{Rule: chain.Declared, Trust: []chain.Statement{{Path: f.path("base.img"), Format: c.stated}}}
			got = f.walk(t, trust, f.top("top.qcow2"))
			if c.refused != "" {
				wantRefused(t, got, c.refused)
				return
			}
			wantFixable(t, got, 2)
			if base := got.Layers[1]; base.Format != c.stated || base.From != chain.Trust {
				t.Errorf("it is %q from %v, want %q", base.Format, base.From, c.stated)
			}
		})
		delete(missing, c.stated)
	}
	for f, is := range missing {
		if is {
			t.Errorf("no case for %q", f)
		}
	}
}

// A luks layer is raw with an <encryption> in the XML, and must then be luks.
func TestSecretsInTheXML(t *testing.T) {
	f := newFiles(t)
	f.write("luks.img", mkimage.LUKS1{VirtualSize: 1 << 20})
	f.put("luks2.img", at(0, "LUKS\xba\xbe\x00\x02", 1<<20))
	f.raw("plain.img", 1<<20)
	f.qcow2("plain.qcow2", image{})
	secret := func(l chain.Layer) chain.Layer {
		src := *l.Source
		src.Encryption = &libvirtxml.DomainDiskEncryption{Format: "luks", Secrets: []libvirtxml.DomainDiskSecret{{Type: "passphrase", Usage: "disk"}}}
		l.Source = &src
		return l
	}
	for _, c := range []struct {
		name    string
		format  probe.Format
		refused chain.Code
		warn    chain.Code
	}{
		{name: "luks.img", format: probe.Raw},
		{name: "luks2.img", format: probe.Raw, refused: chain.ImageBroken},
		{name: "plain.img", format: probe.Raw, refused: chain.FormatMismatch},
		{name: "plain.qcow2", format: probe.Qcow2, warn: chain.Encrypted},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.qcow2("top.qcow2", image{backing: c.name, backingFormat: string(c.format)})
			stated := f.top("top.qcow2")
			stated.Layers = append(stated.Layers, secret(f.layer(c.name, c.format)))
			got := f.walk(t, chain.Policy{}, stated)
			switch {
			case c.refused != "":
				wantRefused(t, got, c.refused)
			case c.warn != "":
				wantFinding(t, got, c.warn, chain.Warn)
			default:
				wantFixable(t, got, 2)
			}
		})
	}

	top := chain.Stated{Layers: []chain.Layer{secret(f.layer("luks.img", probe.Raw))}}
	got := f.walk(t, chain.Policy{}, top)
	wantVerdict(t, got, chain.Explicit, 1)
	if len(got.Findings) > 0 {
		t.Errorf("findings %+v", got.Findings)
	}
	top.Layers[0] = secret(f.layer("plain.img", probe.Raw))
	wantFinding(t, f.walk(t, chain.Policy{}, top), chain.FormatMismatch, chain.Warn)
}

// Text in a descriptor drives no terminal.
func TestDescriptorsAreQuoted(t *testing.T) {
	f := newFiles(t)
	f.write("base.img", mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Sectors: 8, Name: "\x1b[2J/etc/shadow"}}})
	f.qcow2("top.qcow2", image{backing: "base.img", backingFormat: "vmdk"})
	got := f.walk(t, chain.Policy{}, f.top("top.qcow2"))
	finding := wantRefused(t, got, chain.ForeignExtents)
	if bytes.ContainsAny([]byte(finding.Text), "\x1b\n") {
		t.Errorf("%q", finding.Text)
	}
	f.wantUntouched(t, "/etc/shadow")
}
