package xmlfix_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	versions "github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/xmlfix"
)

// TestChainsElsewhere: an image outside of the disks with an ignored chain
// gets a warning about what the target libvirt does with it, and stays
// unchanged.
func TestChainsElsewhere(t *testing.T) {
	dir := t.TempDir()
	for name, image := range map[string]interface{ Bytes() ([]byte, error) }{
		"over": mkimage.Qcow2{VirtualSize: 1 << 20, Backing: "secret", BackingFormat: "raw"},
		"qcow": mkimage.Qcow{VirtualSize: 1 << 20, Backing: "secret"},
		"own":  mkimage.Qcow2{VirtualSize: 1 << 20},
	} {
		content, err := image.Bytes()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "raw"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	before, since := versions.Version{Major: 9, Minor: 1}, versions.FirmwareFormats.Since
	const lost, bytes, format = "libvirt tells QEMU that it has none", "is read byte by byte", "ignores the format in"
	for _, c := range []struct {
		os, devices string
		target      versions.Version
		want        []string // what the warnings say, each a part of one
	}{
		{os: "<loader type='pflash' format='qcow2'>@/over</loader><nvram format='qcow2'>@/over</nvram>", want: []string{lost, lost}},
		{os: "<loader type='pflash' format='qcow2'>@/over</loader><nvram format='qcow2'>@/over</nvram>", target: since, want: []string{lost, lost}},
		{os: "<loader type='pflash' format='qcow2'>@/over</loader><nvram format='qcow2'>@/own</nvram>", target: before, want: []string{format, format}},
		{os: "<nvram format='qcow2'>@/own</nvram>", target: since},
		{os: "<nvram format='qcow2'>@/raw</nvram>", target: before},
		{os: "<nvram format='qcow2'>@/gone</nvram>"},
		{os: "<nvram format='qcow2'>over</nvram>"},
		{os: "<nvram format='qcow2'> @/over</nvram>"},
		{os: "<nvram format='qcow2'><![CDATA[@]]>/ov<!-- -->e&#114;</nvram>", want: []string{lost}},
		{os: "<nvram format='raw'>@/over</nvram>", want: []string{bytes}},
		{os: "<nvram format='raw'>@/own</nvram>"},
		{os: "<nvram format='vmdk'>@/over</nvram>"},
		{os: "<nvram>@/over</nvram>"},
		{os: "<nvram>@/over</nvram>", target: since},
		{os: "<nvram>@/qcow</nvram>", target: before, want: []string{bytes}},
		{os: "<nvram type='file' format='qcow2'><source file='@/over'/></nvram>", want: []string{lost}},
		{os: "<nvram type='block' format='qcow2'>\n<source dev='@/over'/>\n</nvram>", want: []string{lost}},
		{os: "<nvram type='file' format='qcow2'>@/over</nvram>"},
		{os: "<nvram format='qcow2'>@/over<source file='@/own'/></nvram>", want: []string{lost}},
		{os: "<nvram type='network' format='qcow2'><source protocol='nbd' name='x'/></nvram>"},
		{os: "<nvram template='@/over' format='qcow2'>@/own</nvram>"},
		{os: "<nvram format='qcow2'>@/own</nvram><nvram format='qcow2'>@/over</nvram>"},
		{os: "<x:nvram xmlns:x='urn:x' format='qcow2'>@/over</x:nvram>"},
		{os: "<kernel>@/over</kernel><initrd>@/qcow</initrd>", target: since, want: []string{bytes, bytes}},
		{os: "<kernel>@/raw</kernel><initrd>@/own</initrd>"},
		{os: "<cmdline>@/over</cmdline>"},
		{devices: "<tpm model='tpm-crb'><backend type='emulator'><source type='file' path='@/over'/></backend></tpm>", want: []string{bytes}},
		{devices: "<tpm model='tpm-crb'><backend type='emulator'><source type='file' path='@/over'/></backend></tpm>", target: before},
		{devices: "<tpm model='tpm-crb'><backend type='emulator'><source type='dir' path='@'/></backend></tpm>"},
		{devices: "<tpm model='tpm-crb'><backend type='passthrough'><device path='@/over'/></backend></tpm>"},
		{devices: "<nvram format='qcow2'>@/over</nvram>"},
		{devices: strings.Repeat("<tpm><backend><source type='file' path='@/over'/></backend></tpm>", 100),
			want: strings.Split(strings.Repeat(bytes+"\n", 16), "\n")[:16]},
		{os: "<nvram format='qcow2'>@/over" + strings.Repeat("/", 1<<20) + "</nvram>"},
	} {
		document := strings.ReplaceAll("<domain type='kvm'>\n<name>vm</name>\n<os>"+c.os+"</os>\n<devices>"+c.devices+"</devices>\n</domain>\n", "@", dir)
		name := document[:min(len(document), 400)]
		walker := &chain.Walker{Policy: chain.Policy{Target: c.target}}
		fixed, e, err := xmlfix.Fix(context.Background(), walker, "vm.xml", []byte(document))
		if err != nil || string(fixed) != document || e.Verdict() != chain.Explicit {
			t.Errorf("%s\nbecomes %s, %v", name, fixed, err)
			continue
		}
		if len(e.Findings) != len(c.want) {
			t.Errorf("%s\nfor %q: %+v", name, c.target, e.Findings)
			continue
		}
		for i, f := range e.Findings {
			if f.Code != finding.ChainElsewhere || f.Severity != finding.Warn || !strings.Contains(f.Text, c.want[i]) || f.Pos.Line < 3 ||
				document[f.Pos.Offset] != '<' || strings.Contains(f.Text, "secret") == (c.want[i] == format) {
				t.Errorf("%s\nfor %q: %+v", name, c.target, f)
			}
		}
	}
}
