package chain_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// diskOf is a disk of another guest, with layers, top first.
func diskOf(guest string, layers ...chain.Layer) chain.Stated {
	return chain.Stated{Guest: guest, Target: "vdx", Layers: layers}
}

// said returns evidence of current disks.
func (f *files) said(disks ...chain.Stated) *chain.Evidence {
	e := chain.NewEvidence(nil, nil)
	for _, d := range disks {
		e.Add(f.t.Context(), chain.Defined, d, nil)
	}
	return e
}

func (f *files) walkWith(t *testing.T, evidence *chain.Evidence, policy chain.Policy, disk chain.Stated) *chain.Chain {
	t.Helper()
	f.touched, f.opened = map[string]bool{}, map[string]int{}
	w := &chain.Walker{Images: image.NewCache(f), Policy: policy, Evidence: evidence}
	got, err := w.Walk(t.Context(), disk)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFormatThatAnotherGuestStatesIsNoGuess(t *testing.T) {
	f := newFiles(t)
	f.raw("bottom.raw", 1<<20)
	f.qcow2("base.img", img{backing: "bottom.raw", backingFormat: "raw"})
	f.qcow2("top.qcow2", img{backing: "base.img"})
	evidence := f.said(diskOf("web", f.layer("base.img", probe.Qcow2)))
	for _, rule := range []chain.Rule{chain.Leaf, chain.Strict, chain.Declared} {
		got := f.walkWith(t, evidence, chain.Policy{Rule: rule}, f.top("top.qcow2"))
		wantFixable(t, got, 3)
		if got.Layers[1].From != chain.Libvirt || got.Layers[1].Format != probe.Qcow2 {
			t.Errorf("%v: layer %+v", rule, got.Layers[1])
		}
		wantContains(t, wantFinding(t, got, finding.StatedElsewhere, finding.Info).Text, `"web"`)
		if f.opened[f.path("base.img")] != 1 {
			t.Errorf("the base was opened %d times", f.opened[f.path("base.img")])
		}
	}
	t.Run("and the header denies it", func(t *testing.T) {
		f.raw("base.img", 1<<20)
		wantRefused(t, f.walkWith(t, evidence, chain.Policy{}, f.top("top.qcow2")), finding.FormatMismatch)
	})
}

// TestWhichStatementsCount is the table of docs/rules.md: a guest's overlay
// is over base.img, which claims to be qcow2 and names bottom.raw. Without a
// statement that file is neither followed nor touched.
func TestWhichStatementsCount(t *testing.T) {
	f := newFiles(t)
	f.raw("bottom.raw", 1<<20)
	f.qcow2("base.img", img{backing: "bottom.raw", backingFormat: "raw"})
	f.qcow2("top.qcow2", img{backing: "base.img"})
	f.qcow2("other.qcow2", img{backing: "base.img", backingFormat: "qcow2"})
	base, other := f.layer("base.img", probe.Qcow2), f.layer("other.qcow2", probe.Qcow2)
	trusted := base
	trusted.From = chain.Trust
	mirror := diskOf("web", f.layer("other.qcow2", probe.Qcow2))
	mirror.MirrorTo = &base
	for name, c := range map[string]struct {
		when   chain.Occasion
		disk   chain.Stated
		speaks bool
	}{
		"the disk's own type, defined":               {chain.Defined, diskOf("web", base), true},
		"the disk's own type, running":               {chain.Running, diskOf("web", base), true},
		"the disk's own type, with a job":            {chain.RunningJob, diskOf("web", base), true},
		"the disk's own type, in the past":           {chain.Past, diskOf("web", base), false},
		"the operator, for a disk without a type":    {chain.Defined, diskOf("web", trusted), false},
		"an explicit chain, defined":                 {chain.Defined, diskOf("web", other, base), false},
		"an explicit chain, running":                 {chain.Running, diskOf("web", other, base), false},
		"an explicit chain, in the past":             {chain.Past, diskOf("web", other, base), false},
		"what a block job writes, in another format": {chain.RunningJob, mirror, false},
	} {
		t.Run(name, func(t *testing.T) {
			evidence := chain.NewEvidence(nil, nil)
			evidence.Add(t.Context(), c.when, c.disk, nil)
			got := f.walkWith(t, evidence, chain.Policy{}, f.top("top.qcow2"))
			if c.speaks {
				wantFixable(t, got, 3)
				return
			}
			wantRefused(t, got, finding.ProbedBacking)
			if f.touched[f.path("bottom.raw")] {
				t.Error("what the image names is touched")
			}
		})
	}
}

// TestWhatContradictsAHeader: base.img claims to be qcow2 and names nothing.
func TestWhatContradictsAHeader(t *testing.T) {
	f := newFiles(t)
	f.qcow2("base.img", img{})
	f.qcow2("top.qcow2", img{backing: "base.img"})
	f.qcow2("other.qcow2", img{backing: "base.img", backingFormat: "raw"})
	raw, untyped, qcow2, other := f.layer("base.img", probe.Raw), f.layer("base.img", ""), f.layer("base.img", probe.Qcow2), f.layer("other.qcow2", probe.Qcow2)
	readOnly := diskOf("web", raw)
	readOnly.ReadOnly = true
	readOnlyAbove := diskOf("web", other, raw)
	readOnlyAbove.ReadOnly = true
	encrypted := diskOf("web", raw)
	encrypted.Layers[0].Source = file(f.path("base.img"))
	encrypted.Layers[0].Source.Encryption = &libvirtxml.DomainDiskEncryption{Format: "luks"}
	copied := diskOf("web", other)
	copied.MirrorTo = &raw
	const refused, warned, silent = "refused", "warned", "silent"
	for name, c := range map[string]struct {
		when chain.Occasion
		disk chain.Stated
		want string
	}{
		"a raw disk, defined":                  {chain.Defined, diskOf("web", raw), refused},
		"a raw disk, running":                  {chain.Running, diskOf("web", raw), refused},
		"a raw disk, in the past":              {chain.Past, diskOf("web", raw), refused},
		"a disk without a type":                {chain.Defined, diskOf("web", untyped), refused},
		"a disk without a type, in the past":   {chain.Past, diskOf("web", untyped), refused},
		"the target of a copy":                 {chain.Running, copied, refused},
		"raw below, while a job runs":          {chain.RunningJob, diskOf("web", other, raw), refused},
		"raw below":                            {chain.Defined, diskOf("web", other, raw), warned},
		"raw below, running":                   {chain.Running, diskOf("web", other, raw), warned},
		"raw below, in the past":               {chain.Past, diskOf("web", other, raw), silent},
		"raw below a disk that is read only":   {chain.Defined, readOnlyAbove, silent},
		"a raw disk that is read only":         {chain.Defined, readOnly, silent},
		"a raw disk with an encryption":        {chain.Defined, encrypted, silent},
		"a qcow2 disk of the past":             {chain.Past, diskOf("web", qcow2), silent},
		"qcow2 below":                          {chain.Defined, diskOf("web", other, qcow2), silent},
		"raw below, a long way down the chain": {chain.Defined, diskOf("web", other, other, raw), warned},
	} {
		t.Run(name, func(t *testing.T) {
			evidence := chain.NewEvidence(nil, nil)
			evidence.Add(t.Context(), c.when, c.disk, nil)
			for _, rule := range []chain.Rule{chain.Leaf, chain.Strict, chain.Declared} {
				got := f.walkWith(t, evidence, chain.Policy{Rule: rule}, f.top("top.qcow2"))
				switch {
				case c.want == refused:
					wantContains(t, wantRefused(t, got, finding.RawDiskElsewhere).Text, `"web"`)
				case rule == chain.Strict:
					wantRefused(t, got, finding.ProbedNotRaw)
				case rule == chain.Declared:
					wantRefused(t, got, finding.FormatUnrecorded)
				case c.want == warned:
					wantFixable(t, got, 2)
					warning := wantFinding(t, got, finding.RawDiskElsewhere, finding.Warn)
					wantContains(t, warning.Text, `"web"`)
					wantContains(t, warning.Remedy.String(), "=raw")
					wantContains(t, warning.Remedy.String(), "=qcow2")
					if !warning.ByName {
						t.Error("a run over the host takes the guest without being told to")
					}
				default:
					wantFixable(t, got, 2)
					if slices.ContainsFunc(got.Findings, func(f finding.Finding) bool { return f.Code == finding.RawDiskElsewhere }) {
						t.Errorf("%+v", got.Findings)
					}
				}
			}
		})
	}
}

// TestRecordedRawBelowCountsToo: whether the XML states it or only the overlay
// records it changes nothing.
func TestRecordedRawBelowCountsToo(t *testing.T) {
	f := newFiles(t)
	f.qcow2("base.img", img{})
	f.qcow2("top.qcow2", img{backing: "base.img"})
	f.qcow2("other.qcow2", img{backing: "base.img", backingFormat: "raw"})
	disk := diskOf("web", f.layer("other.qcow2", probe.Qcow2))
	found := f.walk(t, chain.Policy{}, disk)
	explicit := diskOf("web", slices.Clone(found.Layers)...)
	for i := range explicit.Layers {
		explicit.Layers[i].From, explicit.Layers[i].ID = chain.XML, storage.FileID{}
	}
	explicit.Terminated = true
	var texts []string
	for _, before := range []bool{true, false} {
		evidence := chain.NewEvidence(nil, nil)
		if before {
			evidence.Add(t.Context(), chain.Defined, disk, found)
		} else {
			evidence.Add(t.Context(), chain.Defined, explicit, f.walk(t, chain.Policy{}, explicit))
		}
		got := f.walkWith(t, evidence, chain.Policy{}, f.top("top.qcow2"))
		wantFixable(t, got, 2)
		texts = append(texts, wantFinding(t, got, finding.RawDiskElsewhere, finding.Warn).Text)
	}
	if texts[0] != texts[1] {
		t.Errorf("%q", texts)
	}
}

// A guest that has an image as its raw disk can write any header into it; one
// without a header stays raw.
func TestRawDiskOfAGuestIsNotBelieved(t *testing.T) {
	f := newFiles(t)
	f.qcow2("base.img", img{})
	f.qcow2("top.qcow2", img{backing: "base.img"})
	raw := diskOf("mail", f.layer("base.img", probe.Raw))
	for name, disks := range map[string][]chain.Stated{
		"alone":                       {raw},
		"and another guest's qcow2":   {raw, diskOf("web", f.layer("base.img", probe.Qcow2))},
		"and other guests' all sorts": {diskOf("web", f.layer("base.img", probe.Qcow2)), diskOf("db", f.layer("base.img", probe.QED)), raw},
	} {
		t.Run(name, func(t *testing.T) {
			evidence := f.said(disks...)
			wantContains(t, wantRefused(t, f.walkWith(t, evidence, chain.Policy{}, f.top("top.qcow2")), finding.RawDiskElsewhere).Text, `"mail"`)
			got := f.walkWith(t, evidence, chain.Policy{Trust: []chain.Statement{{Path: f.path("base.img"), Format: probe.Qcow2}}}, f.top("top.qcow2"))
			wantFixable(t, got, 2)
			wantFinding(t, got, finding.RawDiskElsewhere, finding.Warn)
		})
	}
	t.Run("without a header", func(t *testing.T) {
		f.raw("base.img", 1<<20)
		got := f.walkWith(t, f.said(raw), chain.Policy{}, f.top("top.qcow2"))
		wantFixable(t, got, 2)
		if got.Layers[1].Format != probe.Raw {
			t.Errorf("layer %+v", got.Layers[1])
		}
	})
}

func TestGuestsThatDisagreeDecideNothing(t *testing.T) {
	f := newFiles(t)
	f.qcow2("base.img", img{})
	f.qcow2("top.qcow2", img{backing: "base.img"})
	evidence := f.said(diskOf("web", f.layer("base.img", probe.Qcow2)), diskOf("db", f.layer("base.img", probe.QED)))
	text := wantRefused(t, f.walkWith(t, evidence, chain.Policy{}, f.top("top.qcow2")), finding.StatedConflict).Text
	wantContains(t, text, `"web"`)
	wantContains(t, text, `"db"`)
}

// part is a layer that is a part of a file.
func (f *files) part(name string, format probe.Format, offset, size int) chain.Layer {
	l := f.layer(name, format)
	l.Source.Slices = &libvirtxml.DomainDiskSlices{Slices: []libvirtxml.DomainDiskSlice{{Type: "storage", Offset: uint(offset), Size: uint(size)}}}
	return l
}

// A guest that writes to a file writes to every part of it. The stated format
// of the whole file does not apply to a part, nor that of one part to another.
func TestEvidenceOnAPartOfAFile(t *testing.T) {
	f := newFiles(t)
	f.qcow2("inner", img{})
	inner, err := os.ReadFile(f.path("inner"))
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int{0, 4096} {
		f.put("archive", append(append(make([]byte, offset), inner...), make([]byte, 512)...))
		f.qcow2("top.qcow2", img{backing: fmt.Sprintf(`json:{"file":{"driver":"raw","offset":%d,"size":%d,"file":{"driver":"file","filename":"%s"}}}`,
			offset, len(inner), f.path("archive"))})
		for name, c := range map[string]struct {
			says chain.Layer
			from chain.Origin // Unstated if the disk is refused
		}{
			"the whole is a raw disk":                {f.layer("archive", probe.Raw), chain.Unstated},
			"the part is a raw disk":                 {f.part("archive", probe.Raw, offset, len(inner)), chain.Unstated},
			"a part of the part is a raw disk":       {f.part("archive", probe.Raw, offset+512, 512), chain.Unstated},
			"what comes after it is a raw disk":      {f.part("archive", probe.Raw, offset+len(inner), 512), chain.Probe},
			"the whole is stated to be vdi":          {f.layer("archive", probe.VDI), chain.Probe},
			"a longer part is stated to be vdi":      {f.part("archive", probe.VDI, offset, len(inner)+512), chain.Probe},
			"just this part is stated to be a qcow2": {f.part("archive", probe.Qcow2, offset, len(inner)), chain.Libvirt},
		} {
			evidence := f.said(diskOf("mail", c.says))
			got := f.walkWith(t, evidence, chain.Policy{}, f.top("top.qcow2"))
			if c.from == chain.Unstated {
				wantRefused(t, got, finding.RawDiskElsewhere)
				got = f.walkWith(t, evidence, chain.Policy{Trust: []chain.Statement{{Path: f.path("archive"), Format: probe.Qcow2}}}, f.top("top.qcow2"))
				wantFixable(t, got, 2)
				wantFinding(t, got, finding.RawDiskElsewhere, finding.Warn)
				continue
			}
			wantFixable(t, got, 2)
			if got.Layers[1].From != c.from {
				t.Errorf("at %d, %s: layer %+v", offset, name, got.Layers[1])
			}
		}
	}
}

// TestSharedImages: an image that one disk reads and another writes is a
// warning for both disks, one that two write an info finding.
func TestSharedImages(t *testing.T) {
	f := newFiles(t)
	f.qcow2("base.qcow2", img{})
	f.qcow2("top.qcow2", img{backing: "base.qcow2", backingFormat: "qcow2"})
	f.raw("data.raw", 1<<20)
	f.qcow2("over.qcow2", img{backing: "data.raw", backingFormat: "raw"})
	shareable := diskOf("web", f.layer("data.raw", probe.Raw))
	shareable.Shareable = true
	readOnly := diskOf("web", f.layer("base.qcow2", probe.Qcow2))
	readOnly.ReadOnly = true
	for name, c := range map[string]struct {
		asks, other chain.Stated
		want        finding.Code // "" for nothing
		severity    finding.Severity
	}{
		"the base is another's disk":            {diskOf("a", f.layer("top.qcow2", probe.Qcow2)), diskOf("web", f.layer("base.qcow2", probe.Qcow2)), finding.BaseWritten, finding.Warn},
		"the disk is another's base":            {diskOf("a", f.layer("base.qcow2", probe.Qcow2)), diskOf("web", f.layer("top.qcow2", probe.Qcow2)), finding.BaseWritten, finding.Warn},
		"the raw disk is another's base":        {diskOf("a", f.layer("data.raw", probe.Raw)), diskOf("web", f.layer("over.qcow2", probe.Qcow2)), finding.BaseWritten, finding.Warn},
		"the base is a disk that only reads it": {diskOf("a", f.layer("top.qcow2", probe.Qcow2)), readOnly, "", 0},
		"two write one image":                   {diskOf("a", f.layer("data.raw", probe.Raw)), diskOf("web", f.layer("data.raw", probe.Raw)), finding.SharedWritable, finding.Info},
		"two write one image and share it":      {shareable, diskOf("b", f.layer("data.raw", probe.Raw)), "", 0},
		"two have one base":                     {diskOf("a", f.layer("top.qcow2", probe.Qcow2)), diskOf("web", f.layer("over.qcow2", probe.Qcow2)), "", 0},
		"the disk itself, defined and running":  {diskOf("a", f.layer("data.raw", probe.Raw)), diskOf("a", f.layer("data.raw", probe.Raw)), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			evidence := chain.NewEvidence(nil, nil)
			for _, disk := range []chain.Stated{c.asks, c.other} {
				evidence.Add(t.Context(), chain.Defined, disk, f.walk(t, chain.Policy{}, disk))
			}
			got := f.walkWith(t, evidence, chain.Policy{}, c.asks)
			var found []finding.Finding
			for _, reported := range got.Findings {
				if reported.Code == finding.BaseWritten || reported.Code == finding.SharedWritable {
					found = append(found, reported)
				}
			}
			if c.want == "" && len(found) == 0 {
				return
			}
			if len(found) != 1 || found[0].Code != c.want || found[0].Severity != c.severity {
				t.Fatalf("want %q: %+v", c.want, found)
			}
			wantContains(t, found[0].Text, `"web"`)
		})
	}
}

// leaving is an Opener whose image disappears after it was opened.
type leaving struct{ *files }

func (l leaving) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (storage.Image, error) {
	img, err := l.files.Open(ctx, src)
	if path, _ := storage.LocalPath(src); err == nil && path == l.path("base.img") {
		if err := os.Remove(path); err != nil {
			l.t.Fatal(err)
		}
	}
	return img, err
}

// The image is opened again for a format that its header does not claim; it
// may have disappeared by then.
func TestImageThatGoesBeforeItIsOpenedAgain(t *testing.T) {
	for _, policy := range []string{"", "optional"} {
		f := newFiles(t)
		f.qcow2("base.img", img{})
		f.qcow2("top.qcow2", img{backing: "base.img"})
		f.touched, f.opened = map[string]bool{}, map[string]int{}
		s := f.top("top.qcow2")
		s.Layers[0].Source.StartupPolicy = policy
		w := &chain.Walker{Images: image.NewCache(leaving{f}), Evidence: f.said(diskOf("web", f.layer("base.img", probe.VDI)))}
		got, err := w.Walk(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]chain.Verdict{"": chain.Refused, "optional": chain.Skipped}[policy]; got.Verdict != want {
			t.Errorf("%q: %v, want %v: %+v", policy, got.Verdict, want, got.Findings)
		}
	}
}
