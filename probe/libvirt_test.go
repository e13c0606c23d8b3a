package probe_test

import (
	"path/filepath"
	"testing"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// libvirtOrder is the order in which libvirt 9.0 tries the formats.
var libvirtOrder = []probe.Format{
	probe.ISO, probe.VPC, probe.VDI, probe.Parallels, probe.COW, probe.Qcow, probe.Qcow2, probe.QED, probe.VMDK,
}

// libvirtTakes returns what Signatures says that libvirt takes an image for.
func libvirtTakes(found []probe.Signature) probe.Format {
	for _, f := range libvirtOrder {
		for _, s := range found {
			if s.Format == f && s.Libvirt {
				return f
			}
		}
	}
	return probe.Raw
}

// TestSignaturesAgreeWithLibvirt lets a real libvirt probe every case, as the
// backing image of an overlay that does not record its format.
func TestSignaturesAgreeWithLibvirt(t *testing.T) {
	l := peers.StartLibvirt(t)
	overlay := filepath.Join(l.Images, "overlay")
	writeImage(t, overlay, must(mkimage.Qcow2{VirtualSize: 1 << 20, Backing: "image"}.Bytes()))
	for _, c := range signatureCases {
		writeImage(t, filepath.Join(l.Images, "image"), c.image)
		l.Share(l.Images)
		got, _, err := l.Probes(overlay)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if want := libvirtTakes(c.want); probe.Format(got) != want {
			t.Errorf("%s: libvirt takes it for %s, Signatures says %s", c.name, got, want)
		}
	}
}
