package chain_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/testdata/peers"
)

// A hint that says how to record a format is pasted, and then the format is
// recorded; an overlay that cannot record it gets no such hint.
func TestHintsToRecordAFormatWork(t *testing.T) {
	peers.Require(t, "sh", "qemu-img")
	for _, c := range []struct {
		overlay, base probe.Format
		hinted        bool
	}{
		{probe.Qcow2, probe.Raw, true}, {probe.Qcow2, probe.Qcow2, true}, {probe.Qcow2, probe.VPC, true},
		{probe.QED, probe.Raw, true}, {probe.QED, probe.Qcow2, false},
		{probe.Qcow, probe.Raw, false}, {probe.Qcow, probe.Qcow2, false},
	} {
		t.Run(fmt.Sprintf("%s over %s", c.overlay, c.base), func(t *testing.T) {
			f := newFiles(t)
			run := func(command string) {
				t.Helper()
				if out, err := exec.Command("sh", "-c", "cd "+f.dir+"; "+command).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v: %s", command, err, out)
				}
			}
			run("qemu-img create -q -f " + string(c.base) + " base.img 1M")
			switch c.overlay {
			case probe.Qcow2:
				f.qcow2("top.img", img{backing: "base.img"})
			case probe.QED:
				f.write("top.img", mkimage.QED{VirtualSize: overlaySize, Backing: "base.img"})
			default:
				run("qemu-img create -q -f " + string(c.overlay) + " -b base.img -F " + string(c.base) + " top.img 8M")
			}
			top := f.layer("top.img", c.overlay)
			const what = "record it permanently in the overlay: "
			hint := wantFinding(t, f.walk(t, chain.Policy{Rule: chain.Declared}, stated(top)), finding.FormatUnrecorded, finding.Refuse).Remedy.String()
			_, command, hinted := strings.Cut(hint, what)
			if hinted != c.hinted {
				t.Fatalf("hint %q", hint)
			}
			sd := stated(top)
			sd.Bus = "sd"
			reported := wantRefused(t, f.walk(t, chain.Policy{}, sd), finding.SDBus)
			if strings.Contains(reported.Remedy.String(), "rebase") != c.hinted || reported.Remedy.String() == "" {
				t.Errorf("hint %q", reported.Remedy.String())
			}
			if !hinted {
				return
			}
			run(command)
			got := f.walk(t, chain.Policy{Rule: chain.Declared}, stated(top))
			wantFixable(t, got, 2)
			if got.Layers[1].From != chain.Header || got.Layers[1].Format != c.base {
				t.Errorf("layer %+v", got.Layers[1])
			}
		})
	}
}

// The file of a slice may begin with another image: no command is shown that
// would change that.
func TestHintsForAPartOfAFile(t *testing.T) {
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	f.qcow2("part", img{backing: "base.raw"})
	part, err := os.ReadFile(f.path("part"))
	if err != nil {
		t.Fatal(err)
	}
	f.put("archive", append(make([]byte, 4096), part...))
	top := layerOf(sliced(file(f.path("archive")), 4096, uint(len(part))), probe.Qcow2)
	hint := wantRefused(t, f.walk(t, chain.Policy{Rule: chain.Declared}, stated(top)), finding.FormatUnrecorded).Remedy.String()
	if !strings.HasSuffix(hint, " -b base.raw IMAGE") {
		t.Errorf("hint %q", hint)
	}
}

// What is not shown of a name has to be filled in, and the hint says so.
func TestHintsForAURLWithAQuery(t *testing.T) {
	f := newFiles(t)
	f.qcow2("top.qcow2", img{backing: "https://host/x?token=hunter2"})
	hint := wantRefused(t, f.walk(t, chain.Policy{}, f.top("top.qcow2")), finding.FormatUnrecorded).Remedy.String()
	wantContains(t, hint, "with the whole query in its name: --trust 'https://host:443/x?...=raw'")
}
