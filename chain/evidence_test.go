package chain_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
)

// said is what a host says of the images in a folder, by name.
type said struct {
	f  *files
	of map[string]chain.Testimony
}

func (s said) Of(id chain.FileID) chain.Testimony {
	for name, testimony := range s.of {
		if known, err := (chain.FileOpener{}).Identify(s.f.t.Context(), s.f.layer(name, "").Source); err == nil && known == id {
			return testimony
		}
	}
	return chain.Testimony{}
}

func (s said) walk(t *testing.T, policy chain.Policy, disk chain.Stated) *chain.Chain {
	t.Helper()
	s.f.touched, s.f.opened = map[string]bool{}, map[string]int{}
	w := &chain.Walker{Opener: s.f, Policy: policy, Evidence: s}
	got, err := w.Walk(t.Context(), disk)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFormatThatAnotherGuestStatesIsNoGuess(t *testing.T) {
	f := newFiles(t)
	f.raw("bottom.raw", 1<<20)
	f.qcow2("base.img", image{backing: "bottom.raw", backingFormat: "raw"})
	f.qcow2("top.qcow2", image{backing: "base.img"})
	host := said{f, map[string]chain.Testimony{"base.img": {Stated: []chain.GuestStatement{{"web", probe.Qcow2}}}}}
	for _, rule := range []chain.Rule{chain.Leaf, chain.Strict, chain.Declared} {
		got := host.walk(t, chain.Policy{Rule: rule}, f.top("top.qcow2"))
		wantFixable(t, got, 3)
		if got.Layers[1].From != chain.Libvirt || got.Layers[1].Format != probe.Qcow2 {
			t.Errorf("%v: layer %+v", rule, got.Layers[1])
		}
		wantContains(t, wantFinding(t, got, chain.StatedElsewhere, chain.Info).Text, `"web"`)
		if f.opened[f.path("base.img")] != 1 {
			t.Errorf("the base was opened %d times", f.opened[f.path("base.img")])
		}
	}
	t.Run("and the header denies it", func(t *testing.T) {
		f.raw("base.img", 1<<20)
		wantRefused(t, host.walk(t, chain.Policy{}, f.top("top.qcow2")), chain.FormatMismatch)
	})
}

// A guest that has an image as its raw disk can write any header into it; one
// without a header stays raw.
func TestRawDiskOfAGuestIsNotBelieved(t *testing.T) {
	f := newFiles(t)
	f.qcow2("base.img", image{})
	f.qcow2("top.qcow2", image{backing: "base.img"})
	for name, testimony := range map[string]chain.Testimony{
		"alone":                       {RawDisk: "mail"},
		"and another guest's qcow2":   {RawDisk: "mail", Stated: []chain.GuestStatement{{"web", probe.Qcow2}}},
		"and other guests' all sorts": {RawDisk: "mail", Stated: []chain.GuestStatement{{"web", probe.Qcow2}, {"db", probe.QED}}},
	} {
		t.Run(name, func(t *testing.T) {
			host := said{f, map[string]chain.Testimony{"base.img": testimony}}
			wantContains(t, wantRefused(t, host.walk(t, chain.Policy{}, f.top("top.qcow2")), chain.RawDiskElsewhere).Text, `"mail"`)
			got := host.walk(t, chain.Policy{Trust: []chain.Statement{{Path: f.path("base.img"), Format: probe.Qcow2}}}, f.top("top.qcow2"))
			wantFixable(t, got, 2)
			wantFinding(t, got, chain.RawDiskElsewhere, chain.Warn)
		})
	}
	t.Run("without a header", func(t *testing.T) {
		f.raw("base.img", 1<<20)
		host := said{f, map[string]chain.Testimony{"base.img": {RawDisk: "mail"}}}
		got := host.walk(t, chain.Policy{}, f.top("top.qcow2"))
		wantFixable(t, got, 2)
		if got.Layers[1].Format != probe.Raw {
			t.Errorf("layer %+v", got.Layers[1])
		}
	})
}

func TestGuestsThatDisagreeSettleNothing(t *testing.T) {
	f := newFiles(t)
	f.qcow2("base.img", image{})
	f.qcow2("top.qcow2", image{backing: "base.img"})
	host := said{f, map[string]chain.Testimony{"base.img": {Stated: []chain.GuestStatement{{"web", probe.Qcow2}, {"db", probe.QED}}}}}
	text := wantRefused(t, host.walk(t, chain.Policy{}, f.top("top.qcow2")), chain.StatedConflict).Text
	wantContains(t, text, `"web"`)
	wantContains(t, text, `"db"`)
}

// A guest that writes to a file writes to every part of it. What the whole is
// stated to be says nothing of a part.
func TestEvidenceOnAPartOfAFile(t *testing.T) {
	f := newFiles(t)
	f.qcow2("inner", image{})
	inner, err := os.ReadFile(f.path("inner"))
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int{0, 4096} {
		f.put("archive", append(append(make([]byte, offset), inner...), make([]byte, 512)...))
		f.qcow2("top.qcow2", image{backing: fmt.Sprintf(`json:{"file":{"driver":"raw","offset":%d,"size":%d,"file":{"driver":"file","filename":"%s"}}}`,
			offset, len(inner), f.path("archive"))})
		host := said{f, map[string]chain.Testimony{"archive": {RawDisk: "mail"}}}
		wantRefused(t, host.walk(t, chain.Policy{}, f.top("top.qcow2")), chain.RawDiskElsewhere)
		got := host.walk(t, chain.Policy{Trust: []chain.Statement{{Path: f.path("archive"), Format: probe.Qcow2}}}, f.top("top.qcow2"))
		wantFixable(t, got, 2)
		wantFinding(t, got, chain.RawDiskElsewhere, chain.Warn)

		host = said{f, map[string]chain.Testimony{"archive": {Stated: []chain.GuestStatement{{"web", probe.VDI}}}}}
		got = host.walk(t, chain.Policy{}, f.top("top.qcow2"))
		wantFixable(t, got, 2)
		if got.Layers[1].From != chain.Probe {
			t.Errorf("at %d: layer %+v", offset, got.Layers[1])
		}
	}
}

// leaving is an Opener whose image is gone once it was opened.
type leaving struct{ *files }

func (l leaving) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (chain.Image, error) {
	image, err := l.files.Open(ctx, src)
	if path, _ := chain.LocalPath(src); err == nil && path == l.path("base.img") {
		if err := os.Remove(path); err != nil {
			l.t.Fatal(err)
		}
	}
	return image, err
}

// The image is opened again for a format that its header does not claim; it may
// be gone by then.
func TestImageThatGoesWhileEvidenceIsHeard(t *testing.T) {
	for _, policy := range []string{"", "optional"} {
		f := newFiles(t)
		f.qcow2("base.img", image{})
		f.qcow2("top.qcow2", image{backing: "base.img"})
		f.touched, f.opened = map[string]bool{}, map[string]int{}
		s := f.top("top.qcow2")
		s.Layers[0].Source.StartupPolicy = policy
		w := &chain.Walker{Opener: leaving{f}, Evidence: always{Stated: []chain.GuestStatement{{"web", probe.VDI}}}}
		got, err := w.Walk(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]chain.Verdict{"": chain.Refused, "optional": chain.Skipped}[policy]; got.Verdict != want {
			t.Errorf("%q: %v, want %v: %+v", policy, got.Verdict, want, got.Findings)
		}
	}
}

// always says the same of every image.
type always chain.Testimony

func (a always) Of(chain.FileID) chain.Testimony { return chain.Testimony(a) }
