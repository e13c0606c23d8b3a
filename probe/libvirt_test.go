package probe_test

import (
	"path/filepath"
	"testing"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

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
		if want := probe.LibvirtsChoice(c.want); probe.Format(got) != want {
			t.Errorf("%s: libvirt takes it for %s, LibvirtsChoice says %s", c.name, got, want)
		}
	}
}
