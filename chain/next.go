package chain

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// next returns the layer after the last one, with what its overlay's header
// records about it, or the zero Layer if the chain ends or is refused. It
// compares the XML's explicit chain with the headers. libvirt and QEMU never
// do that: they silently use the XML.
func (k *walk) next() (Layer, storage.Record) {
	depth := len(k.chain.Layers)
	overlay := k.chain.Layers[depth-1]
	var backing *probe.Reference
	if overlay.Header != nil && overlay.From != Probe {
		backing = overlay.Header.Backing
	}

	stated := !k.rewriting && depth < len(k.stated.Layers)
	ends := !k.rewriting && depth == len(k.stated.Layers) && k.stated.Terminated
	switch {
	case stated && k.loops(k.stated.Layers[depth]):
		return Layer{}, storage.Record{}
	case stated && backing == nil:
		return k.chainTooLong(overlay), storage.Record{}
	case k.onlyXMLSays() && backing != nil && !stated && !ends:
		k.refuseToFollow(overlay, backing)
		return Layer{}, storage.Record{}
	case stated:
		return k.withoutXMLFormat(k.compare(overlay, k.stated.Layers[depth], backing))
	case ends && backing != nil:
		if !k.chainTooShort(overlay, backing) {
			return Layer{}, storage.Record{}
		}
	case ends:
		return Layer{}, storage.Record{}
	case backing == nil:
		// A top that cannot have a backing image needs no explicit end.
		k.incomplete = k.incomplete || depth > 1 || overlay.Format.CanHaveBacking()
		return Layer{}, storage.Record{}
	}
	return k.layerFromHeader(overlay, backing)
}

// withoutXMLFormat removes a format that only the XML states from a layer, if
// the operator wants the chain rebuilt: a guess in the XML is still a guess.
func (k *walk) withoutXMLFormat(layer Layer, rec storage.Record) (Layer, storage.Record) {
	if k.disagreement() == HeadersWin && layer.From == XML && rec.Format != layer.Format {
		k.xmlFormat = layer.Format
		layer.Format, layer.From = "", Unstated
	}
	return layer, rec
}

// refuseToFollow refuses to follow an image to its backing image if only the
// XML states the image's format.
func (k *walk) refuseToFollow(overlay Layer, backing *probe.Reference) {
	k.refuse(finding.ProbedBacking, "only the XML's <backingStore> says that "+storage.Describe(overlay.Source)+" is "+string(overlay.Format)+
		", which may be a guess; its header names the backing image "+strconv.Quote(storage.Printable(backing.Name))+", which is not touched",
		k.confirmRemedy(overlay))
}

// loops refuses a chain in which the XML names an image twice, unless the
// operator wants the headers to win.
func (k *walk) loops(stated Layer) bool {
	if k.disagreement() == HeadersWin {
		return false
	}
	layer, _ := k.Locate(k.ctx, stated)
	if _, local := layer.LocalPath(); !local {
		return false // two images that are not opened cannot be compared
	}
	file, err := k.Identify(k.ctx, layer.At())
	if err != nil {
		return false // the visit reports it
	}
	part, _ := storage.SliceOf(layer.Source)
	for _, o := range k.opened {
		if o.id == (image.ID{File: file, Offset: part.Offset}) {
			above := k.chain.Layers[len(k.chain.Layers)-1]
			k.chain.Layers = append(k.chain.Layers, layer)
			k.findAt(len(k.chain.Layers)-1, finding.Finding{Code: finding.ChainLoop, Severity: finding.Refuse, Misopens: k.disagreement() != XMLWins,
				Text: "the XML names " + storage.Describe(layer.Source) + " below " + storage.Describe(above.Source) + ", but that is the same image as layer " +
					strconv.Itoa(o.layer) + ", " + storage.Describe(k.chain.Layers[o.layer].Source),
				Remedy: finding.Say("remove its <backingStore> from the XML (%s), or %s", k.edit(), k.refreshRemedy())})
			return true
		}
	}
	return false
}

// layerFromHeader returns the layer that a header names. If the XML states
// that image elsewhere, it takes from there how the image is reached and its
// secret, but not its format.
func (k *walk) layerFromHeader(overlay Layer, backing *probe.Reference) (Layer, storage.Record) {
	src, ok := k.parseBacking(overlay, backing)
	if !ok {
		return Layer{}, storage.Record{}
	}
	k.rewriting = true
	layer, ok := k.statedImage(src)
	if !ok {
		layer = Layer{Source: src}
	} else if layer.From == XML {
		layer.Format, layer.From = "", Unstated
	}
	rec := k.ConfirmRecord(k.ctx, storage.ReadRecord(backing), layer)
	if says := rec.Says(); says != "" {
		k.note(finding.FormatDisputed, finding.Info, "on the format of its backing image: "+storage.Describe(overlay.Source)+" "+says+"; it counts as unrecorded")
	}
	if rec.Format != "" {
		layer.Format, layer.From = rec.Format, Header
	}
	return layer, rec
}

// parseBacking makes a storage source from the name in a header, or refuses
// it.
func (k *walk) parseBacking(overlay Layer, backing *probe.Reference) (*libvirtxml.DomainDiskSource, bool) {
	what := storage.Describe(overlay.Source)
	if backing.CutAtNUL {
		k.refuse(finding.NameUnrepresentable, what+" names its backing image with a NUL byte after "+strconv.Quote(storage.Printable(backing.Name)),
			renameRemedy(overlay, anew))
		return nil, false
	}
	src, err := storage.ParseBacking(backing.Name, overlay.At())
	if err == nil {
		return src, true
	}
	if code, remedy := refusalOf(err, overlay); code != "" {
		k.refuse(code, what+": "+err.Error(), remedy)
	}
	return nil, false
}

// refusalOf returns the code and the remedy for an error of [storage.ParseBacking]
// about the name in overlay's header.
func refusalOf(err error, overlay Layer) (finding.Code, finding.Remedy) {
	for _, refusal := range refusals {
		if !errors.Is(err, refusal.err) {
			continue
		}
		return refusal.code, finding.Join("; or ", refusal.state, renameRemedy(overlay, refusal.rename))
	}
	return "", finding.Remedy{}
}

const anew = "correct the name"

// refusals has a row for each error of [storage.ParseBacking].
var refusals = []struct {
	err    error
	code   finding.Code
	rename string         // what the other name has to be
	state  finding.Remedy // how the XML helps; may be zero
}{
	{storage.ErrBacking, finding.BackingInvalid, anew, finding.Remedy{}},
	{storage.ErrCredentials, finding.BackingCredentials, "rewrite the name without them", finding.Say("%s and a libvirt secret in its <source>", stateChain)},
	{storage.ErrUnmapped, finding.BackingUnmapped, "rewrite the name without that", stateChain},
	{storage.ErrDisputed, finding.BackingDisputed, "rewrite the name in a form that both read alike", stateChain},
	{storage.ErrRelative, finding.BackingRelative, "use an absolute name", finding.Remedy{}},
	{storage.ErrNoDirectory, finding.BackingRelative, "use an absolute name", finding.Remedy{}},
	{storage.ErrDuplicate, finding.BackingDuplicate, anew, finding.Remedy{}},
	{storage.ErrNoPool, finding.BackingNoPool, "use the full name", finding.Remedy{}},
	{storage.ErrUnrepresentable, finding.NameUnrepresentable, anew, finding.Remedy{}},
}

// chainTooLong resolves the conflict of an XML that continues the chain where
// the header ends it. The image may have been flattened or restored since the
// XML was written; the guest would then read wrong bytes, since unallocated
// clusters are read from the backing image.
func (k *walk) chainTooLong(overlay Layer) Layer {
	depth := len(k.chain.Layers)
	further := k.stated.Layers[depth]
	text := "the XML continues with " + storage.Describe(further.Source) + ", but " + storage.Describe(overlay.Source) + " has no backing image"
	// A raw image has no backing image: libvirt refuses or drops one that is
	// stated.
	c := conflict{code: finding.ChainStale, text: text, misopens: overlay.Format.CanHaveBacking()}
	if overlay.Header != nil && overlay.Header.Snapshots {
		// Flattening copies the data that the guest sees now, but not the data of
		// the internal snapshots: after a revert to one of them the XML is right.
		c.misopens = false
		c.more = "; it has internal snapshots, and needs that image if it was reverted to one from before it was flattened"
		c.remedy = finding.Say("decide which is right; if it was reverted to such a snapshot, correct its header: %s; otherwise %s; or %s",
			rebaseTo(overlay, further), k.refreshRemedy(), keepXML())
	}
	switch k.resolveConflict(c) {
	case winnerHeader:
		k.rewriting = true
	case winnerXML:
		return further
	}
	return Layer{}
}

// chainTooShort resolves the conflict of an XML that ends the chain where the
// header continues it: the guest would read zeros instead of the backing
// image. It reports whether the walk continues.
func (k *walk) chainTooShort(overlay Layer, backing *probe.Reference) bool {
	text := "the XML ends the chain at " + storage.Describe(overlay.Source) + ", but its header names the backing image " + strconv.Quote(storage.Printable(backing.Name))
	return k.resolveConflict(conflict{code: finding.ChainCut, text: text, misopens: true}) == winnerHeader
}

// compare returns overlay's backing image and its format, if both the XML and
// the header name one.
func (k *walk) compare(overlay, stated Layer, backing *probe.Reference) (Layer, storage.Record) {
	names := k.winnerOfNames(overlay, stated, backing)
	switch names {
	case noWinner:
		return Layer{}, storage.Record{}
	case winnerHeader:
		return k.layerFromHeader(overlay, backing)
	case winnerXMLAlone:
		return stated, storage.Record{}
	}
	rec := k.ConfirmRecord(k.ctx, storage.ReadRecord(backing), stated)
	format := stated.Format
	if stated.From == Protocol {
		format = probe.Raw // the format of the image that QEMU builds from a folder
	}
	if rec.Format == "" || rec.Format == format {
		return stated, rec
	}
	text := "the XML states that " + storage.Describe(stated.Source) + " is " + string(format) + ", but its overlay records " + string(rec.Format)
	// If the image does not have the recorded format, the record is not known to
	// be right.
	misopens := names == winnerBoth && k.readsAs(stated, format) && k.readsAs(stated, rec.Format)
	switch k.resolveConflict(conflict{code: finding.FormatConflict, text: text, remedy: k.formatRemedy(stated, rec.Format), misopens: misopens}) {
	case winnerHeader:
		k.rewriting = true
		return Layer{Source: stated.Source, Format: rec.Format, From: Header}, rec
	case winnerXML:
		return stated, rec
	}
	return Layer{}, storage.Record{}
}

// winnerOfNames returns whether the XML's or the header's name of overlay's
// backing image is used; the XML's if both name the same image. If neither
// image exists, the XML's is used, and the visit reports that it is missing.
func (k *walk) winnerOfNames(overlay, stated Layer, backing *probe.Reference) winner {
	named, err := storage.ParseBacking(backing.Name, overlay.At())
	if located, err := k.Locate(k.ctx, stated); err == nil {
		stated = located
	}
	xmlName, headerName := storage.Name(stated.At()), storage.Name(named)
	if err != nil || backing.CutAtNUL || xmlName == "" || headerName == "" {
		k.note(finding.ChainUnverified, finding.Warn, "the XML names "+storage.Describe(stated.Source)+" below "+storage.Describe(overlay.Source)+
			", but the name in the header cannot be compared with it; the XML is kept")
		return winnerXML
	}
	xmlSlice, _ := storage.SliceOf(stated.Source)
	headerSlice, _ := storage.SliceOf(named)
	sameSlice := xmlSlice == headerSlice
	if xmlName == headerName && sameSlice {
		return winnerBoth
	}
	text := "below " + storage.Describe(overlay.Source) + " the XML names " + strconv.Quote(storage.ShownName(stated.At())) + xmlSlice.String() +
		", but the header " + strconv.Quote(storage.ShownName(named)) + headerSlice.String()
	if k.onlyXMLSays() {
		return k.resolveNames(conflict{text: text, more: ", which is not touched, because only the XML says that " +
			storage.Describe(overlay.Source) + " is " + string(overlay.Format)})
	}
	xmlID, xmlErr := k.Identify(k.ctx, stated.At())
	headerID, headerErr := k.Identify(k.ctx, named)
	// An image that could not be identified may exist.
	gone := errors.Is(headerErr, fs.ErrNotExist)
	switch {
	case xmlErr == nil && headerErr == nil && xmlID == headerID && sameSlice:
		return winnerBoth // keep the XML's spelling
	case gone && (xmlErr == nil || errors.Is(xmlErr, storage.ErrNotReadable)):
		fix := finding.Remedy{}
		if overlay.Format.CanRename() {
			fix = finding.Say("correct the header: %s", rebaseTo(overlay, stated))
		}
		k.find(finding.ChainMoved, finding.Warn, text+", which does not exist; the XML is kept", fix)
		return winnerXML
	case gone:
		return winnerXML
	case k.isThere(stated.At()) && k.isThere(named):
		return k.resolveNames(conflict{text: text, more: ", and both exist", misopens: !k.sameBytes(stated.At(), named)})
	case errors.Is(xmlErr, fs.ErrNotExist) && k.isThere(named):
		return k.resolveNames(conflict{text: text, more: ", and only the header's exists",
			remedy: finding.Say("%s; or restore the XML's image, or correct its <backingStore> in the XML: %s", k.refreshRemedy(), k.edit())})
	}
	return k.resolveNames(conflict{text: text})
}

// ConfirmRecord accepts a recorded format name that only QEMU writes if the backing
// image has the header of that format, whatever libvirt makes of the name: the
// record and the header agree, and the backing image's guest cannot have
// written the record. The record of an image that cannot be read is returned
// unchanged. Package predict uses it; a walk does this itself.
func (w *Walker) ConfirmRecord(ctx context.Context, rec storage.Record, image Layer) storage.Record {
	if rec.QEMUs == "" || image.Source == nil || image.Source.Dir != nil {
		return rec
	}
	image, err := w.Locate(ctx, image)
	if path, local := image.LocalPath(); err != nil || local && !strings.HasPrefix(path, "/") {
		return rec
	}
	l, err := w.Look(ctx, image.At(), "")
	if err != nil || l.SignaturesErr != nil || !slices.Contains(l.Formats(), rec.QEMUs) {
		return rec
	}
	return storage.Record{Format: rec.QEMUs}
}
