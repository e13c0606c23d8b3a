package chain_test

import (
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
)

// What the XML library cannot express is left alone where nothing will be
// guessed, and refused where something would; no image is opened for it.
func TestInexpressible(t *testing.T) {
	tests := []struct {
		name       string
		format     probe.Format
		terminated bool
		verdict    chain.Verdict
		severity   chain.Severity
	}{
		{"ended", probe.Qcow2, true, chain.Explicit, chain.Warn},
		{"without an end", probe.Qcow2, false, chain.Refused, chain.Refuse},
		{"below an unstated top", "", true, chain.Refused, chain.Refuse},
		{"below raw, which libvirt 9.0 refuses", probe.Raw, true, chain.Refused, chain.Refuse},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFiles(t)
			f.qcow2("top.qcow2", image{backing: "/elsewhere", backingFormat: "raw"})
			got := f.walk(t, chain.Policy{}, chain.Stated{Target: "vda", Layers: []chain.Layer{f.layer("top.qcow2", tt.format)},
				Inexpressible: "a <backingStore> of type nvme", Terminated: tt.terminated})
			wantVerdict(t, got, tt.verdict, 1)
			finding := wantFinding(t, got, chain.SourceInexpressible, tt.severity)
			wantContains(t, finding.Text, "a <backingStore> of type nvme")
			if (finding.Hint != "") != (tt.severity == chain.Refuse) {
				t.Errorf("hint is %q", finding.Hint)
			}
			f.wantUntouched(t, "top.qcow2")
		})
	}
}

// A header may name what no XML that is written here can: that is said, not
// found out when the XML is to be written.
func TestHeaderThatNamesAnInexpressibleSource(t *testing.T) {
	f := newFiles(t)
	for _, record := range []string{"raw", "qcow2", ""} {
		f.qcow2("top.qcow2", image{backing: `json:{"driver":"nvme","device":"0000:01:00.0","namespace":1}`, backingFormat: record})
		finding := wantRefused(t, f.walk(t, chain.Policy{}, f.top("top.qcow2")), chain.SourceInexpressible)
		wantContains(t, finding.Text, "nvme")
		if finding.Hint == "" {
			t.Error("no hint")
		}
	}
}
