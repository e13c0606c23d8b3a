package chain_test

import (
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
)

// XML that libvirtxml cannot express stays unchanged if libvirt guesses
// nothing, and is refused otherwise; no image is opened for it.
func TestInexpressible(t *testing.T) {
	tests := []struct {
		name       string
		format     probe.Format
		terminated bool
		verdict    chain.Verdict
		severity   finding.Severity
	}{
		{"ended", probe.Qcow2, true, chain.Explicit, finding.Warn},
		{"without an end", probe.Qcow2, false, chain.Refused, finding.Refuse},
		{"below an unstated top", "", true, chain.Refused, finding.Refuse},
		{"below raw, which libvirt 9.0 refuses", probe.Raw, true, chain.Refused, finding.Refuse},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFiles(t)
			f.qcow2("top.qcow2", img{backing: "/elsewhere", backingFormat: "raw"})
			got := f.walk(t, chain.Policy{}, chain.Stated{Target: "vda", Layers: []chain.Layer{f.layer("top.qcow2", tt.format)},
				Inexpressible: "a <backingStore> of type nvme", Terminated: tt.terminated})
			wantVerdict(t, got, tt.verdict, 1)
			reported := wantFinding(t, got, finding.SourceInexpressible, tt.severity)
			wantContains(t, reported.Text, "a <backingStore> of type nvme")
			if (reported.Remedy.String() != "") != (tt.severity == finding.Refuse) {
				t.Errorf("hint is %q", reported.Remedy.String())
			}
			f.wantUntouched(t, "top.qcow2")
		})
	}
}

// A header may name a source that chainfix cannot write: the walk refuses
// that, not the writer.
func TestHeaderThatNamesAnInexpressibleSource(t *testing.T) {
	f := newFiles(t)
	for _, record := range []string{"raw", "qcow2", ""} {
		f.qcow2("top.qcow2", img{backing: `json:{"driver":"nvme","device":"0000:01:00.0","namespace":1}`, backingFormat: record})
		reported := wantRefused(t, f.walk(t, chain.Policy{}, f.top("top.qcow2")), finding.SourceInexpressible)
		wantContains(t, reported.Text, "nvme")
		if reported.Remedy.String() == "" {
			t.Error("no hint")
		}
	}
}
