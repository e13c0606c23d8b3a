package chain

import (
	"strconv"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// applyRule applies the policy's rule to a backing image without a stated
// format: it takes the format from the image's header or refuses. If it
// refuses, the layer stays [Unstated].
func (k *walk) applyRule(layer Layer, l *image.View, rec storage.Record) Layer {
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
	why := k.whyNotTrusted(path)
	// A raw image has no header to trust.
	trusted := why == "" && format != "" && format != probe.Raw
	if why != "" && k.Policy.trustsHeaders(path) {
		unrecorded += "; its name is in a folder with trusted headers, but " + why
	}
	if rule == Declared && !trusted {
		k.refuse(finding.FormatUnrecorded, unrecorded+", and the rule \"declared\" never takes it from the image", remedy)
		return layer
	}
	if format == "" {
		k.refuse(finding.AmbiguousSignatures, unrecorded+", and the image has the signatures of "+image.FormatList(l.Formats()), remedy)
		return layer
	}
	check := ProbeCheck{Name: name, Extension: extensionOf(layer.At()), Size: l.Size, Format: format, marked: len(l.UnexpectedFormats()) > 0, Record: rec}
	if overlay.Header != nil {
		check.OverlaySize, check.HasOverlay = overlay.Header.VirtualSize, true
	}
	for _, f := range check.Contradictions() {
		k.refuse(f.Code, unrecorded+"; "+f.Text, remedy)
	}
	if rule == Strict && format != probe.Raw && !trusted {
		k.refuse(finding.ProbedNotRaw, unrecorded+"; its own header says "+string(format)+
			", and the rule \"strict\" accepts only raw", remedy)
	}
	if format == probe.Raw {
		if !k.refused() {
			layer.Format, layer.From = format, Probe
			k.note(finding.ProbedFormat, finding.Info, unrecorded+"; it has no signature that QEMU or libvirt looks for, so it is raw"+l.GuestContents())
			if f, lost := check.lostHeader(); lost {
				f.Text, f.Remedy = unrecorded+"; "+f.Text, remedy
				k.findAt(len(k.chain.Layers)-1, f)
			}
		}
		return layer
	}
	if format == probe.LUKS {
		k.refuse(finding.Encrypted, unrecorded+"; its own header says luks, for which the XML has no secret", remedy)
	}
	if trusted {
		if k.refused() {
			return layer // and the files that it names are not touched
		}
		return k.acceptHeader(layer, l, unrecorded, remedy)
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

// Reference is another file that a header names. Packages chain and predict use it.
type Reference struct {
	Code finding.Code // the code with which the image is refused
	What string       // for messages, such as `the data file "/img/data"`
}

// References returns the first other file that a header names; nil if it names
// none.
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
