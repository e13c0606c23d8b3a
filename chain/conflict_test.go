package chain_test

import (
	"fmt"
	"os"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/probe"
)

// conflicts are disks whose XML may contradict the headers.
var conflicts = []struct {
	name string
	of   func(f *files) chain.Stated
	want finding.Code // of the finding that says so beyond doubt; "" for none
}{
	{"agrees", func(f *files) chain.Stated { return f.explicit("over-base", f.layer("base", probe.Raw)) }, ""},
	{"continues the chain where the header ends", func(f *files) chain.Stated { return f.explicit("flat", f.layer("base", probe.Raw)) }, finding.ChainStale},
	{"goes on further down", func(f *files) chain.Stated {
		return f.explicit("over-flat", f.layer("flat", probe.Qcow2), f.layer("base", probe.Raw))
	}, finding.ChainStale},
	{"goes on to the network", func(f *files) chain.Stated { return f.explicit("flat", layerOf(nbd("x"), probe.Raw)) }, finding.ChainStale},
	{"goes on below raw", func(f *files) chain.Stated {
		s := f.explicit("base", f.layer("other", probe.Raw))
		s.Layers[0].Format = probe.Raw
		return s
	}, ""},
	{"goes on below a raw backing image", func(f *files) chain.Stated {
		return f.explicit("over-base", f.layer("base", probe.Raw), f.layer("other", probe.Raw))
	}, ""},
	{"ends the chain where the header continues it", func(f *files) chain.Stated { return f.explicit("over-base") }, finding.ChainCut},
	{"ends, and the header goes on to what is gone", func(f *files) chain.Stated { return f.explicit("over-gone") }, finding.ChainCut},
	{"does not end", func(f *files) chain.Stated { return f.top("over-base") }, ""},
	{"another image", func(f *files) chain.Stated { return f.explicit("over-base", f.layer("other", probe.Raw)) }, finding.ChainConflict},
	{"another image, and no end", func(f *files) chain.Stated {
		s := f.explicit("over-base", f.layer("other", probe.Raw))
		s.Terminated = false
		return s
	}, finding.ChainConflict},
	{"the same image by a link", func(f *files) chain.Stated { return f.explicit("over-base", f.layer("link", probe.Raw)) }, ""},
	{"a part of the image", func(f *files) chain.Stated {
		s := f.explicit("over-base", f.layer("base", probe.Raw))
		s.Layers[1].Source.Slices = &libvirtxml.DomainDiskSlices{Slices: []libvirtxml.DomainDiskSlice{{Type: "storage", Offset: 512, Size: 1024}}}
		return s
	}, finding.ChainConflict},
	{"another image, which is gone", func(f *files) chain.Stated { return f.explicit("over-base", f.layer("gone", probe.Raw)) }, ""},
	{"the header's image is gone", func(f *files) chain.Stated { return f.explicit("over-gone", f.layer("base", probe.Raw)) }, ""},
	{"the header's image is gone, and recorded as another format", func(f *files) chain.Stated {
		return f.explicit("over-gone", f.layer("flat", probe.Qcow2))
	}, ""},
	{"one on the network", func(f *files) chain.Stated { return f.explicit("over-base", layerOf(nbd("x"), probe.Raw)) }, ""},
	{"the header's on the network", func(f *files) chain.Stated { return f.explicit("over-network", f.layer("base", probe.Raw)) }, ""},
	{"another on the network", func(f *files) chain.Stated { return f.explicit("over-network", layerOf(nbd("y"), probe.Raw)) }, ""},
	{"another image below one that only the XML calls qcow2", func(f *files) chain.Stated {
		return f.explicit("over-unrecorded", f.layer("over-base", probe.Qcow2), f.layer("other", probe.Raw))
	}, ""},
	{"raw, where qcow2 is recorded", func(f *files) chain.Stated { return f.explicit("over-flat", f.layer("flat", probe.Raw)) }, finding.FormatConflict},
	{"qcow2, where raw is recorded", func(f *files) chain.Stated { return f.explicit("flat-as-raw", f.layer("flat", probe.Qcow2)) }, finding.FormatConflict},
	{"raw, where qcow2 is recorded wrongly", func(f *files) chain.Stated { return f.explicit("base-as-qcow2", f.layer("base", probe.Raw)) }, ""},
	{"qcow2, which it is not, where raw is recorded", func(f *files) chain.Stated { return f.explicit("over-base", f.layer("base", probe.Qcow2)) }, ""},
	{"comes back", func(f *files) chain.Stated { return f.explicit("over-base", f.layer("over-base", probe.Qcow2)) }, finding.ChainLoop},
	{"the top is gone", func(f *files) chain.Stated { return f.explicit("gone", f.layer("base", probe.Raw)) }, ""},
	{"the top is no qcow2", func(f *files) chain.Stated { return f.explicit("base", f.layer("other", probe.Raw)) }, ""},
	{"another data file", func(f *files) chain.Stated { return f.withDataFile("other") }, finding.DataFileConflict},
	{"another data file, which is gone", func(f *files) chain.Stated { return f.withDataFile("gone") }, ""},
	{"the data file", func(f *files) chain.Stated { return f.withDataFile("base") }, ""},
}

// withDataFile is a disk whose header names the data file "base", and its XML another.
func (f *files) withDataFile(xml string) chain.Stated {
	f.qcow2("data", img{dataFile: f.path("base")})
	s := f.explicit("data")
	s.Layers[0].Source.DataStore = &libvirtxml.DomainDiskDataStore{Format: &libvirtxml.DomainDiskFormat{Type: "raw"}, Source: file(f.path(xml))}
	return s
}

func conflictingFiles(t *testing.T) *files {
	f := newFiles(t)
	f.raw("base", 1<<20)
	f.raw("other", 1<<20)
	f.qcow2("flat", img{})
	f.qcow2("over-base", img{backing: "base", backingFormat: "raw"})
	f.qcow2("base-as-qcow2", img{backing: "base", backingFormat: "qcow2"})
	f.qcow2("over-flat", img{backing: "flat", backingFormat: "qcow2"})
	f.qcow2("flat-as-raw", img{backing: "flat", backingFormat: "raw"})
	f.qcow2("over-unrecorded", img{backing: "over-base"})
	f.qcow2("over-gone", img{backing: "gone", backingFormat: "raw"})
	f.qcow2("over-network", img{backing: "nbd://storage.example/disk", backingFormat: "raw"})
	if err := os.Symlink("base", f.path("link")); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestMisopens: a chain misopens if it certainly contradicts the headers.
func TestMisopens(t *testing.T) {
	f := conflictingFiles(t)
	for _, c := range conflicts {
		t.Run(c.name, func(t *testing.T) {
			got := f.walk(t, chain.Policy{Target: libvirt.Version{Major: 11, Minor: 3}}, c.of(f))
			var misopens finding.Code
			for _, reported := range got.Findings {
				if reported.Misopens {
					misopens = reported.Code
				}
			}
			if misopens != c.want {
				t.Errorf("%q, want %q: %+v", misopens, c.want, got.Findings)
			}
		})
	}
}

// TestIgnoredChainMisopensNothing: if libvirt discards the explicit chain.
func TestIgnoredChainMisopensNothing(t *testing.T) {
	f := conflictingFiles(t)
	s := f.explicit("flat", f.layer("base", probe.Raw))
	onSD := s
	onSD.Bus = "sd"
	for name, got := range map[string]*chain.Chain{
		"sd":          f.walk(t, chain.Policy{}, onSD),
		"libvirt 5.9": f.walk(t, chain.Policy{Target: libvirt.Version{Major: 5, Minor: 9}}, s),
	} {
		if stale := wantRefused(t, got, finding.ChainStale); stale.Misopens {
			t.Errorf("%s: %+v", name, stale)
		}
	}
}

// TestKeptChains: a disk with a kept chain never misopens, whatever name of
// its own image the policy has, and --refresh does not change it. Other disks
// are not kept.
func TestKeptChains(t *testing.T) {
	f := conflictingFiles(t)
	f.withDataFile("other")
	for _, name := range []string{"over-base", "flat", "over-flat", "flat-as-raw", "over-gone", "data"} {
		if err := os.Link(f.path(name), f.path(name+"-by-link")); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range conflicts {
		if c.want == "" {
			continue
		}
		s := c.of(f)
		top := s.Layers[0].Source.File.File
		for _, disagreement := range []chain.Disagreement{chain.RefuseDisagreement, chain.HeadersWin} {
			for _, named := range []string{top, top + "-by-link"} {
				t.Run(fmt.Sprint(c.name, disagreement, named), func(t *testing.T) {
					got := f.walk(t, chain.Policy{Target: libvirt.Version{Major: 11, Minor: 3}, Disagreement: disagreement, KeptChains: []string{"/elsewhere", named}}, s)
					if c.want == finding.ChainLoop {
						if loop := wantRefused(t, got, finding.ChainLoop); loop.Misopens {
							t.Errorf("%+v", loop)
						}
						return
					}
					wantFinding(t, got, finding.ChainKept, finding.Warn)
					if got.Verdict == chain.Refused || len(got.Layers) != len(s.Layers) {
						t.Errorf("%v, %d layers: %+v", got.Verdict, len(got.Layers), got.Findings)
					}
				})
			}
		}
		wantRefused(t, f.walk(t, chain.Policy{Target: libvirt.Version{Major: 11, Minor: 3}, KeptChains: []string{f.path("base")}}, s), c.want)
	}
}
