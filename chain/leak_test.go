package chain_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/probe"
)

// Whatever the name of an image in a header, no finding shows a password.
func TestFindingsShowNoPassword(t *testing.T) {
	const secret = "hunter2"
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	policies := map[string]chain.Policy{
		"":        {},
		"target":  {Target: libvirt.Version{Major: 12}},
		"refresh": {Disagreement: chain.HeadersWin},
		"keep":    {Disagreement: chain.XMLWins},
	}
	for _, name := range []string{
		"https://user:hunter2@host/x",
		"https://user:hunter2@host/x\x00.raw",
		"https://host/x?token=hunter2",
		"https://host/x?token=hunter2\x00",
		"nbd://host:hunter2/x",
		"hunter2@host://x",
		"rbd:pool/image:id=admin:key=hunter2",
		`json:{"driver":"https","url":"https://host/x","cookie":"session=hunter2"}`,
		`json:{"driver":"https","url":"https://host/x","hunter2":1}`,
		`json:{"driver":"iscsi","transport":"tcp","portal":"h","target":"t","password":"hunter2"}`,
	} {
		for _, record := range []string{"", "raw", "qcow2", "https"} {
			f.qcow2("top.qcow2", img{backing: name, backingFormat: record})
			f.qcow2("data.qcow2", img{dataFile: name})
			f.qcow2("unrecorded.qcow2", img{backing: "top.qcow2"})
			f.qcow2("unrecorded data.qcow2", img{backing: "data.qcow2"})
			top := f.layer("top.qcow2", probe.Qcow2)
			for what, s := range map[string]chain.Stated{
				"top":             stated(top),
				"cut":             {Layers: []chain.Layer{top}, Terminated: true},
				"explicit":        {Layers: []chain.Layer{top, f.layer("base.raw", probe.Raw)}, Terminated: true},
				"on the network":  {Layers: []chain.Layer{top, layerOf(nbd("x"), probe.Raw)}, Terminated: true},
				"data file":       f.top("data.qcow2"),
				"unrecorded":      f.top("unrecorded.qcow2"),
				"unrecorded data": f.top("unrecorded data.qcow2"),
				"sd card":         {Layers: []chain.Layer{top}, Bus: "sd"},
			} {
				for which, policy := range policies {
					said := fmt.Sprintf("%+v", f.walk(t, policy, s).Findings)
					if strings.Contains(said, secret) {
						t.Errorf("%s, %s, recorded as %q below %s: %s", what, which, record, name, said)
					}
				}
			}
		}
	}
}
