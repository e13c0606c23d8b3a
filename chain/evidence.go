package chain

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/limit"
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
	images  *image.Cache
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

// NewEvidence returns evidence of no disk. The cache identifies images, nil meaning
// one of local files and devices; volumes, which may be nil, knows those of storage
// pools.
func NewEvidence(images *image.Cache, volumes storage.Volumes) *Evidence {
	if images == nil {
		images = image.NewCache(nil)
	}
	return &Evidence{images: images, volumes: volumes, numbers: make(map[DiskName]int32), marks: make(map[storage.FileID][]extentMarks)}
}

// Add adds what a disk says. found is its chain, walked without evidence, or nil:
// a header that may be followed says which images are below the disk, as the XML
// does. Nothing is known of an image that cannot be identified.
//
// A disk states a format only by its own <driver type>, and not on the occasion
// [Past]. What an explicit chain states of the images below the disk never counts
// for another disk, because libvirt and chainfix write guesses there.
func (e *Evidence) Add(ctx context.Context, when Occasion, stated Stated, found *Chain) {
	e.AddRead(e.Read(ctx, when, stated, found))
}

// ReadEvidence is what one disk says; see [Evidence.Read].
type ReadEvidence struct {
	disk  DiskName
	marks []placedMark
	// Missing says of which images nothing is known because they did not answer:
	// each error wraps a [*limit.UnansweredError].
	Missing []error
}

// placedMark is one fact that a disk states, and of which bytes.
type placedMark struct {
	extent storage.Extent
	mark
}

// Read finds out what a disk says, for [Evidence.AddRead]. Only this asks for images,
// and any number of goroutines may do it at the same time.
func (e *Evidence) Read(ctx context.Context, when Occasion, stated Stated, found *Chain) ReadEvidence {
	r := &evidenceReader{Evidence: e, ctx: ctx, when: when, readOnly: stated.ReadOnly}
	if len(stated.Layers) == 0 {
		return r.read
	}
	own := stated.Layers[0]
	r.read.disk = DiskName{stated.Guest, stated.Target}
	if found != nil && len(found.Layers) > 0 {
		own.ID, own.Located = found.Layers[0].ID, found.Layers[0].Located
	}
	r.addOwn(own)
	if when == Past {
		return r.read
	}
	if target := stated.MirrorTo; target != nil {
		r.addWritten(*target)
	}
	if found != nil && len(found.Layers) > 0 {
		for _, layer := range found.Layers[1:] {
			r.addLower(layer, layer.From == Header)
		}
	}
	for _, layer := range stated.Layers[1:] {
		r.addLower(layer, true)
	}
	return r.read
}

// AddRead adds what [Evidence.Read] has found out. What is added first is what is
// named first.
func (e *Evidence) AddRead(r ReadEvidence) {
	for _, m := range r.marks {
		e.add(m, r.disk)
	}
}

// evidenceReader finds out what one disk says.
type evidenceReader struct {
	*Evidence
	ctx      context.Context
	when     Occasion
	readOnly bool
	read     ReadEvidence
}

// addOwn adds what a disk says of its own image.
func (r *evidenceReader) addOwn(own Layer) {
	if !r.readOnly {
		if r.when == Past {
			r.addRaw(rawDisk, own)
		} else {
			r.addWritten(own)
		}
	}
	if r.when != Past && own.From == XML && own.Format != probe.Raw {
		r.mark(own, mark{fact: statesFormat, format: own.Format})
	}
}

// addWritten adds an image that a guest writes to now.
func (r *evidenceReader) addWritten(layer Layer) {
	r.mark(layer, mark{fact: writes})
	r.addRaw(rawDisk, layer)
}

// addLower adds an image below a disk. Whether it is raw counts only where that
// was stated or recorded.
func (r *evidenceReader) addLower(layer Layer, told bool) {
	r.mark(layer, mark{fact: isBelow})
	if !told || r.readOnly || layer.From == Unstated {
		return
	}
	r.addRaw(rawBelow, layer)
	if r.when == RunningJob {
		r.addRaw(rawDisk, layer)
	}
}

// addRaw adds that a layer is raw, if it is: what stands in it then is chosen by
// whoever writes it, unless that goes through an encryption. A disk without a
// type is raw to libvirt.
func (r *evidenceReader) addRaw(f fact, layer Layer) {
	raw := layer.Format == probe.Raw || layer.From == Unstated
	if raw && layer.Source != nil && layer.Source.Encryption == nil {
		r.mark(layer, mark{fact: f})
	}
}

// mark notes what the disk says of a layer.
func (r *evidenceReader) mark(layer Layer, m mark) {
	extent, err := r.extent(r.ctx, layer)
	var unanswered *limit.UnansweredError
	switch {
	case err == nil:
		r.read.marks = append(r.read.marks, placedMark{extent, m})
	case errors.As(err, &unanswered) && !slices.ContainsFunc(r.read.Missing, func(e error) bool { return e.Error() == err.Error() }):
		r.read.Missing = append(r.read.Missing, err)
	}
}

// add keeps what a disk says of bytes.
func (e *Evidence) add(placed placedMark, disk DiskName) {
	extent, m := placed.extent, placed.mark
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
func (e *Evidence) extent(ctx context.Context, layer Layer) (storage.Extent, error) {
	layer, err := locate(ctx, e.volumes, layer)
	if err != nil {
		return storage.Extent{}, err
	}
	src := layer.At()
	if storage.IsEmpty(src) {
		return storage.Extent{}, storage.ErrNotReadable
	}
	id := layer.ID
	if id == (storage.FileID{}) {
		if id, err = e.images.Identify(ctx, src); err != nil {
			return storage.Extent{}, err
		}
	}
	return e.images.Extent(ctx, src, id)
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
