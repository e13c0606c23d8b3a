package host_test

import (
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

// The overlay of a transient disk keeps a guest from starting, and is in use
// while the guest runs.
func TestTransientLeftoverOfAGuest(t *testing.T) {
	h := newStoredHost(t)
	disk := func(name string) string {
		return diskOf(fileDisk, "qcow2", "<source file='DIR/"+name+".qcow2'/><backingStore/><transient/>")
	}
	for _, name := range []string{"runs", "ended", "crashed"} {
		h.qcow2(name+".qcow2", "")
		h.guest(name, disk(name))
	}
	h.running("runs", disk("runs"))
	h.write("runs.qcow2.TRANSIENT-runs", nil)
	h.write("crashed.qcow2.TRANSIENT-crashed", nil)
	reports := h.scan(&host.Scan{Targets: []libvirt.Pair{{Libvirt: libvirt.Version{Major: 9}}}})
	for name, want := range map[string]predict.Outcome{"runs": predict.Starts, "ended": predict.Starts, "crashed": predict.Refuses} {
		r := reports[name]
		if r.Verdict() != chain.Explicit || r.Predictions[0][0].Outcome != want {
			t.Errorf("%s: %v, predicted %+v", name, r.Verdict(), r.Predictions[0][0])
		}
		told := false
		for _, f := range r.Findings {
			told = told || f.Code == finding.TransientLeftover
		}
		if told != (want == predict.Refuses) {
			t.Errorf("%s: findings %+v", name, r.Findings)
		}
	}
}
