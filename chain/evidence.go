package chain

import (
	"context"
	"slices"
	"strconv"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// Occasion is the kind of document that a disk is in. It decides what the disk may
// say of images (see [Evidence.Add]).
type Occasion int

const (
	// Defined: in a definition that a guest will be started with.
	Defined Occasion = iota
	// Running: in the XML that a guest runs with, in which libvirt has written
	// what it detected below the disk's own image.
	Running
	// RunningJob: as Running, while a block job runs on a disk of the guest,
	// which may be a commit into a lower layer.
	RunningJob
	// Past: in a snapshot, a checkpoint or a saved state.
	Past
)

// DiskName names a disk of a guest.
type DiskName struct{ Guest, Target string }

// String names the disk for people, quoted: disk "vda" of the guest "web".
func (d DiskName) String() string {
	guest := "the guest " + strconv.Quote(d.Guest)
	if d.Guest == "" {
		guest = "the same guest"
	}
	if d.Target == "" {
		return "a disk of " + guest
	}
	return "disk " + strconv.Quote(d.Target) + " of " + guest
}

// DiskFormat is the format that a disk states for its own image.
type DiskFormat struct {
	DiskName
	Format probe.Format
}

// HostFacts are what the disks of guests say of one image. No header has these facts,
// and no guest can have forged them. Each list has a few disks at most.
type HostFacts struct {
	// RawDisks are raw disks that their guest may write and that share a byte
	// with the image, or did when a snapshot was taken. That guest may have
	// written any header.
	RawDisks []DiskName
	// RawBelow are disks that have the image below them as a raw one, because
	// the XML states that or an overlay records it. Their guests do not write
	// to it, but a commit does.
	RawBelow []DiskName
	// Formats are the formats other than raw that a <driver type> states for
	// just this image, each once. Raw does not
	// count, since libvirt writes it into the definition of a disk without a
	// <driver type>.
	Formats []DiskFormat
	// Below are disks that have the image below them now, Writers those that
	// write to it. The disk that asks is in neither.
	Below, Writers []DiskName
}

// mayBeForged reports whether a guest may have written the header of the image: then
// no format is taken from it.
func (f HostFacts) mayBeForged() bool { return len(f.RawDisks) > 0 }

// States reports whether a disk states just this format for its own image, and
// nothing contradicts that.
func (f HostFacts) States(format probe.Format) bool {
	return len(f.Formats) == 1 && f.Formats[0].Format == format && !f.mayBeForged()
}

// Evidence is what the disks of a host's guests, or of one document, say of
// images. The table of docs/rules.md is [Evidence.Add].
//
// Images are told apart by their bytes ([storage.Extent]): a format is said only of an
// image with the same ones, a contradiction counts wherever bytes are shared. Once
// all disks are added, any number of goroutines may ask.
type Evidence struct {
	opener  storage.Opener
	volumes storage.Volumes

	disks   []DiskName
	numbers map[DiskName]int32
	marks   map[storage.FileID][]extentMarks
	shared  bool
}

// extentMarks are what is said of one extent of a file.
type extentMarks struct {
	start, length uint64
	marks         []mark
}

// is reports whether these are the bytes of an extent of the same file.
func (p *extentMarks) is(e storage.Extent) bool { return p.start == e.Start && p.length == e.Length }

// overlaps is [storage.Extent.Overlaps] for an extent of the same file. There may
// be thousands in one.
func (p *extentMarks) overlaps(e storage.Extent) bool {
	return e.Overlaps(storage.Extent{File: e.File, Start: p.start, Length: p.length})
}

// mark is one fact that a disk states of an extent.
type mark struct {
	fact   fact
	disk   int32
	format probe.Format // of statesFormat
}

type fact int8

const (
	rawDisk fact = iota
	rawBelow
	statesFormat
	isBelow
	writes
)

// maxMarks bounds how many disks are remembered that say one thing of one
// extent: thousands may have one base, and a message names one.
const maxMarks = 3

// NewEvidence returns evidence of no disk. The Opener identifies images, nil
// meaning [storage.FileOpener]; volumes, which may be nil, knows those of storage
// pools.
func NewEvidence(opener storage.Opener, volumes storage.Volumes) *Evidence {
	if opener == nil {
		opener = storage.FileOpener{}
	}
	return &Evidence{opener: opener, volumes: volumes, numbers: make(map[DiskName]int32), marks: make(map[storage.FileID][]extentMarks)}
}

// Add adds what a disk says. found is its chain, walked without evidence, or nil:
// a header that may be followed says which images are below the disk, as the XML
// does. Nothing is known of an image that cannot be identified.
//
// A disk states a format only by its own <driver type>, and not on the occasion
// [Past]. What an explicit chain states of the images below the disk never counts
// for another disk, because libvirt and chainfix write guesses there.
func (e *Evidence) Add(ctx context.Context, when Occasion, stated Stated, found *Chain) {
	if len(stated.Layers) == 0 {
		return
	}
	disk, own := DiskName{stated.Guest, stated.Target}, stated.Layers[0]
	if found != nil && len(found.Layers) > 0 {
		own.ID, own.Located = found.Layers[0].ID, found.Layers[0].Located
	}
	e.addOwn(ctx, when, disk, own, stated.ReadOnly)
	if when == Past {
		return
	}
	if target := stated.MirrorTo; target != nil {
		e.addWritten(ctx, disk, *target)
	}
	lower := stated.Layers[1:]
	if found != nil && len(found.Layers) > 0 {
		for _, layer := range found.Layers[1:] {
			e.addLower(ctx, when, disk, layer, layer.From == Header, stated.ReadOnly)
		}
	}
	for _, layer := range lower {
		e.addLower(ctx, when, disk, layer, true, stated.ReadOnly)
	}
}

// addOwn adds what a disk says of its own image.
func (e *Evidence) addOwn(ctx context.Context, when Occasion, disk DiskName, own Layer, readOnly bool) {
	if !readOnly {
		if when == Past {
			e.addRaw(ctx, rawDisk, disk, own)
		} else {
			e.addWritten(ctx, disk, own)
		}
	}
	if when != Past && own.From == XML && own.Format != probe.Raw {
		e.mark(ctx, own, mark{fact: statesFormat, format: own.Format}, disk)
	}
}

// addWritten adds an image that a guest writes to now.
func (e *Evidence) addWritten(ctx context.Context, disk DiskName, layer Layer) {
	e.mark(ctx, layer, mark{fact: writes}, disk)
	e.addRaw(ctx, rawDisk, disk, layer)
}

// addLower adds an image below a disk. Whether it is raw counts only where that
// was stated or recorded.
func (e *Evidence) addLower(ctx context.Context, when Occasion, disk DiskName, layer Layer, told, readOnly bool) {
	e.mark(ctx, layer, mark{fact: isBelow}, disk)
	if !told || readOnly {
		return
	}
	if layer.From == Unstated {
		return
	}
	e.addRaw(ctx, rawBelow, disk, layer)
	if when == RunningJob {
		e.addRaw(ctx, rawDisk, disk, layer)
	}
}

// addRaw adds that a layer is raw, if it is: what stands in it then is chosen by
// whoever writes it, unless that goes through an encryption. A disk without a
// type is raw to libvirt.
func (e *Evidence) addRaw(ctx context.Context, f fact, disk DiskName, layer Layer) {
	raw := layer.Format == probe.Raw || layer.From == Unstated
	if raw && layer.Source != nil && layer.Source.Encryption == nil {
		e.mark(ctx, layer, mark{fact: f}, disk)
	}
}

// mark keeps what a disk says of a layer.
func (e *Evidence) mark(ctx context.Context, layer Layer, m mark, disk DiskName) {
	extent, ok := e.extent(ctx, layer)
	if !ok {
		return
	}
	number, known := e.numbers[disk]
	if !known {
		number = int32(len(e.disks))
		e.disks = append(e.disks, disk)
		e.numbers[disk] = number
	}
	m.disk = number
	all := e.marks[extent.File]
	at := -1
	for i := range all {
		other := &all[i]
		if other.is(extent) {
			at = i
		}
		if !e.shared && other.overlaps(extent) {
			e.shared = slices.ContainsFunc(other.marks, func(o mark) bool { return o.disk != number })
		}
	}
	if at < 0 {
		at = len(all)
		all = append(all, extentMarks{start: extent.Start, length: extent.Length})
		e.marks[extent.File] = all
	}
	count := 0
	for _, other := range all[at].marks {
		if other == m {
			return
		}
		if other.fact == m.fact && other.format == m.format {
			count++
		}
	}
	if count < maxMarks {
		all[at].marks = append(all[at].marks, m)
	}
}

// extent returns where the bytes of a layer are. A layer of a walk knows what was
// opened; any other is looked up.
func (e *Evidence) extent(ctx context.Context, layer Layer) (storage.Extent, bool) {
	src := layer.At()
	if layer.Located == nil && layer.Source != nil && layer.Source.Volume != nil {
		if e.volumes == nil {
			return storage.Extent{}, false
		}
		located, err := e.volumes.Locate(layer.Source)
		if err != nil {
			return storage.Extent{}, false
		}
		at := *located
		at.Slices = layer.Source.Slices
		src = &at
	}
	if storage.IsEmpty(src) {
		return storage.Extent{}, false
	}
	id := layer.ID
	if id == (storage.FileID{}) {
		var err error
		if id, err = e.opener.Identify(ctx, src); err != nil {
			return storage.Extent{}, false
		}
	}
	return storage.ExtentOf(ctx, e.opener, src, id), true
}

// Shared reports whether two disks have said something of the same bytes. If not,
// the evidence changes no walk.
func (e *Evidence) Shared() bool { return e.shared }

// Of returns what is said of an image with these bytes, for a walk of the disk
// asker.
func (e *Evidence) Of(extent storage.Extent, asker DiskName) HostFacts {
	var facts HostFacts
	parts := e.marks[extent.File]
	for i := range parts {
		part := &parts[i]
		if !part.overlaps(extent) {
			continue
		}
		same := part.is(extent)
		for _, m := range part.marks {
			facts.add(m, e.disks[m.disk], asker, same)
		}
	}
	return facts
}

// add adds one thing that a disk says, for asker; same reports whether it says it
// of just the same bytes.
func (f *HostFacts) add(m mark, disk, asker DiskName, same bool) {
	switch m.fact {
	case rawDisk:
		f.RawDisks = addName(f.RawDisks, disk)
	case statesFormat:
		if same && !slices.ContainsFunc(f.Formats, func(d DiskFormat) bool { return d.Format == m.format }) {
			f.Formats = append(f.Formats, DiskFormat{disk, m.format})
		}
	}
	if disk == asker {
		return
	}
	switch m.fact {
	case rawBelow:
		f.RawBelow = addName(f.RawBelow, disk)
	case isBelow:
		f.Below = addName(f.Below, disk)
	case writes:
		f.Writers = addName(f.Writers, disk)
	}
}

// addName adds a name, unless there are enough: thousands of slices may overlap.
func addName(names []DiskName, name DiskName) []DiskName {
	if len(names) == maxMarks || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// FactsOf returns what other disks than asker say of a layer, as far as w's
// Evidence knows. Package predict uses it; a walk asks by itself.
func (w *Walker) FactsOf(ctx context.Context, layer Layer, asker DiskName) HostFacts {
	if w.Evidence == nil {
		return HostFacts{}
	}
	extent, ok := w.Evidence.extent(ctx, layer)
	if !ok {
		return HostFacts{}
	}
	return w.Evidence.Of(extent, asker)
}

// factsOf returns what other disks say of a layer.
func (k *walk) factsOf(layer Layer) HostFacts {
	return k.FactsOf(k.ctx, layer, DiskName{k.stated.Guest, k.stated.Target})
}

// applyEvidence gives a backing image whose format is not recorded the format that
// a disk states which has it as its own image; it refuses an image whose header a
// guest may have written. It returns the view of the image as that format, and
// whether the walk may go on.
func (k *walk) applyEvidence(layer Layer, l *image.View, facts HostFacts) (Layer, *image.View, bool) {
	what := storage.Describe(layer.Source)
	unrecorded := "the format of " + what + " is not recorded in " + storage.Describe(k.chain.Layers[len(k.chain.Layers)-2].Source)
	switch {
	case facts.mayBeForged() && l.Candidate() != probe.Raw:
		k.refuse(finding.RawDiskElsewhere, unrecorded+"; its own header says "+image.FormatList(l.Formats())+", but it is or was the raw "+
			facts.RawDisks[0].String()+", which may have written that", trustRemedy(layer.At(), ""))
	case len(facts.Formats) > 1:
		a, b := facts.Formats[0], facts.Formats[1]
		k.refuse(finding.StatedConflict, unrecorded+"; the "+a.String()+" states that it is "+string(a.Format)+
			", the "+b.String()+" that it is "+string(b.Format), k.chooseStatedRemedy(layer, a, b))
	case len(facts.Formats) == 1 && facts.States(facts.Formats[0].Format):
		s := facts.Formats[0]
		again, err := k.Look(k.ctx, layer.At(), s.Format)
		if err != nil {
			return layer, l, k.unopened(layer, err)
		}
		layer.Format, layer.From = s.Format, Libvirt
		k.note(finding.StatedElsewhere, finding.Info, unrecorded+"; the "+s.String()+" states that it is "+string(s.Format))
		return layer, again, true
	}
	return layer, l, !k.refused()
}

// noteRawDisk warns of an image that somebody states to be of a format, and
// that is also a guest's raw disk.
func (k *walk) noteRawDisk(layer Layer, facts HostFacts) {
	if layer.Format == probe.Raw || !facts.mayBeForged() {
		return
	}
	k.find(finding.RawDiskElsewhere, finding.Warn, storage.Describe(layer.Source)+" is stated to be "+string(layer.Format)+", but it is or was the raw "+
		facts.RawDisks[0].String()+", which may have written its header", finding.Say("find out which is right before the guest is started again"))
}

// noteRawBelow warns of a format that was taken from an image's header, or from
// another disk's <driver type>, while a third has the image as raw below it.
func (k *walk) noteRawBelow(layer Layer, facts HostFacts) {
	if len(facts.RawBelow) == 0 || layer.Format == probe.Raw || k.refused() {
		return
	}
	k.findAt(len(k.chain.Layers)-1, finding.Finding{Code: finding.RawDiskElsewhere, Severity: finding.Warn, ByName: true,
		Text:   storage.Describe(layer.Source) + " is taken as " + string(layer.Format) + ", but it is stated or recorded to be raw below the " + facts.RawBelow[0].String(),
		Remedy: trustRemedy(layer.At(), layer.Format)})
}

// noteSharing warns of an image that one disk reads and another writes: what an
// overlay shows is lost as soon as its backing image changes.
func (k *walk) noteSharing(layer Layer, facts HostFacts) {
	if len(k.chain.Layers) == 1 {
		k.noteTopSharing(layer, facts)
	} else if len(facts.Writers) > 0 {
		k.find(finding.BaseWritten, finding.Warn, storage.Describe(layer.Source)+" is a backing image here, but the "+facts.Writers[0].String()+
			" writes to it, which destroys what this disk shows", ownCopy)
	}
}

// noteTopSharing is noteSharing for the disk's own image. Two disks that write one
// image are worth a remark, unless the XML says that they share it.
func (k *walk) noteTopSharing(top Layer, facts HostFacts) {
	if k.stated.ReadOnly {
		return
	}
	name := storage.Describe(top.Source)
	if len(facts.Below) > 0 {
		k.findAt(0, finding.Finding{Code: finding.BaseWritten, Severity: finding.Warn, Text: "this disk writes to " + name + ", which is a backing image of the " +
			facts.Below[0].String() + ": that destroys what the other disk shows", Remedy: ownCopy})
	}
	if len(facts.Writers) > 0 && !k.stated.Shareable {
		k.findAt(0, finding.Finding{Code: finding.SharedWritable, Severity: finding.Info, Text: name + " is also written to by the " + facts.Writers[0].String() +
			", and the XML does not call it <shareable/>", Remedy: finding.Say("start only one of the two at a time, or give each its own image")})
	}
}
