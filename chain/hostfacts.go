package chain

import (
	"context"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// FactsOf returns what disks other than asker state about a layer, according
// to w's Evidence. Package predict uses it; a walk does this itself.
func (w *Walker) FactsOf(ctx context.Context, layer Layer, asker DiskName) HostFacts {
	if w.Evidence == nil {
		return HostFacts{}
	}
	extent, err := w.Evidence.extent(ctx, layer)
	if err != nil {
		return HostFacts{}
	}
	return w.Evidence.Of(extent, asker)
}

// factsOf returns what other disks state about a layer.
func (k *walk) factsOf(layer Layer) HostFacts {
	return k.FactsOf(k.ctx, layer, DiskName{k.stated.Guest, k.stated.Target})
}

// applyEvidence takes the format of a backing image with an unrecorded format
// from a disk that uses the image directly and states its format; it refuses
// an image if a guest may have written its header. It returns the view of the
// image as that format, and whether the walk continues.
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

// noteRawDisk warns of an image with a stated format that is also a guest's
// raw disk.
func (k *walk) noteRawDisk(layer Layer, facts HostFacts) {
	if layer.Format == probe.Raw || !facts.mayBeForged() {
		return
	}
	k.find(finding.RawDiskElsewhere, finding.Warn, storage.Describe(layer.Source)+" is stated to be "+string(layer.Format)+", but it is or was the raw "+
		facts.RawDisks[0].String()+", which may have written its header", finding.Say("find out which is right before the guest is started again"))
}

// noteRawBelow warns of a format that was taken from an image's header, or
// from another disk's <driver type>, while a third disk has it as a raw
// backing image.
func (k *walk) noteRawBelow(layer Layer, facts HostFacts) {
	if len(facts.RawBelow) == 0 || layer.Format == probe.Raw || k.refused() {
		return
	}
	k.findAt(len(k.chain.Layers)-1, finding.Finding{Code: finding.RawDiskElsewhere, Severity: finding.Warn, ByName: true,
		Text:   storage.Describe(layer.Source) + " is taken as " + string(layer.Format) + ", but it is stated or recorded to be raw below the " + facts.RawBelow[0].String(),
		Remedy: trustRemedy(layer.At(), layer.Format)})
}

// noteSharing warns of an image that one disk reads and another writes: an
// overlay is corrupt as soon as its backing image changes.
func (k *walk) noteSharing(layer Layer, facts HostFacts) {
	if len(k.chain.Layers) == 1 {
		k.noteTopSharing(layer, facts)
	} else if len(facts.Writers) > 0 {
		k.find(finding.BaseWritten, finding.Warn, storage.Describe(layer.Source)+" is a backing image here, but the "+facts.Writers[0].String()+
			" writes to it, which corrupts this disk", ownCopy)
	}
}

// noteTopSharing is noteSharing for the disk's own image. Two disks that write
// to one image get an info finding, unless the XML says that they share it.
func (k *walk) noteTopSharing(top Layer, facts HostFacts) {
	if k.stated.ReadOnly {
		return
	}
	name := storage.Describe(top.Source)
	if len(facts.Below) > 0 {
		k.findAt(0, finding.Finding{Code: finding.BaseWritten, Severity: finding.Warn, Text: "this disk writes to " + name + ", which is a backing image of the " +
			facts.Below[0].String() + ": that corrupts the other disk", Remedy: ownCopy})
	}
	if len(facts.Writers) > 0 && !k.stated.Shareable {
		k.findAt(0, finding.Finding{Code: finding.SharedWritable, Severity: finding.Info, Text: name + " is also written to by the " + facts.Writers[0].String() +
			", and the XML does not mark it as <shareable/>", Remedy: finding.Say("start only one of the two at a time, or give each its own image")})
	}
}
