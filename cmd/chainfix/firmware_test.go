package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// TestFirmwareChainIsLost: what is said of the images of firmware variables is what the
// guest sees in them, with the installed libvirt: zeros in the place of a backing image,
// or the bytes of a container.
func TestFirmwareChainIsLost(t *testing.T) {
	t.Parallel()
	l := peers.StartLibvirt(t)
	peers.Require(t, "qemu-storage-daemon", "qemu-img")
	target, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20
	content := bytes.Repeat([]byte("variable"), size/8)
	path := func(name string) string { return filepath.Join(l.Images, name) }
	for name, image := range map[string]mkimage.Qcow2{
		"over": {VirtualSize: size, Backing: "raw", BackingFormat: "raw"},
		"own":  {VirtualSize: size, Data: content},
	} {
		b, err := image.Bytes()
		if err == nil {
			err = os.WriteFile(path(name), b, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path("raw"), content, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path("code"), make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	l.Share(l.Images)
	for n, c := range []struct{ attributes, image string }{
		{"format='qcow2'", "over"}, {"format='qcow2'", "own"}, {"format='raw'", "over"}, {"", "over"}, {"", "raw"},
	} {
		t.Run(c.image+" "+c.attributes, func(t *testing.T) {
			guest := fmt.Sprintf("firmware%d", n)
			document := strings.Replace(peers.SmallGuest(guest, ""), "<os><type arch='x86_64' machine='pc'>hvm</type></os>",
				fmt.Sprintf("<os><type arch='x86_64' machine='q35'>hvm</type><loader readonly='yes' type='pflash'>%s</loader><nvram %s>%s</nvram></os><features><acpi/></features>",
					path("code"), c.attributes, path(c.image)), 1)
			e, err := xmlfix.Examine(t.Context(), &chain.Walker{Policy: chain.Policy{Target: target}}, "guest.xml", []byte(document))
			if err != nil {
				t.Fatal(err)
			}
			l.Define(document)
			if err := l.TryStart(guest); err != nil {
				t.Fatal(err)
			}
			nodes := slices.DeleteFunc(l.Blockdevs(guest), func(node string) bool { return !strings.Contains(node, "pflash1") })
			l.End(guest)
			sees, err := peers.GuestSees(t, nodes)
			if err != nil {
				t.Fatal(err)
			}
			// Of an image that is not stated to be qcow2 it is not always known.
			lost := !bytes.HasPrefix(sees, content)
			if told := len(e.Findings) > 0; told && !lost || lost && !told && c.attributes != "" {
				t.Errorf("lost: %v, %q, by %q; told: %v", lost, sees[:min(16, len(sees))], nodes, e.Findings)
			}
			for _, f := range e.Findings {
				if zeros := strings.Contains(f.Text, "sees zeros"); zeros != bytes.Equal(sees, make([]byte, size)) || zeros == bytes.HasPrefix(sees, []byte("QFI\xfb")) {
					t.Errorf("the guest sees %q: %s", sees[:16], f.Text)
				}
			}
		})
	}
}
