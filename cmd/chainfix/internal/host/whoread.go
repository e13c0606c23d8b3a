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
	// past says that the text is from the past: a format in it allows following
	// an image only if something current states it too.
	past bool
	// ends says that the current chain is refused: one doubt covers everything
	// that is not followed.
	ends  bool
	found foundUses
}

// Ways to use an image.
const (
	asOwn      = "its own image"
	asBelow    = "in its backing chain"
	asDataFile = "a data file"
	asExtent   = "an extent"
	asMirror   = "target of a block job"
	asHeader   = "named by the header of a backing image"
	asSaved    = "the saved state that it starts from"
)

func (c *collector) usageReader(ctx context.Context, g *Guest, in string) *usageReader {
	return &usageReader{ctx: ctx, walker: c.walker, target: c.search.target, guest: g, in: in}
}

// use compares a source of one disk ("" for none) with the image, and adds a
// use or a doubt.
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

// notFollowed adds a doubt about files that an image names, unless the whole
// chain already has one.
func (r *usageReader) notFollowed(disk, why string) {
	if !r.ends {
		r.doubt(disk, why)
	}
}

// disks reads disks with walked chains. Refused chains are walked again later,
// with the evidence of the other disks.
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

// running reads the disks of a guest's live XML, and returns them. libvirt has
// written into it what it detected, so its chains are compared with the
// headers like any other.
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

// mirror reads the target of a disk's block job.
func (r *usageReader) mirror(stated chain.Stated) error {
	if stated.MirrorTo == nil {
		r.doubt(stated.Target, "a block job runs on it, and the XML does not name its target")
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
		r.doubt(stated.Target, "its chain continues with "+stated.Inexpressible+", which is not read")
	}
}

func (r *usageReader) dataStore(disk string, layer chain.Layer, writes bool) {
	if layer.Source != nil && layer.Source.DataStore != nil {
		r.use(disk, asDataFile, writes, chain.Layer{Source: layer.Source.DataStore.Source, Format: probe.Raw, From: chain.XML})
	}
}

// chain reads the images of a walked chain, and the files in their headers.
func (r *usageReader) chain(stated chain.Stated, c *chain.Chain) {
	if r.ends = c.Verdict == chain.Refused; r.ends {
		f := refusalOf(c)
		r.doubt(stated.Target, fmt.Sprintf("its chain was not followed to the end: [%s] %s", f.Code, f.Text))
		d := &r.found.doubts[len(r.found.doubts)-1]
		d.Hint = f.Remedy.String()
		if f.Layer >= 0 && f.Layer < len(c.Layers) {
			d.Cause = string(f.Code) + " " + storage.ShownName(c.Layers[f.Layer].At())
		}
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
	// If the headers win, the walk does not follow the chain in the XML, which
	// libvirt uses until somebody has changed it.
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

// isIn reports whether a layer is in layers.
func (r *usageReader) isIn(layers []chain.Layer, layer chain.Layer) bool {
	return slices.ContainsFunc(layers, func(l chain.Layer) bool { return r.sameName(sourceOf(l), layer) })
}

// header reads the files in the header of a layer. below is the backing layer
// that the walk found.
func (r *usageReader) header(disk string, layer, below chain.Layer, top bool) {
	if layer.Source == nil || storage.IsEmpty(layer.Source) || layer.From == chain.Protocol {
		return
	}
	raw := layer.HeaderFormat() == probe.Raw || top && layer.From == chain.Unstated
	at, err := r.walker.Locate(r.ctx, layer)
	if err != nil {
		return // its source already has a doubt
	}
	_, local := at.LocalPath()
	switch {
	case raw && !local:
		return
	case raw:
		r.rawHeader(disk, at)
		return
	}
	// The files in the header of an image are not touched if only a
	// <backingStore> or a snapshot states its format.
	followed := layer.Header != nil && !layer.XMLAlone && layer.From != chain.Unstated && layer.From != chain.Probe
	h := layer.Header
	if h == nil {
		claim := layer.HeaderFormat()
		view, err := r.walker.Look(r.ctx, at.At(), claim)
		if err == nil {
			err, h = view.HeaderErr, view.Header
		}
		if err != nil || h == nil {
			r.notFollowed(disk, fmt.Sprintf("the header of %s was not read, so the files in it are unknown%s", storage.Describe(layer.Source), because(err)))
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
		r.notFollowed(disk, fmt.Sprintf("%s names %s, which cannot be parsed", what, strconv.Quote(storage.Printable(ref.Name))))
		return
	case isBacking && r.sameName(src, below), h.DataFile != nil && *h.DataFile == ref && r.sameName(src, dataFileOf(at)):
		return // the walk has read it
	case r.target.compareName(src) && followed:
		r.say(disk, roleOf(h, ref), false, sameness{same: true})
		return
	case r.target.compareName(src):
		r.doubt(disk, fmt.Sprintf("the header of %s names it, and no current definition confirms that header", what))
		return
	case !followed:
		r.notFollowed(disk, fmt.Sprintf("%s names %s, which is not touched, because no current definition confirms that header", what, strconv.Quote(storage.Printable(ref.Name))))
		return
	}
	layer := chain.Layer{Source: src}
	r.use(disk, roleOf(h, ref), false, layer)
	if !isBacking {
		return
	}
	// The chain does not include this image, so its backing images are unknown.
	id, err := r.walker.Identify(r.ctx, src)
	other, otherErr := r.walker.Identify(r.ctx, sourceOf(below))
	if err == nil && otherErr == nil && id == other {
		return
	}
	if err == nil {
		r.notFollowed(disk, fmt.Sprintf("%s names %s, which is not the next image of its chain", what, strconv.Quote(storage.Printable(ref.Name))))
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

// dataFileOf returns the data file that the XML of a layer has, or will have.
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

// rawHeader checks an image that is opened as raw. The guest sees its bytes,
// so files in a header there are not used; but if it names the requested
// image, its format may have been omitted by mistake.
func (r *usageReader) rawHeader(disk string, at chain.Layer) {
	view, err := r.walker.Look(r.ctx, at.At(), "")
	if err != nil || view.Header == nil {
		return
	}
	for _, ref := range view.Header.References() {
		src, err := storage.ParseBacking(ref.Name, at.At())
		if err == nil && r.target.compareName(src) {
			r.doubt(disk, fmt.Sprintf("%s is opened as raw, but begins with the header of a %s image that names it: its guest may have written that, or the stated format is wrong",
				storage.Describe(at.Source), view.Claim))
		}
	}
}
