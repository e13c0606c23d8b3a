package chain_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
)

// To QEMU a json: name with a driver means that the image is raw, as if that
// were recorded; libvirt ignores the driver and probes. So such an overlay's
// author did not mean the qcow2 header that a guest may have written.
func TestDriverInANameCounts(t *testing.T) {
	l := peers.StartLibvirt(t)
	base := filepath.Join(l.Images, "base.img")
	inFile := `{"driver":"file","filename":"` + base + `"}`
	f := &files{t: t, dir: l.Images}
	for name, raw := range map[string]bool{
		base:                           false,
		"json:" + inFile:               true,
		`json:{"file":` + inFile + `}`: false,
		`json:{"driver":"raw","file":` + inFile + `}`:                true,
		`json:{"file":{"driver":"raw","file":` + inFile + `}}`:       false,
		`json:{"file.driver":"file","file.filename":"` + base + `"}`: false,
	} {
		f.qcow2("base.img", img{size: 2 * overlaySize})
		f.qcow2("top.qcow2", img{backing: name, size: 2 * overlaySize})
		top := f.path("top.qcow2")

		// What QEMU and libvirt open.
		out, err := exec.Command("qemu-img", "dd", "-f", "qcow2", "-O", "raw", "bs=512", "count=1", "if="+top, "of="+f.path("seen")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		seen, err := os.ReadFile(f.path("seen"))
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.HasPrefix(seen, []byte("QFI")); got != raw {
			t.Errorf("%s: QEMU sees the container: %v", name, got)
		}
		if format, accepted, err := l.Probes(top); err != nil || !accepted || format != "qcow2" {
			t.Errorf("%s: libvirt takes it for %q (%v, %v)", name, format, accepted, err)
		}

		got := f.walk(t, chain.Policy{}, f.top("top.qcow2"))
		if raw {
			text := wantRefused(t, got, finding.RecordContradicts).Text
			wantContains(t, text, "describes it with the driver")
		} else {
			wantFixable(t, got, 2)
		}

		// If the image is only raw, all agree.
		f.raw("base.img", 1<<20)
		got = f.walk(t, chain.Policy{}, f.top("top.qcow2"))
		wantFixable(t, got, 2)
		if got.Layers[1].Format != probe.Raw {
			t.Errorf("%s: layer %+v", name, got.Layers[1])
		}
		if dispute := strings.Contains(codesOf(got), string(finding.FormatDisputed)); dispute != raw {
			t.Errorf("%s: findings %+v", name, got.Findings)
		}
	}
}

func codesOf(c *chain.Chain) string {
	var codes []string
	for _, f := range c.Findings {
		codes = append(codes, string(f.Code))
	}
	return strings.Join(codes, " ")
}
