package chain

import (
	"strconv"

	"github.com/chainfix/chainfix/probe"
)

// judge decides whether the format of a backing image that nobody stated may
// be taken from its header. On refusal the layer stays unstated.
func (k *walk) judge(layer Layer, l *headerView, rec record) Layer {
	path := Name(layer.at())
	name := Describe(layer.Source)
	overlay := k.chain.Layers[len(k.chain.Layers)-2]
	if k.refused() { // the operator's statements contradict each other
		return layer
	}
	unrecorded := "the format of " + name + " is not recorded in " + Describe(overlay.Source)
	if l.signaturesErr != nil {
		k.refuse(ImageUnreadable, name+" cannot be read: "+strconv.Quote(reason(l.signaturesErr)), k.unreadableHint(layer, l.signaturesErr))
		return layer
	}
	format := l.candidate()
	hint := k.unrecordedHint(layer, l)
	rule := k.ruleFor(path)
	doubt := k.doubt(path)
	// A raw image has no header that could be believed.
	believed := doubt == "" && format != "" && format != probe.Raw
	if doubt != "" && k.Policy.believed(path) {
		unrecorded += "; its name is in a folder whose headers are believed, but " + doubt
	}
	if rule == Declared && !believed {
		k.refuse(FormatUnrecorded, unrecorded+", and the rule \"declared\" never takes it from the image", hint)
		return layer
	}
	if format == "" {
		k.refuse(AmbiguousSignatures, unrecorded+", and the image bears the signatures of "+list(l.distinct()), hint)
		return layer
	}
	s := suspect{name: name, extension: extensionOf(layer.at()), size: l.size, format: format, marked: len(l.marks()) > 0, record: rec}
	if overlay.Header != nil {
		s.overlaySize, s.hasOverlay = overlay.Header.VirtualSize, true
	}
	for _, f := range s.witnesses() {
		k.refuse(f.Code, unrecorded+"; "+f.Text, hint)
	}
	if rule == Strict && format != probe.Raw && !believed {
		k.refuse(ProbedNotRaw, unrecorded+"; its own header says "+string(format)+
			", and the rule \"strict\" believes only raw", hint)
	}
	if format == probe.Raw {
		if !k.refused() {
			layer.Format, layer.From = format, Probe
			k.find(ProbedFormat, Info, unrecorded+"; it bears no signature that QEMU or libvirt looks for, so it is raw"+l.speaksForRaw(), "")
			if f, lost := s.lostHeader(); lost {
				f.Text, f.Hint = unrecorded+"; "+f.Text, hint
				k.findAt(len(k.chain.Layers)-1, f)
			}
		}
		return layer
	}
	if format == probe.LUKS {
		k.refuse(Encrypted, unrecorded+"; its own header says luks, for which the XML has no secret", hint)
	}
	if believed {
		if k.refused() {
			return layer // what it names is nobody's business any more
		}
		return k.believe(layer, l, unrecorded, hint)
	}
	if refs := references(l.header); refs != nil {
		k.refuse(refs.code, unrecorded+"; its own header says "+string(format)+" and names "+refs.what+
			", which a guest that once had it as a raw disk could have written", hint)
	}
	if k.refused() {
		return layer
	}
	layer.Format, layer.From = format, Probe
	if l.headerErr == nil {
		k.find(ProbedFormat, Info, unrecorded+"; its own header says "+string(format)+" and refers to no other file", "")
	}
	return layer
}

// reference is a header's mention of another file, for a refusal.
type reference struct {
	code Code
	what string
}

func references(h *probe.Header) *reference {
	switch {
	case h == nil:
		return nil
	case h.DataFile != nil:
		return &reference{DataFile, "the data file " + strconv.Quote(printable(h.DataFile.Name))}
	case h.Backing != nil:
		return &reference{ProbedBacking, "the backing image " + strconv.Quote(printable(h.Backing.Name))}
	case len(h.Extents) > 0:
		return &reference{ForeignExtents, "the extent " + strconv.Quote(printable(h.Extents[0].Name))}
	case h.Parent != nil:
		return &reference{Differencing, "a parent" + parentName(h)}
	}
	return nil
}
