package chain_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/testdata/golden"
	"github.com/chainfix/chainfix/testdata/peers"
)

// docs/formats.md says how QEMU, libvirt and chainfix open each kind of
// backing image with an unrecorded format. The test runs all three.
func TestFormatsAreDocumented(t *testing.T) {
	peers.Require(t, "qemu-img")
	l := peers.StartLibvirt(t)
	f := newFiles(t)
	f.dir = l.Images
	var b strings.Builder
	b.WriteString("# Formats\n\n<!-- Generated: CHAINFIX_UPDATE=1 go test ./chain -run TestFormatsAreDocumented -->\n\n" +
		"A base image below a qcow2 overlay that does not record its format, under a file name that hints at no format: what QEMU 7.2 probes\n" +
		"(`qemu-img info` without `-f`), what libvirt 9.0 takes it for when a guest starts, and what chainfix does. *Refuses* in the\n" +
		"column of QEMU or libvirt means that the guest does not start; the code of chainfix's finding is in brackets. If QEMU\n" +
		"names a format and libvirt uses raw, the guest sees the bytes of the container as long as its definition is not fixed. The last\n" +
		"column is about an overlay that does record the format, by QEMU's name for it: that counts under every rule.\n\n" +
		"| base image | QEMU says | libvirt 9.0 says | `--rule leaf` | `--rule strict` | stated by `--trust` | recorded, `--rule declared` |\n" +
		"| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, c := range layerCases {
		f.write("base.img", c.img)
		f.qcow2("top.qcow2", img{backing: "base.img"})
		l.Share(l.Images)
		libvirt, accepted, err := l.Probes(f.path("top.qcow2"))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !accepted {
			libvirt += ", refuses"
		}
		say := func(p chain.Policy) string {
			got := f.walk(t, p, f.top("top.qcow2"))
			if got.Verdict == chain.Refused {
				return "refuses [" + string(firstRefusal(got)) + "]"
			}
			says := got.Layers[1].Format.LibvirtName()
			for _, reported := range got.Findings {
				if reported.Severity == finding.Warn {
					says += ", warns [" + string(reported.Code) + "]"
				}
			}
			return says
		}
		trust := chain.Policy{Rule: chain.Declared, Trust: []chain.Statement{{Path: f.path("base.img"), Format: c.stated}}}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | `%s`: %s |", c.name, qemuProbes(t, f.path("base.img")), libvirt,
			say(chain.Policy{}), say(chain.Policy{Rule: chain.Strict}), c.stated.LibvirtName(), say(trust))
		f.qcow2("top.qcow2", img{backing: "base.img", backingFormat: string(c.stated)})
		fmt.Fprintf(&b, " `%s`: %s |\n", c.stated, say(chain.Policy{Rule: chain.Declared}))
	}
	golden.File(t, "../docs/formats.md", b.String())
}

func firstRefusal(c *chain.Chain) finding.Code {
	for _, reported := range c.Findings {
		if reported.Severity == finding.Refuse {
			return reported.Code
		}
	}
	return ""
}

// qemuProbes returns the format that qemu-img probes.
func qemuProbes(t *testing.T, path string) string {
	t.Helper()
	cmd := exec.Command("qemu-img", "info", "--output=json", filepath.Base(path))
	cmd.Dir = filepath.Dir(path)
	out, err := cmd.Output()
	if err != nil {
		if _, ok := err.(*exec.ExitError); !ok {
			t.Fatal(err)
		}
		return "refuses"
	}
	var info struct{ Format string }
	if err := json.Unmarshal(out, &info); err != nil {
		t.Fatal(err)
	}
	return info.Format
}
