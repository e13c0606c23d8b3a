package chain

import (
	"strconv"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// judge decides whether the format of a backing image that nobody stated may
// be taken from its header. On refusal the layer stays unstated.
func (k *walk) judge(layer Layer, l *image.View, rec storage.Record) Layer {
	path := storage.Name(layer.At())
	name := storage.Describe(layer.Source)
	overlay := k.chain.Layers[len(k.chain.Layers)-2]
	if k.refused() { // the operator's statements contradict each other
		return layer
	}
	unrecorded := "the format of " + name + " is not recorded in " + storage.Describe(overlay.Source)
	if l.SignaturesErr != nil {
		k.refuse(finding.ImageUnreadable, name+" cannot be read: "+strconv.Quote(storage.Reason(l.SignaturesErr)), k.unreadableRemedy(layer, l.SignaturesErr))
		return layer
	}
	format := l.Candidate()
	remedy := k.unrecordedRemedy(layer, l)
	rule := k.ruleFor(path)
	doubt := k.doubt(path)
	// A raw image has no header that could be believed.
	believed := doubt == "" && format != "" && format != probe.Raw
	if doubt != "" && k.Policy.believed(path) {
		unrecorded += "; its name is in a folder whose headers are believed, but " + doubt
	}
	if rule == Declared && !believed {
		k.refuse(finding.FormatUnrecorded, unrecorded+", and the rule \"declared\" never takes it from the image", remedy)
		return layer
	}
	if format == "" {
		k.refuse(finding.AmbiguousSignatures, unrecorded+", and the image bears the signatures of "+image.FormatList(l.Formats()), remedy)
		return layer
	}
	s := ProbeCheck{Name: name, Extension: extensionOf(layer.At()), Size: l.Size, Format: format, marked: len(l.UnexpectedFormats()) > 0, Record: rec}
	if overlay.Header != nil {
		s.OverlaySize, s.HasOverlay = overlay.Header.VirtualSize, true
	}
	for _, f := range s.Contradictions() {
		k.refuse(f.Code, unrecorded+"; "+f.Text, remedy)
	}
	if rule == Strict && format != probe.Raw && !believed {
		k.refuse(finding.ProbedNotRaw, unrecorded+"; its own header says "+string(format)+
			", and the rule \"strict\" believes only raw", remedy)
	}
	if format == probe.Raw {
		if !k.refused() {
			layer.Format, layer.From = format, Probe
			k.note(finding.ProbedFormat, finding.Info, unrecorded+"; it bears no signature that QEMU or libvirt looks for, so it is raw"+l.GuestContents())
			if f, lost := s.lostHeader(); lost {
				f.Text, f.Remedy = unrecorded+"; "+f.Text, remedy
				k.findAt(len(k.chain.Layers)-1, f)
			}
		}
		return layer
	}
	if format == probe.LUKS {
		k.refuse(finding.Encrypted, unrecorded+"; its own header says luks, for which the XML has no secret", remedy)
	}
	if believed {
		if k.refused() {
			return layer // what it names is nobody's business any more
		}
		return k.believe(layer, l, unrecorded, remedy)
	}
	if refs := References(l.Header); refs != nil {
		k.refuse(refs.Code, unrecorded+"; its own header says "+string(format)+" and names "+refs.What+
			", which a guest that once had it as a raw disk could have written", remedy)
	}
	if k.refused() {
		return layer
	}
	layer.Format, layer.From = format, Probe
	if l.HeaderErr == nil {
		k.note(finding.ProbedFormat, finding.Info, unrecorded+"; its own header says "+string(format)+" and refers to no other file")
	}
	return layer
}

// Reference is a header's mention of another file, for a refusal.
type Reference struct {
	Code finding.Code
	What string
}

func References(h *probe.Header) *Reference {
	switch {
	case h == nil:
		return nil
	case h.DataFile != nil:
		return &Reference{finding.DataFile, "the data file " + strconv.Quote(storage.Printable(h.DataFile.Name))}
	case h.Backing != nil:
		return &Reference{finding.ProbedBacking, "the backing image " + strconv.Quote(storage.Printable(h.Backing.Name))}
	case len(h.Extents) > 0:
		return &Reference{finding.ForeignExtents, "the extent " + strconv.Quote(storage.Printable(h.Extents[0].Name))}
	case h.Parent != nil:
		return &Reference{finding.Differencing, "a parent" + parentName(h)}
	}
	return nil
}
