package host

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/xmlfix"
)

// usageReader reads one text of a guest.
type usageReader struct {
	ctx    context.Context
	walker *chain.Walker
	target *whoTarget
	guest  *Guest
	in     string
	// past says that the text is of the past: what it states of an image is followed only
	// where something of now says it, too.
	past bool
	// ends says that the chain that is read is refused: that is one doubt for all that is
	// not followed.
	ends  bool
	found foundUses
}

// Ways to use an image.
const (
	asOwn      = "its own image"
	asBelow    = "below it"
	asDataFile = "a data file"
	asExtent   = "an extent"
	asMirror   = "what a block job writes to"
	asHeader   = "named by a header below it"
	asSaved    = "the state that it is started from"
)

func (c *collector) usageReader(ctx context.Context, g *Guest, in string) *usageReader {
	return &usageReader{ctx: ctx, walker: c.walker, target: c.search.target, guest: g, in: in}
}

// use adds what a source comes to for one disk, "" for none.
func (r *usageReader) use(disk, as string, writes bool, layer chain.Layer) {
	r.say(disk, as, writes, r.target.compare(r.ctx, r.walker, layer))
}

func (r *usageReader) say(disk, as string, writes bool, s sameness) {
	switch {
	case s.same:
		r.found.uses = append(r.found.uses, Use{Guest: r.guest.Name, UUID: r.guest.UUID, Disk: disk, As: as, Writes: writes, In: []string{r.in}})
	case s.why != "":
		r.doubt(disk, s.why)
	}
}

func (r *usageReader) doubt(disk, why string) { r.found.doubt(r.guest.Name, disk, r.in, why) }

// notFollowed is a doubt about what an image names, unless it is that of the whole chain.
func (r *usageReader) notFollowed(disk, why string) {
	if !r.ends {
		r.doubt(disk, why)
	}
}

// disks reads disks whose chains were walked. A chain that was refused is walked again once
// it is known what the other disks of the host state.
func (r *usageReader) disks(disks []xmlfix.DiskExamination) {
	for _, d := range disks {
		if d.Chain == nil {
			r.doubt(d.Target, "the disk cannot be read: "+Reason(d.Err))
		}
		r.stated(d.Stated)
		switch {
		case d.Chain == nil:
		case d.Chain.Verdict == chain.Refused && !r.past:
			r.found.again = append(r.found.again, refusedDisk{r.guest, r.in, d.Stated})
		default:
			r.chain(d.Stated, d.Chain)
		}
	}
}

// running reads the disks of the XML that a guest runs with, and returns them. libvirt has
// written in it what it detected, so its chains are compared with the headers like any other.
func (r *usageReader) running(doc *xmlfix.Document) (disks []xmlfix.DiskExamination, err error) {
	for _, disk := range doc.Disks() {
		d := xmlfix.DiskExamination{Disk: disk}
		d.Stated, d.Err = disk.Stated()
		d.Target = d.Stated.Target
		d.Stated.Guest, d.Stated.Live = r.guest.Name, false
		if d.Err == nil {
			if d.Stated.Mirror {
				if err := r.mirror(d.Stated); err != nil {
					return nil, err
				}
				d.Stated.Mirror = false
			}
			if d.Chain, err = r.walker.Walk(r.ctx, d.Stated); err != nil {
				return nil, err
			}
		}
		disks = append(disks, d)
	}
	r.disks(disks)
	return disks, nil
}

// mirror reads what a block job of a disk writes to.
func (r *usageReader) mirror(stated chain.Stated) error {
	if stated.MirrorTo == nil {
		r.doubt(stated.Target, "a block job runs on it, and the XML does not say what it writes to")
		return nil
	}
	of := chain.Stated{Guest: stated.Guest, Target: stated.Target, Layers: []chain.Layer{*stated.MirrorTo}}
	found, err := r.walker.Walk(r.ctx, of)
	if err == nil {
		r.chain(of, found)
	}
	return err
}

// stated reads the images that the XML itself names.
func (r *usageReader) stated(stated chain.Stated) {
	for i, layer := range stated.Layers {
		as, writes := asBelow, false
		if i == 0 {
			as, writes = asOwn, !stated.ReadOnly
		}
		r.use(stated.Target, as, writes, layer)
		r.dataStore(stated.Target, layer, writes)
	}
	if stated.MirrorTo != nil {
		r.use(stated.Target, asMirror, true, *stated.MirrorTo)
	}
	if stated.Inexpressible != "" {
		r.doubt(stated.Target, "its chain goes on to "+stated.Inexpressible+", which is not read")
	}
}

func (r *usageReader) dataStore(disk string, layer chain.Layer, writes bool) {
	if layer.Source != nil && layer.Source.DataStore != nil {
		r.use(disk, asDataFile, writes, chain.Layer{Source: layer.Source.DataStore.Source, Format: probe.Raw, From: chain.XML})
	}
}

// chain reads the images of a chain that was walked, and what their headers name.
func (r *usageReader) chain(stated chain.Stated, c *chain.Chain) {
	if r.ends = c.Verdict == chain.Refused; r.ends {
		f := refusalOf(c)
		r.doubt(stated.Target, fmt.Sprintf("its chain is not followed to the end: [%s] %s", f.Code, f.Text))
		r.found.doubts[len(r.found.doubts)-1].Hint = f.Remedy.String()
	}
	for i, layer := range c.Layers {
		if i > 0 {
			r.use(stated.Target, asBelow, false, layer)
		}
		r.dataStore(stated.Target, layer, i == 0 && !stated.ReadOnly)
		below := chain.Layer{}
		if i+1 < len(c.Layers) {
			below = c.Layers[i+1]
		}
		r.header(stated.Target, layer, below, i == 0)
	}
	// Where the operator wants the headers to win, the walk does not go on to what the XML
	// states. It is what counts until somebody has written the other chain down.
	for i, layer := range stated.Layers {
		if i == 0 || r.isIn(c.Layers, layer) {
			continue
		}
		below := chain.Layer{}
		if i+1 < len(stated.Layers) {
			below = stated.Layers[i+1]
		}
		r.header(stated.Target, layer, below, false)
	}
}

// isIn reports whether a layer is one of those of a chain.
func (r *usageReader) isIn(layers []chain.Layer, layer chain.Layer) bool {
	return slices.ContainsFunc(layers, func(l chain.Layer) bool { return r.sameName(sourceOf(l), layer) })
}

// header reads what the header of a layer names. below is what the walk has found below it.
func (r *usageReader) header(disk string, layer, below chain.Layer, top bool) {
	if layer.Source == nil || storage.IsEmpty(layer.Source) || layer.From == chain.Protocol {
		return
	}
	raw := layer.HeaderFormat() == probe.Raw || top && layer.From == chain.Unstated
	at, err := r.walker.Locate(r.ctx, layer)
	if err != nil {
		return // its source is a doubt already
	}
	_, local := at.LocalPath()
	switch {
	case raw && !local:
		return
	case raw:
		r.rawHeader(disk, at)
		return
	}
	// Of an image that only a <backingStore> states, or that a snapshot had, what the
	// header names is not looked at.
	followed := layer.Header != nil && !layer.XMLAlone && layer.From != chain.Unstated && layer.From != chain.Probe
	h := layer.Header
	if h == nil {
		claim := layer.HeaderFormat()
		view, err := r.walker.Look(r.ctx, at.At(), claim)
		if err == nil {
			err, h = view.HeaderErr, view.Header
		}
		if err != nil || h == nil {
			r.notFollowed(disk, fmt.Sprintf("the header of %s is not read, so what it names is not known%s", storage.Describe(layer.Source), because(err)))
			return
		}
	}
	for _, ref := range h.References() {
		r.reference(disk, at, below, h, ref, followed)
	}
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + storage.Reason(err)
}

// reference reads one name in a header.
func (r *usageReader) reference(disk string, at, below chain.Layer, h *probe.Header, ref probe.Reference, followed bool) {
	what := storage.Describe(at.Source)
	src, err := storage.ParseBacking(ref.Name, at.At())
	isBacking := h.Backing != nil && *h.Backing == ref
	switch {
	case err != nil || ref.CutAtNUL || ref.Name == "":
		r.notFollowed(disk, fmt.Sprintf("%s names %s, which is not understood here", what, strconv.Quote(storage.Printable(ref.Name))))
		return
	case isBacking && r.sameName(src, below), h.DataFile != nil && *h.DataFile == ref && r.sameName(src, dataFileOf(at)):
		return // it was read as what the walk has found
	case r.target.compareName(src) && followed:
		r.say(disk, roleOf(h, ref), false, sameness{same: true})
		return
	case r.target.compareName(src):
		r.doubt(disk, fmt.Sprintf("the header of %s names it, and nothing of now says that this header counts", what))
		return
	case !followed:
		r.notFollowed(disk, fmt.Sprintf("%s names %s, which is not looked at, because nothing of now says that this header counts", what, strconv.Quote(storage.Printable(ref.Name))))
		return
	}
	layer := chain.Layer{Source: src}
	r.use(disk, roleOf(h, ref), false, layer)
	if !isBacking {
		return
	}
	// What is below an image that the chain does not go on to is not known.
	id, err := r.walker.Identify(r.ctx, src)
	other, otherErr := r.walker.Identify(r.ctx, sourceOf(below))
	if err == nil && otherErr == nil && id == other {
		return
	}
	if err == nil {
		r.notFollowed(disk, fmt.Sprintf("%s names %s, with which its chain does not go on", what, strconv.Quote(storage.Printable(ref.Name))))
	}
}

func roleOf(h *probe.Header, ref probe.Reference) string {
	switch {
	case h.DataFile != nil && *h.DataFile == ref:
		return asDataFile
	case h.Backing != nil && *h.Backing == ref, h.Parent != nil && *h.Parent == ref:
		return asHeader
	}
	return asExtent
}

// dataFileOf is the data file that the XML of a layer has, or will have.
func dataFileOf(layer chain.Layer) chain.Layer {
	if layer.Source.DataStore == nil {
		return chain.Layer{}
	}
	return chain.Layer{Source: layer.Source.DataStore.Source}
}

func sourceOf(layer chain.Layer) *libvirtxml.DomainDiskSource {
	if layer.Source == nil {
		return &libvirtxml.DomainDiskSource{}
	}
	return layer.At()
}

func (r *usageReader) sameName(src *libvirtxml.DomainDiskSource, below chain.Layer) bool {
	if below.Source == nil {
		return false
	}
	if located, err := r.walker.Locate(r.ctx, below); err == nil {
		below = located
	}
	name := storage.Name(src)
	return name != "" && name == storage.Name(below.At())
}

// rawHeader looks at an image that is taken as raw. The guest sees what is in it byte by
// byte, so a header there names nothing that the guest stands on; but if it names the image
// that is asked for, it may be that somebody left out what format it has.
func (r *usageReader) rawHeader(disk string, at chain.Layer) {
	view, err := r.walker.Look(r.ctx, at.At(), "")
	if err != nil || view.Header == nil {
		return
	}
	for _, ref := range view.Header.References() {
		src, err := storage.ParseBacking(ref.Name, at.At())
		if err == nil && r.target.compareName(src) {
			r.doubt(disk, fmt.Sprintf("%s is taken as raw, but begins with the header of a %s image that names it: its guest may have written that, or the format is stated wrongly",
				storage.Describe(at.Source), view.Claim))
		}
	}
}
