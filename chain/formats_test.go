package chain_test

import (
	"bytes"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// layerCase is a backing image of a qcow2 overlay, with the results if nobody
// records its format, and if the operator states it.
type layerCase struct {
	name string
	img  interface{ Bytes() ([]byte, error) }

	probed probe.Format // what leaf takes it for; "" if it refuses
	code   finding.Code // of leaf's refusal
	warn   finding.Code // of a warning that goes with it; "" for none

	stated  probe.Format // what the operator states
	refused finding.Code // of the refusal in spite of that; "" for none
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
	{name: "raw", img: at(510, "\x55\xaa", baseSize), probed: probe.Raw, stated: probe.Raw},
	{name: "qcow", img: mkimage.Qcow{VirtualSize: baseSize}, probed: probe.Qcow, stated: probe.Qcow},
	{name: "qcow2", img: mkimage.Qcow2{VirtualSize: baseSize}, probed: probe.Qcow2, stated: probe.Qcow2},
	{name: "qcow2 with a data file", img: mkimage.Qcow2{VirtualSize: baseSize, DataFile: "/data"}, code: finding.DataFile, stated: probe.Qcow2, refused: finding.DataFile},
	{name: "qed", img: mkimage.QED{VirtualSize: baseSize}, probed: probe.QED, stated: probe.QED},
	{name: "vmdk", img: mkimage.VMDK{VirtualSize: baseSize}, probed: probe.VMDK, stated: probe.VMDK},
	{name: "vmdk with a parent", img: mkimage.VMDK{VirtualSize: baseSize, Backing: "/parent.vmdk"}, code: finding.ProbedBacking, stated: probe.VMDK, refused: finding.ImageMissing},
	{name: "vmdk descriptor", img: mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Sectors: baseSize / 512, Name: "/etc/shadow"}}}, code: finding.ForeignExtents, stated: probe.VMDK, refused: finding.ForeignExtents},
	{name: "vdi", img: mkimage.VDI{VirtualSize: baseSize}, probed: probe.VDI, stated: probe.VDI},
	{name: "vdi, differencing", img: mkimage.VDI{VirtualSize: baseSize, Differencing: true}, code: finding.Differencing, stated: probe.VDI, refused: finding.Differencing},
	{name: "vpc", img: mkimage.VPC{VirtualSize: baseSize}, probed: probe.VPC, stated: probe.VPC},
	{name: "vpc, fixed", img: mkimage.VPC{VirtualSize: baseSize, Fixed: true}, probed: probe.Raw, warn: finding.RawWithSignature, stated: probe.VPC},
	{name: "vpc, differencing", img: mkimage.VPC{VirtualSize: baseSize, Parent: "parent.vhd"}, code: finding.Differencing, stated: probe.VPC, refused: finding.Differencing},
	{name: "vhdx", img: mkimage.VHDX{VirtualSize: baseSize}, probed: probe.VHDX, stated: probe.VHDX},
	{name: "vhdx, differencing", img: mkimage.VHDX{VirtualSize: baseSize, Parent: "parent.vhdx"}, code: finding.Differencing, stated: probe.VHDX, refused: finding.Differencing},
	{name: "parallels", img: mkimage.Parallels{VirtualSize: baseSize}, probed: probe.Parallels, stated: probe.Parallels},
	{name: "luks 1", img: mkimage.LUKS1{VirtualSize: baseSize}, code: finding.Encrypted, stated: probe.Raw},
	{name: "luks 2", img: at(0, "LUKS\xba\xbe\x00\x02", baseSize), probed: probe.Raw, warn: finding.RawWithSignature, stated: probe.Raw},
	{name: "bochs that is broken", img: at(0, "Bochs Virtual HD Image\x00"+string(make([]byte, 9))+"Redolog\x00"+string(make([]byte, 8))+"Growing\x00"+string(make([]byte, 8))+"\x00\x00\x02\x00", baseSize), code: finding.ImageBroken, stated: probe.Bochs, refused: finding.ImageBroken},
	{name: "dmg by its trailer", img: at(baseSize-512, "koly", baseSize), probed: probe.Raw, warn: finding.RawWithSignature, stated: probe.DMG, refused: finding.ImageBroken},
	{name: "iso", img: at(32769, "CD001", baseSize), probed: probe.Raw, stated: probe.Raw},
	{name: "cow", img: at(0, "OOOM\x00\x00\x00\x02", baseSize), code: finding.ImageBroken, stated: probe.Raw},
	{name: "gzip", img: at(0, "\x1f\x8b\x08\x00", baseSize), probed: probe.Raw, warn: finding.RawWithSignature, stated: probe.Raw},
	{name: "vdi of an unsupported version", img: at(64, "\x7f\x10\xda\xbe\x00\x00\x02\x00", baseSize), code: finding.ImageBroken, stated: probe.Raw},
	{name: "no known signature", img: at(0, "", baseSize), probed: probe.Raw, stated: probe.Raw},
}

func TestLayersOfEveryFormat(t *testing.T) {
	missing := make(map[probe.Format]bool)
	for _, f := range probe.Formats() {
		missing[f] = f.LibvirtName() != "" && f != probe.Cloop
	}
	for _, c := range layerCases {
		t.Run(c.name, func(t *testing.T) {
			f := newFiles(t)
			f.write("base.img", c.img)
			f.qcow2("top.qcow2", img{backing: "base.img"})
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
				wantFinding(t, got, c.warn, finding.Warn)
			}
			for _, reported := range got.Findings {
				if reported.Severity == finding.Warn && c.warn == "" {
					t.Errorf("an unexpected warning: %+v", reported)
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
	f.qcow2("plain.qcow2", img{})
	secret := func(l chain.Layer) chain.Layer {
		src := *l.Source
		src.Encryption = &libvirtxml.DomainDiskEncryption{Format: "luks", Secrets: []libvirtxml.DomainDiskSecret{{Type: "passphrase", Usage: "disk"}}}
		l.Source = &src
		return l
	}
	for _, c := range []struct {
		name    string
		format  probe.Format
		refused finding.Code
		warn    finding.Code
	}{
		{name: "luks.img", format: probe.Raw},
		{name: "luks2.img", format: probe.Raw, refused: finding.ImageBroken},
		{name: "plain.img", format: probe.Raw, refused: finding.FormatMismatch},
		{name: "plain.qcow2", format: probe.Qcow2, warn: finding.Encrypted},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.qcow2("top.qcow2", img{backing: c.name, backingFormat: string(c.format)})
			stated := f.top("top.qcow2")
			stated.Layers = append(stated.Layers, secret(f.layer(c.name, c.format)))
			got := f.walk(t, chain.Policy{}, stated)
			switch {
			case c.refused != "":
				wantRefused(t, got, c.refused)
			case c.warn != "":
				wantFinding(t, got, c.warn, finding.Warn)
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
	wantFinding(t, f.walk(t, chain.Policy{}, top), finding.FormatMismatch, finding.Warn)
}

// Text in a descriptor is safe to print.
func TestDescriptorsAreQuoted(t *testing.T) {
	f := newFiles(t)
	f.write("base.img", mkimage.VMDKDescriptor{Extents: []mkimage.VMDKExtent{{Sectors: 8, Name: "\x1b[2J/etc/shadow"}}})
	f.qcow2("top.qcow2", img{backing: "base.img", backingFormat: "vmdk"})
	got := f.walk(t, chain.Policy{}, f.top("top.qcow2"))
	reported := wantRefused(t, got, finding.ForeignExtents)
	if bytes.ContainsAny([]byte(reported.Text), "\x1b\n") {
		t.Errorf("%q", reported.Text)
	}
	f.wantUntouched(t, "/etc/shadow")
}
