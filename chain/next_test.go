package chain_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// What the XML states explicitly, against what the headers say.
func TestExplicitChains(t *testing.T) {
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	f.raw("other.raw", 1<<20)
	f.qcow2("flat.qcow2", img{})
	f.qcow2("middle.qcow2", img{backing: "base.raw", backingFormat: "raw"})
	f.qcow2("top.qcow2", img{backing: "middle.qcow2", backingFormat: "qcow2"})
	f.qcow2("unrecorded.qcow2", img{backing: "base.raw"})
	f.mkdir("folder")
	f.qcow2("folder.qcow2", img{backing: "folder", backingFormat: "raw"})
	f.qcow2("moved.qcow2", img{backing: "/gone/base.raw", backingFormat: "raw"})
	f.qcow2("remote.qcow2", img{backing: "nbd://host/export", backingFormat: "raw"})
	f.qcow2("unusable.qcow2", img{backing: "nbd://user@host/export", backingFormat: "raw"})
	if err := os.Symlink("base.raw", f.path("link.raw")); err != nil {
		t.Fatal(err)
	}

	type stated struct {
		path   string
		format probe.Format
	}
	const end = true
	refresh, keep := chain.Policy{Disagreement: chain.HeadersWin}, chain.Policy{Disagreement: chain.XMLWins}
	cases := []struct {
		name       string
		layers     []stated
		terminated bool
		policy     chain.Policy

		verdict chain.Verdict
		code    finding.Code // a finding that must be there
		count   int
		last    string // the path of the last layer
	}{
		{"equal", []stated{{"top.qcow2", "qcow2"}, {"middle.qcow2", "qcow2"}, {"base.raw", "raw"}}, end, chain.Policy{}, chain.Explicit, "", 3, "base.raw"},
		{"equal, flat", []stated{{"flat.qcow2", "qcow2"}}, end, chain.Policy{}, chain.Explicit, "", 1, "flat.qcow2"},
		{"equal through a symlink", []stated{{"unrecorded.qcow2", "qcow2"}, {"link.raw", "raw"}}, end, chain.Policy{}, chain.Explicit, "", 2, "link.raw"},
		{"the XML states what nobody recorded", []stated{{"unrecorded.qcow2", "qcow2"}, {"base.raw", "raw"}}, end, chain.Policy{Rule: chain.Declared}, chain.Explicit, "", 2, "base.raw"},
		{"unterminated at its end", []stated{{"top.qcow2", "qcow2"}, {"middle.qcow2", "qcow2"}, {"base.raw", "raw"}}, !end, chain.Policy{}, chain.Fixable, "", 3, "base.raw"},
		{"unterminated in the middle", []stated{{"top.qcow2", "qcow2"}, {"middle.qcow2", "qcow2"}}, !end, chain.Policy{}, chain.Fixable, "", 3, "base.raw"},

		{"stale", []stated{{"flat.qcow2", "qcow2"}, {"base.raw", "raw"}}, end, chain.Policy{}, chain.Refused, finding.ChainStale, 1, ""},
		{"stale, refreshed", []stated{{"flat.qcow2", "qcow2"}, {"base.raw", "raw"}}, end, refresh, chain.Fixable, finding.ChainStale, 1, "flat.qcow2"},
		{"stale, kept", []stated{{"flat.qcow2", "qcow2"}, {"base.raw", "raw"}}, end, keep, chain.Explicit, finding.ChainKept, 2, "base.raw"},
		{"stale below raw", []stated{{"base.raw", "raw"}, {"other.raw", "raw"}}, end, chain.Policy{}, chain.Refused, finding.ChainStale, 1, ""},
		{"stale below raw, refreshed", []stated{{"base.raw", "raw"}, {"other.raw", "raw"}}, end, refresh, chain.Fixable, finding.ChainStale, 1, "base.raw"},

		{"cut", []stated{{"top.qcow2", "qcow2"}}, end, chain.Policy{}, chain.Refused, finding.ChainCut, 1, ""},
		{"cut, refreshed", []stated{{"top.qcow2", "qcow2"}}, end, refresh, chain.Fixable, finding.ChainCut, 3, "base.raw"},
		{"cut, kept", []stated{{"top.qcow2", "qcow2"}}, end, keep, chain.Explicit, finding.ChainKept, 1, "top.qcow2"},

		{"conflicting", []stated{{"middle.qcow2", "qcow2"}, {"other.raw", "raw"}}, end, chain.Policy{}, chain.Refused, finding.ChainConflict, 1, ""},
		{"conflicting, refreshed", []stated{{"middle.qcow2", "qcow2"}, {"other.raw", "raw"}}, end, refresh, chain.Fixable, finding.ChainConflict, 2, "base.raw"},
		{"conflicting, kept", []stated{{"middle.qcow2", "qcow2"}, {"other.raw", "raw"}}, end, keep, chain.Explicit, finding.ChainKept, 2, "other.raw"},
		{"only the header's image is there", []stated{{"middle.qcow2", "qcow2"}, {"absent.raw", "raw"}}, end, chain.Policy{}, chain.Refused, finding.ChainConflict, 1, ""},
		{"only the header's image is there, refreshed", []stated{{"middle.qcow2", "qcow2"}, {"absent.raw", "raw"}}, end, refresh, chain.Fixable, finding.ChainConflict, 2, "base.raw"},
		{"moved", []stated{{"moved.qcow2", "qcow2"}, {"base.raw", "raw"}}, end, chain.Policy{}, chain.Explicit, finding.ChainMoved, 2, "base.raw"},
		{"moved, and the header does not win", []stated{{"moved.qcow2", "qcow2"}, {"base.raw", "raw"}}, end, refresh, chain.Explicit, finding.ChainMoved, 2, "base.raw"},
		{"moved and unterminated", []stated{{"moved.qcow2", "qcow2"}, {"base.raw", "raw"}}, !end, chain.Policy{}, chain.Fixable, finding.ChainMoved, 2, "base.raw"},
		{"not comparable", []stated{{"unusable.qcow2", "qcow2"}, {"base.raw", "raw"}}, end, chain.Policy{}, chain.Explicit, finding.ChainUnverified, 2, "base.raw"},
		{"the header's image is on the network", []stated{{"remote.qcow2", "qcow2"}, {"base.raw", "raw"}}, end, chain.Policy{}, chain.Refused, finding.ChainConflict, 1, ""},
		{"the header's image is on the network, kept", []stated{{"remote.qcow2", "qcow2"}, {"base.raw", "raw"}}, end, keep, chain.Explicit, finding.ChainKept, 2, "base.raw"},

		{"formats in conflict", []stated{{"top.qcow2", "qcow2"}, {"middle.qcow2", "raw"}}, end, chain.Policy{}, chain.Refused, finding.FormatConflict, 1, ""},
		{"formats in conflict, refreshed", []stated{{"top.qcow2", "qcow2"}, {"middle.qcow2", "raw"}}, end, refresh, chain.Fixable, finding.FormatConflict, 3, "base.raw"},
		{"formats in conflict, kept", []stated{{"top.qcow2", "qcow2"}, {"middle.qcow2", "raw"}}, end, keep, chain.Explicit, finding.ChainKept, 2, "middle.qcow2"},
		{"the XML's format is not the image's", []stated{{"unrecorded.qcow2", "qcow2"}, {"base.raw", "qcow2"}}, end, chain.Policy{}, chain.Refused, finding.FormatMismatch, 2, ""},

		{"the header names a folder", []stated{{"folder.qcow2", "qcow2"}, {"base.raw", "raw"}}, end, chain.Policy{}, chain.Refused, finding.ChainConflict, 1, ""},

		{"images elsewhere", []stated{{"/nowhere/top.qcow2", "qcow2"}, {"/nowhere/base.raw", "raw"}}, end, chain.Policy{}, chain.Explicit, finding.ImageMissing, 2, "/nowhere/base.raw"},
		{"images elsewhere, unterminated", []stated{{"/nowhere/top.qcow2", "qcow2"}, {"/nowhere/base.raw", "raw"}}, !end, chain.Policy{}, chain.Refused, finding.ImageMissing, 1, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := chain.Stated{Target: "vda", Terminated: c.terminated}
			for _, l := range c.layers {
				s.Layers = append(s.Layers, f.layer(l.path, l.format))
			}
			got := f.walk(t, c.policy, s)
			wantVerdict(t, got, c.verdict, c.count)
			if c.code != "" {
				severity := finding.Warn
				if c.verdict == chain.Refused {
					severity = finding.Refuse
				}
				wantFinding(t, got, c.code, severity)
			}
			if c.last == "" {
				return
			}
			want := c.last
			if want[0] != '/' {
				want = f.path(want)
			}
			if path, _ := storage.LocalPath(got.Layers[len(got.Layers)-1].Source); path != want {
				t.Errorf("the chain ends at %q, want %q", path, want)
			}
		})
	}
}

// A refreshed chain keeps what the XML says of images that both agree on.
func TestRefreshKeepsTheAgreeingPart(t *testing.T) {
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	f.raw("other.raw", 1<<20)
	f.qcow2("middle.qcow2", img{backing: "base.raw", backingFormat: "raw"})
	f.qcow2("top.qcow2", img{backing: "middle.qcow2", backingFormat: "qcow2"})
	s := f.top("top.qcow2")
	s.Layers = append(s.Layers, f.layer("middle.qcow2", probe.Qcow2), f.layer("other.raw", probe.Raw))
	s.Terminated = true
	got := f.walk(t, chain.Policy{Disagreement: chain.HeadersWin}, s)
	wantFixable(t, got, 3)
	if got.Layers[1].Source != s.Layers[1].Source || got.Layers[1].From != chain.XML {
		t.Errorf("the agreeing layer was written anew: %+v", got.Layers[1])
	}
}

// Images on the network are compared by name; nothing is contacted.
func TestExplicitChainsOnTheNetwork(t *testing.T) {
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	nbd := func(host, export string) *libvirtxml.DomainDiskSource {
		return &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: "nbd", Name: export,
			Hosts: []libvirtxml.DomainDiskSourceHost{{Name: host, Port: "10809"}}}}
	}
	url := func(name, port string) *libvirtxml.DomainDiskSource {
		return &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: "https", Name: name,
			Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "host", Port: port}}}}
	}
	rbd := func(config string) *libvirtxml.DomainDiskSource {
		return &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: "rbd", Name: "pool/image",
			Config: &libvirtxml.DomainDiskSourceNetworkConfig{File: config}}}
	}
	volume := &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: "p", Volume: "v"}}
	sliced := file(f.path("base.raw"))
	sliced.Slices = &libvirtxml.DomainDiskSlices{Slices: []libvirtxml.DomainDiskSlice{{Type: "storage", Size: 512}}}
	unsliced := file(f.path("base.raw"))
	unsliced.Slices = &libvirtxml.DomainDiskSlices{}
	for _, c := range []struct {
		name, backing string
		stated        *libvirtxml.DomainDiskSource
		verdict       chain.Verdict
		code          finding.Code // of the comparison; "" if it says nothing
	}{
		{"equal", "nbd://host/export", nbd("host", "export"), chain.Explicit, ""},
		{"equal, spelled differently", `json:{"driver":"nbd","export":"export","server":{"type":"inet","host":"host","port":"10809"}}`, nbd("host", "export"), chain.Explicit, ""},
		{"equal, and the port goes without saying", "https://host/a/b", url("a/b", ""), chain.Explicit, ""},
		{"equal, with the slash that libvirt adds", "https://host/a/b", url("/a/b", "443"), chain.Explicit, ""},
		{"another port", "https://host:8443/a/b", url("a/b", ""), chain.Refused, finding.ChainConflict},
		{"equal, of one cluster", "rbd:pool/image:conf=/etc/ceph/a.conf", rbd("/etc/ceph/a.conf"), chain.Explicit, ""},
		{"another cluster", "rbd:pool/image:conf=/etc/ceph/a.conf", rbd("/etc/ceph/b.conf"), chain.Refused, finding.ChainConflict},
		{"another export", "nbd://host/export", nbd("host", "other"), chain.Refused, finding.ChainConflict},
		{"another host", "nbd://host/export", nbd("other", "export"), chain.Refused, finding.ChainConflict},
		{"the header's is local and there", "base.raw", nbd("host", "export"), chain.Refused, finding.ChainConflict},
		{"the header's is local and gone", "gone.raw", nbd("host", "export"), chain.Explicit, finding.ChainMoved},
		{"a volume", "nbd://host/export", volume, chain.Explicit, finding.ChainUnverified},
		{"a name with credentials", "nbd://user@host/export", nbd("host", "export"), chain.Explicit, finding.ChainUnverified},
		{"a slice", "base.raw", sliced, chain.Refused, finding.ChainConflict},
		{"<slices> without a slice", "base.raw", unsliced, chain.Explicit, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.qcow2("top.qcow2", img{backing: c.backing, backingFormat: "raw"})
			s := f.top("top.qcow2")
			s.Layers = append(s.Layers, chain.Layer{Source: c.stated, Format: probe.Raw, From: chain.XML})
			s.Terminated = true
			got := f.walk(t, chain.Policy{}, s)
			if got.Verdict != c.verdict {
				t.Errorf("%v, want %v: %+v", got.Verdict, c.verdict, got.Findings)
			}
			var codes []finding.Code
			for _, reported := range got.Findings {
				if reported.Layer == 0 {
					codes = append(codes, reported.Code)
				}
			}
			if c.code == "" && len(codes) > 0 || c.code != "" && !slices.Contains(codes, c.code) {
				t.Errorf("the comparison says %q, want %q: %+v", codes, c.code, got.Findings)
			}
		})
	}
}

// The text of a conflict says how much was compared.
func TestConflictTexts(t *testing.T) {
	f := newFiles(t)
	f.raw("base.raw", 1<<20)
	f.raw("other.raw", 1<<20)
	slice := `json:{"driver":"raw","offset":512,"size":1024,"file":{"driver":"file","filename":"` + f.path("base.raw") + `"}}`
	for _, c := range []struct {
		backing string
		stated  *libvirtxml.DomainDiskSource
		text    string // its end
	}{
		{"base.raw", file(f.path("other.raw")), ", and both exist"},
		{"base.raw", file(f.path("absent")), ", and only the header's exists"},
		{"nbd://storage.example/other", nbd("disk"), `"nbd://storage.example:10809/other"`},
		{"base.raw", sliced(file(f.path("base.raw")), 512, 1024), `base.raw", and both exist`},
		{slice, file(f.path("base.raw")), `base.raw" (1024 bytes at 512), and both exist`},
	} {
		f.qcow2("top.qcow2", img{backing: c.backing, backingFormat: "raw"})
		// The network is named here as well, as it is with --network.
		w := &chain.Walker{Images: image.NewCache(everywhere{f})}
		s := stated(f.layer("top.qcow2", probe.Qcow2), layerOf(c.stated, probe.Raw))
		f.touched, f.opened = map[string]bool{}, map[string]int{}
		got, err := w.Walk(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if text := wantRefused(t, got, finding.ChainConflict).Text; !strings.HasSuffix(text, c.text) {
			t.Errorf("%q does not end with %q", text, c.text)
		}
	}
}

// everywhere names images on the network, as an opener that reads them does.
type everywhere struct{ *files }

func (e everywhere) Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.FileID, error) {
	if src.Network != nil {
		return storage.FileID{Remote: storage.Name(src)}, nil
	}
	return e.files.Identify(ctx, src)
}
