package chain_test

import (
	"os"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/probe"
)

// An explicit chain that contains an image twice is a loop, whatever else is
// wrong with it. The hint is to remove it from the XML or to let the headers
// win.
func TestExplicitChainThatComesBackIsALoop(t *testing.T) {
	f := newFiles(t)
	f.raw("raw", overlaySize)
	f.qcow2("leaf", img{})
	f.qcow2("over-raw", img{backing: "raw", backingFormat: "raw"})
	f.qcow2("over-raw-too", img{backing: "raw", backingFormat: "raw"})
	f.qcow2("over-itself", img{backing: "over-itself", backingFormat: "qcow2"})
	f.qcow2("over-over-raw", img{backing: "over-raw", backingFormat: "qcow2"})
	for link, err := range map[string]error{
		"link":      os.Symlink("over-raw", f.path("link")),
		"hard link": os.Link(f.path("over-raw"), f.path("hard-link")),
	} {
		if err != nil {
			t.Fatal(link, err)
		}
	}
	q := func(name string) chain.Layer { return f.layer(name, probe.Qcow2) }
	open := func(s chain.Stated) chain.Stated {
		s.Terminated = false
		return s
	}
	for _, c := range []struct {
		name   string
		stated chain.Stated
		// refreshed is what comes of the headers' own chain.
		refreshed chain.Verdict
	}{
		{"the header names another image", f.explicit("over-raw", q("over-raw")), chain.Fixable},
		{"the header names none", f.explicit("leaf", q("leaf")), chain.Fixable},
		{"the header says so, too", f.explicit("over-itself", q("over-itself")), chain.Refused},
		{"in another format", f.explicit("over-raw", f.layer("over-raw", probe.Raw)), chain.Fixable},
		{"by a symbolic link", f.explicit("over-raw", q("link")), chain.Fixable},
		{"by a hard link", f.explicit("over-raw", q("hard-link")), chain.Fixable},
		{"without an end", open(f.explicit("over-raw", q("over-raw"))), chain.Fixable},
		{"further down", f.explicit("over-over-raw", q("over-raw"), q("over-over-raw")), chain.Fixable},
		{"to an image in the middle", f.explicit("over-over-raw", q("over-raw"), q("over-raw"), f.layer("raw", probe.Raw)), chain.Fixable},
	} {
		for name, policy := range map[string]chain.Policy{"": {}, "--keep-xml": {Disagreement: chain.XMLWins}} {
			got := wantRefused(t, f.walk(t, policy, c.stated), finding.ChainLoop)
			wantContains(t, got.Remedy.String(), "<backingStore>")
			wantContains(t, got.Remedy.String(), "--refresh")
			if t.Failed() {
				t.Fatal(c.name, name)
			}
		}
		got := f.walk(t, chain.Policy{Disagreement: chain.HeadersWin}, c.stated)
		if got.Verdict != c.refreshed {
			t.Errorf("%s, --refresh: %v, %+v", c.name, got.Verdict, got.Findings)
		}
		if c.refreshed == chain.Refused {
			wantContains(t, wantRefused(t, got, finding.ChainLoop).Remedy.String(), "qemu-img rebase -u")
		}
	}
}

// Two slices of one file are two images.
func TestSlicesOfAFileAreNoLoop(t *testing.T) {
	f := newFiles(t)
	f.qcow2("top", img{})
	f.grow("top", 4<<20)
	below := f.layer("top", probe.Raw)
	below.Source.Slices = &libvirtxml.DomainDiskSlices{Slices: []libvirtxml.DomainDiskSlice{{Type: "storage", Offset: 2 << 20, Size: 1 << 20}}}
	for _, reported := range f.walk(t, chain.Policy{}, f.explicit("top", below)).Findings {
		if reported.Code == finding.ChainLoop {
			t.Errorf("%+v", reported)
		}
	}
}
