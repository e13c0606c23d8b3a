package xmlfix_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/testdata/peers"
	"github.com/chainfix/chainfix/xmlfix"
)

// TestAsLibxml2 parses what is well-formed or not with libxml2 too. Where the
// two differ Parse is the stricter one, and the table says so: what libxml2
// rejects must never pass.
func TestAsLibxml2(t *testing.T) {
	peers.Require(t, "xmllint")
	for _, tt := range parseTests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := xmlfix.Parse("test.xml", []byte(tt.in))
			cmd := exec.Command("xmllint", "--noout", "-")
			cmd.Stdin = bytes.NewReader([]byte(tt.in))
			report, lintErr := cmd.CombinedOutput()
			if wellFormed := lintErr == nil; wellFormed != (err == nil || tt.stricter) {
				t.Errorf("xmllint takes it: %v (%s); Parse: %v", wellFormed, report, err)
			}
		})
	}
}

// libvirt defines a domain in a private instance of libvirt's test driver and
// returns what it made of it.
func libvirt(t *testing.T, document []byte) (dump []byte, ok bool) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "domain.xml")
	if err := os.WriteFile(file, document, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("virsh", "-q", "-c", "test:///default", "define "+file+"; dumpxml vm")
	report, err := cmd.CombinedOutput()
	if err != nil {
		return report, false
	}
	return report[bytes.Index(report, []byte("<domain")):], true
}

// TestStatedAsLibvirt lets libvirt read disks and compares what it wrote with
// what Stated read in the first place.
func TestStatedAsLibvirt(t *testing.T) {
	peers.Require(t, "virsh")
	for _, tt := range statedTests {
		if tt.live || tt.beyond != "" {
			continue // libvirt drops an index, or reads it differently by design
		}
		t.Run(tt.name, func(t *testing.T) {
			in := domain(tt.disk)
			dump, ok := libvirt(t, []byte(in))
			if rejected := tt.wrong != ""; ok == rejected {
				t.Fatalf("libvirt takes it: %v\n%s", ok, dump)
			}
			if !ok {
				return
			}
			got := stated(t, in)
			got.Typeless = false // libvirt has written a plain end
			if got.Device == "" {
				got.Device = "disk" // libvirt has written the default
			}
			if diff := cmp.Diff(stated(t, string(dump)), got); diff != "" {
				t.Errorf("libvirt reads it differently (-libvirt +here):\n%s\n%s", diff, dump)
			}
		})
	}
}

// TestEditsAsLibvirt defines the golden documents of the edits: libvirt must
// read the chain that was asked for.
func TestEditsAsLibvirt(t *testing.T) {
	peers.Require(t, "virsh")
	for _, tt := range editTests {
		t.Run(tt.name, func(t *testing.T) {
			dump, ok := libvirt(t, []byte(tt.want))
			if !ok {
				t.Fatalf("libvirt rejects it: %s", dump)
			}
			got := stated(t, string(dump))
			if len(got.Layers) != len(tt.layers) || got.Terminated != (len(tt.layers) > 1 || tt.layers[0].Format.CanHaveBacking()) {
				t.Errorf("libvirt reads %d layers, ended %v:\n%s", len(got.Layers), got.Terminated, dump)
			}
			for i, layer := range got.Layers {
				if want := tt.layers[i]; layer.Format != want.Format || storage.Describe(layer.Source) != storage.Describe(want.Source) {
					t.Errorf("layer %d: libvirt reads %s %s", i, layer.Format, storage.Describe(layer.Source))
				}
			}
		})
	}
}
