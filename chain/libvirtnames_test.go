package chain_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// libvirt's own test of its walk (tests/virstoragetest.c) has these cases, by
// these names: images from the top down, each with the format that it is said
// to have, "auto" where nobody says. libvirt's results are known; these are
// chainfix's, under the default rule.
func TestCasesOfLibvirt(t *testing.T) {
	f := newFiles(t)
	f.raw("raw", overlaySize/2)
	f.qcow2("qcow2", img{})
	f.qcow2("qcow2-on-raw", img{backing: "raw", backingFormat: "raw"})
	f.qcow2("qcow2-on-auto", img{backing: "raw"})
	f.qcow2("self", img{backing: "self", backingFormat: "qcow2"})
	f.qcow2("one", img{backing: "two", backingFormat: "qcow2"})
	f.qcow2("two", img{backing: "one", backingFormat: "qcow2"})
	f.qcow2("data", img{dataFile: f.path("raw")})
	f.write("qed", mkimage.QED{VirtualSize: overlaySize, Backing: "raw", NoProbe: true})
	f.write("qed-auto", mkimage.QED{VirtualSize: overlaySize, Backing: "raw"})
	for _, dir := range []string{"volume", "links"} {
		if err := os.Mkdir(f.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f.qcow2("volume/image2", img{})
	f.raw("links/raw", 512)
	if err := os.Symlink("../qcow2-on-raw", f.path("links/top")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		top    any // the name of an image, or what top.qcow2 is
		format probe.Format
		layers int          // of a chain that is accepted
		code   finding.Code // of a refusal
	}{
		{name: "raw-raw", top: "raw", format: probe.Raw, layers: 1},
		{name: "raw-auto", top: "raw", layers: 1},
		{name: "qcow2-qcow2_raw-raw", top: img{backing: f.path("raw"), backingFormat: "raw"}, format: probe.Qcow2, layers: 2},
		{name: "qcow2-qcow2_raw-raw-relative", top: img{backing: "raw", backingFormat: "raw"}, format: probe.Qcow2, layers: 2},
		{name: "qcow2-auto_raw-raw-relative", top: img{backing: "raw", backingFormat: "raw"}, layers: 1},
		{name: "qcow2-qcow2_qcow2-qcow2_raw-raw", top: img{backing: "qcow2-on-raw", backingFormat: "qcow2"}, format: probe.Qcow2, layers: 3},
		{name: "qcow2-qcow2_qcow2-qcow2_raw-auto", top: img{backing: "qcow2-on-auto", backingFormat: "qcow2"}, format: probe.Qcow2, layers: 3},
		{name: "qcow2-qcow2_qcow2-qcow2_qcow2-auto", top: img{backing: "qcow2", backingFormat: "qcow2"}, format: probe.Qcow2, layers: 2},
		{name: "qcow2-qcow2_qcow2-auto", top: img{backing: "qcow2"}, format: probe.Qcow2, layers: 2},
		{name: "qcow2-qcow2_qcow2-auto_raw-raw", top: img{backing: "qcow2-on-raw"}, format: probe.Qcow2, code: finding.ProbedBacking},
		{name: "qcow2-qcow2_qcow2-auto_qcow2-auto", top: img{backing: "qcow2-on-auto"}, format: probe.Qcow2, code: finding.ProbedBacking},
		{name: "qcow2-qcow2_missing", top: img{backing: "missing", backingFormat: "qcow2"}, format: probe.Qcow2, code: finding.ImageMissing},
		{name: "qcow2-qcow2_nbd-raw", top: img{backing: "nbd:example.org:6000:exportname=blah", backingFormat: "raw"}, format: probe.Qcow2, layers: 2},
		{name: "qcow2-protocol-backing-file", top: img{backing: "raw", backingFormat: "file"}, format: probe.Qcow2, layers: 2},
		{name: "qcow2-protocol-backing-nbd", top: img{backing: "qcow2", backingFormat: "nbd"}, format: probe.Qcow2, code: finding.RecordContradicts},
		{name: "qcow2-symlinks", top: "links/top", format: probe.Qcow2, layers: 2},
		{name: "qcow2-qcow2_infinite-self", top: "self", format: probe.Qcow2, code: finding.ChainLoop},
		{name: "qcow2-qcow2_infinite-mutual", top: "one", format: probe.Qcow2, code: finding.ChainLoop},
		{name: "qcow2-datafile", top: "data", format: probe.Qcow2, code: finding.DataFile},
		{name: "qcow2-qcow2_qcow2-datafile-auto", top: img{backing: "data"}, format: probe.Qcow2, code: finding.DataFile},
		{name: "qcow2-qcow2_qcow2-volume", top: img{backing: "../" + filepath.Base(f.dir) + "/volume/image2", backingFormat: "qcow2"}, format: probe.Qcow2, layers: 2},
		{name: "qed-qed_raw", top: "qed", format: probe.QED, layers: 2},
		{name: "qed-auto_raw", top: "qed-auto", format: probe.QED, layers: 2},
		{name: "directory-raw", top: "volume", format: probe.Raw, layers: 1},
		{name: "directory-qcow2", top: "volume", format: probe.Qcow2, code: finding.NotAnImage},
	} {
		t.Run(c.name, func(t *testing.T) {
			name, ok := c.top.(string)
			if !ok {
				name = "top.qcow2"
				f.qcow2(name, c.top.(img))
			}
			got := f.walk(t, chain.Policy{}, chain.Stated{Target: "vda", Layers: []chain.Layer{f.layer(name, c.format)}})
			if c.code != "" {
				wantRefused(t, got, c.code)
			} else if got.Verdict == chain.Refused || len(got.Layers) != c.layers {
				t.Errorf("%v with %d layers, want %d: %+v", got.Verdict, len(got.Layers), c.layers, got.Findings)
			}
		})
	}
}
