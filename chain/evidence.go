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

// Occasion is the kind of document that a disk is in. It decides which facts
// the disk adds (see [Evidence.Add]).
type Occasion int

const (
	// Defined: in a definition that a guest will start with.
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

// DiskName identifies a disk of a guest.
type DiskName struct{ Guest, Target string }

// String returns the disk for messages, quoted: disk "vda" of the guest "web".
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

// HostFacts are what the disks of guests say about one image. They do not come
// from image headers, so no guest can forge them. Each list has a few disks at
// most.
type HostFacts struct {
	// RawDisks are raw disks that their guest may write and that share a byte
	// with the image, or shared one when a snapshot was taken. That guest may
	// have written any header.
	RawDisks []DiskName
	// RawBelow are disks that have the image as a raw backing image, because the
	// XML states that or an overlay records it. Their guests do not write to it,
	// but a commit does.
	RawBelow []DiskName
	// Formats are the formats other than raw that a <driver type> states for
	// exactly this image, each once. Raw does not count, since libvirt writes it
	// into the definition of a disk without a <driver type>.
	Formats []DiskFormat
	// Below are disks that have the image as a backing image now, Writers those
	// that write to it. Neither contains the asking disk.
	Below, Writers []DiskName
}

// mayBeForged reports whether a guest may have written the header of the
// image. Then the header is not used.
func (f HostFacts) mayBeForged() bool { return len(f.RawDisks) > 0 }

// States reports whether a disk states this format for its own image, and
// nothing contradicts that.
func (f HostFacts) States(format probe.Format) bool {
	return len(f.Formats) == 1 && f.Formats[0].Format == format && !f.mayBeForged()
}

// Evidence is what the disks of a host's guests, or of one document, say about
// images. [Evidence.Add] implements the table of docs/rules.md.
//
// Images are compared by the bytes that they occupy ([storage.Extent]): a
// format applies only to an image with exactly the same bytes, a contradiction
// to any image that shares a byte. After all disks have been added, Evidence
// is safe for concurrent use.
type Evidence struct {
	images  *image.Cache
	volumes storage.Volumes

	disks   []DiskName
	numbers map[DiskName]int32
	marks   map[storage.FileID][]extentMarks
	shared  bool
}

// extentMarks are the facts about one extent of a file.
type extentMarks struct {
	start, length uint64
	marks         []mark
}

// is reports whether p and e, an extent of the same file, are the same bytes.
func (p *extentMarks) is(e storage.Extent) bool { return p.start == e.Start && p.length == e.Length }

// overlaps is [storage.Extent.Overlaps] for an extent of the same file. One
// file may have thousands of extents.
func (p *extentMarks) overlaps(e storage.Extent) bool {
	return e.Overlaps(storage.Extent{File: e.File, Start: p.start, Length: p.length})
}

// mark is one fact that a disk states about an extent.
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

// maxMarks bounds how many disks are kept for one fact about one extent:
// thousands may share a backing image, and a message names one of them.
const maxMarks = 3

// NewEvidence returns empty Evidence. The cache identifies images; nil means a
// new one for local files and devices. volumes finds the volumes of storage
// pools and may be nil.
func NewEvidence(images *image.Cache, volumes storage.Volumes) *Evidence {
	if images == nil {
		images = image.NewCache(nil)
	}
	return &Evidence{images: images, volumes: volumes, numbers: make(map[DiskName]int32), marks: make(map[storage.FileID][]extentMarks)}
}

// Add adds the facts that a disk states. found is its chain, walked without
// evidence, or nil: headers that may be followed say which backing images the
// disk has, as the XML does. Images that cannot be identified are left out.
//
// A disk states a format only with its own <driver type>, and not on the
// occasion [Past]. Formats in its explicit backing chain never count for
// another disk, because libvirt writes guesses there.
func (e *Evidence) Add(ctx context.Context, when Occasion, stated Stated, found *Chain) {
	e.AddRead(e.Read(ctx, when, stated, found))
}

// ReadEvidence is what one disk states; see [Evidence.Read].
type ReadEvidence struct {
	disk  DiskName
	marks []placedMark
	// Missing has an error for each image that did not answer, so that its facts
	// are missing: each wraps a [*limit.UnansweredError].
	Missing []error
}

// placedMark is one fact that a disk states, with the bytes that it is about.
type placedMark struct {
	extent storage.Extent
	mark
}

// Read collects what a disk states, for [Evidence.AddRead]. Only Read touches
// images; it is safe for concurrent use.
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

// AddRead adds what [Evidence.Read] has collected. Messages name disks in the
// order in which they were added.
func (e *Evidence) AddRead(r ReadEvidence) {
	for _, m := range r.marks {
		e.add(m, r.disk)
	}
}

// evidenceReader collects what one disk states.
type evidenceReader struct {
	*Evidence
	ctx      context.Context
	when     Occasion
	readOnly bool
	read     ReadEvidence
}

// addOwn adds what a disk states about its own image.
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

// addLower adds a backing image. That it is raw counts only if that was stated
// or recorded.
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

// addRaw adds that a layer is raw, if it is: whoever writes it controls all of
// its bytes, unless they are encrypted. A disk without a type is raw to
// libvirt.
func (r *evidenceReader) addRaw(f fact, layer Layer) {
	raw := layer.Format == probe.Raw || layer.From == Unstated
	if raw && layer.Source != nil && layer.Source.Encryption == nil {
		r.mark(layer, mark{fact: f})
	}
}

// mark adds a fact about a layer.
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

// add stores a fact that a disk states.
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

// extent returns where the bytes of a layer are: from the walk that opened it,
// otherwise by identifying its source.
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

// Shared reports whether two disks stated facts about the same bytes. If not,
// the evidence changes no walk.
func (e *Evidence) Shared() bool { return e.shared }

// Of returns the facts about an image with these bytes, for a walk of the disk
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

// add adds one fact that a disk states, for asker; same reports whether it is
// about exactly the same bytes.
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

// addName adds a name if there are fewer than maxMarks: thousands of slices
// may overlap.
func addName(names []DiskName, name DiskName) []DiskName {
	if len(names) == maxMarks || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}
