package chain

import (
	"errors"
	"io/fs"
	"strconv"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/probe"
)

// next returns the layer below the one that was visited last, with what its
// overlay's header records of it: the zero Layer where the chain ends or is
// refused. This is where the XML's explicit chain and the headers are
// compared; nothing in libvirt or QEMU does that, the XML wins silently.
func (k *walk) next() (Layer, record) {
	depth := len(k.chain.Layers)
	overlay := k.chain.Layers[depth-1]
	var backing *probe.Reference
	if overlay.Header != nil && overlay.From != Probe {
		backing = overlay.Header.Backing
	}

	stated := !k.strayed && depth < len(k.stated.Layers)
	ends := !k.strayed && depth == len(k.stated.Layers) && k.stated.Terminated
	switch {
	case stated && k.loops(k.stated.Layers[depth]):
		return Layer{}, record{}
	case stated && backing == nil:
		return k.stale(overlay), record{}
	case k.onlyXMLSays() && backing != nil && !stated && !ends:
		k.refuseToFollow(overlay, backing)
		return Layer{}, record{}
	case stated:
		return k.foundAnew(k.compare(overlay, k.stated.Layers[depth], backing))
	case ends && backing != nil:
		if !k.cut(overlay, backing) {
			return Layer{}, record{}
		}
	case ends:
		return Layer{}, record{}
	case backing == nil:
		// Of a top that can have no backing image, the end goes without
		// saying.
		k.incomplete = k.incomplete || depth > 1 || overlay.Format.CanHaveBacking()
		return Layer{}, record{}
	}
	return k.below(overlay, backing)
}

// foundAnew makes a layer whose format only the XML states one whose format
// nobody has stated, where the operator wants the chain rebuilt: a guess that was
// written down once is still a guess.
func (k *walk) foundAnew(layer Layer, rec record) (Layer, record) {
	if k.Policy.Disagreement == HeadersWin && layer.From == XML && rec.format != layer.Format {
		k.xmlFormat = layer.Format
		layer.Format, layer.From = "", Unstated
	}
	return layer, rec
}

// refuseToFollow refuses a chain that would go on by the word of an image whose
// format only the XML states.
func (k *walk) refuseToFollow(overlay Layer, backing *probe.Reference) {
	k.refuse(ProbedBacking, "only the XML's <backingStore> says that "+Describe(overlay.Source)+" is "+string(overlay.Format)+
		", which may be somebody's guess; its header names the backing image "+strconv.Quote(printable(backing.Name))+", which is not looked at",
		k.confirmHint(overlay))
}

// confirmHint says how to confirm the format of an image that only the XML
// states.
func (k *walk) confirmHint(layer Layer) string {
	return trustChoices("if that is right, confirm it: ", layer.at(), layer.Format) + recordToo(k.overlay(), layer.Format) +
		"; if a guest has or had it as a raw disk, " + k.editHint(formatElement(probe.Raw))
}

// loops refuses a chain in which the XML comes back to an image that is above
// already, whatever the headers say, unless these are to count.
func (k *walk) loops(stated Layer) bool {
	if k.Policy.Disagreement == HeadersWin {
		return false
	}
	layer, _ := k.locate(stated)
	if _, local := layer.local(); !local {
		return false // what is not opened is no layer twice
	}
	file, err := k.Opener().Identify(k.ctx, layer.at())
	if err != nil {
		return false // the visit tells
	}
	part, _ := sliceOf(layer.Source)
	for _, o := range k.opened {
		if o.id == (imageID{file, part.offset}) {
			above := k.chain.Layers[len(k.chain.Layers)-1]
			k.chain.Layers = append(k.chain.Layers, layer)
			k.refuse(ChainLoop, "the XML names "+Describe(layer.Source)+" below "+Describe(above.Source)+", but that is the same image as layer "+
				strconv.Itoa(o.layer)+", "+Describe(k.chain.Layers[o.layer].Source),
				"remove its <backingStore> from the XML (virsh edit "+k.guest()+"), or "+k.refreshHint())
			return true
		}
	}
	return false
}

// below returns the layer that a header names. If the XML states that image in
// another place, what it says of it counts there as well: how it is reached, and
// its secret. What format it has there is no statement.
func (k *walk) below(overlay Layer, backing *probe.Reference) (Layer, record) {
	src, ok := k.resolve(overlay, backing)
	if !ok {
		return Layer{}, record{}
	}
	k.strayed = true
	layer, ok := k.statedImage(src)
	if !ok {
		layer = Layer{Source: src}
	} else if layer.From == XML {
		layer.Format, layer.From = "", Unstated
	}
	rec := k.borneOut(k.ctx, readRecord(backing), layer)
	if says := rec.says(); says != "" {
		k.find(FormatDisputed, Info, "on the format of its backing image: "+Describe(overlay.Source)+" "+says+"; it counts as unrecorded", "")
	}
	if rec.format != "" {
		layer.Format, layer.From = rec.format, Header
	}
	return layer, rec
}

// resolve makes a storage source of the name in a header.
func (k *walk) resolve(overlay Layer, backing *probe.Reference) (*libvirtxml.DomainDiskSource, bool) {
	what := Describe(overlay.Source)
	if backing.CutAtNUL {
		k.refuse(NameUnrepresentable, what+" names its backing image with a NUL byte behind "+strconv.Quote(printable(backing.Name)),
			renameHint(overlay, anew))
		return nil, false
	}
	src, err := ParseBacking(backing.Name, overlay.at())
	if err == nil {
		return src, true
	}
	if code, hint := refusalOf(err, overlay); code != "" {
		k.refuse(code, what+": "+err.Error(), hint)
	}
	return nil, false
}

// refusalOf returns the finding that an error of [ParseBacking] makes of the name
// in overlay's header, and what helps.
func refusalOf(err error, overlay Layer) (Code, string) {
	for _, refusal := range refusals {
		if !errors.Is(err, refusal.err) {
			continue
		}
		hint := renameHint(overlay, refusal.rename)
		if refusal.state != "" {
			hint = refusal.state + "; or " + hint
		}
		return refusal.code, hint
	}
	return "", ""
}

const anew = "write the name anew"

// refusals are those of [ParseBacking].
var refusals = []struct {
	err    error
	code   Code
	rename string // what another name is to be
	state  string // how the XML helps; "" if it does not
}{
	{ErrBacking, BackingInvalid, anew, ""},
	{ErrCredentials, BackingCredentials, "write the name without them", stateChainHint + " and a libvirt secret in its <source>"},
	{ErrUnmapped, BackingUnmapped, "write the name without that", stateChainHint},
	{ErrDisputed, BackingDisputed, "write the name as both read it alike", stateChainHint},
	{ErrRelative, BackingRelative, "name it absolutely", ""},
	{ErrNoDirectory, BackingRelative, "name it absolutely", ""},
	{ErrDuplicate, BackingDuplicate, anew, ""},
	{ErrNoPool, BackingNoPool, "write the whole name", ""},
	{ErrUnrepresentable, NameUnrepresentable, anew, ""},
}

// stale deals with an XML that goes on where the header ends: what is left of
// a chain after the image was flattened or restored, and the way to wrong
// bytes, since every unallocated cluster would read through.
func (k *walk) stale(overlay Layer) Layer {
	depth := len(k.chain.Layers)
	further := k.stated.Layers[depth]
	text := "the XML goes on to " + Describe(further.Source) + ", but " + Describe(overlay.Source) + " has no backing image"
	switch k.settle(ChainStale, text, "") {
	case headers:
		k.strayed = true
	case xmls:
		return further
	}
	return Layer{}
}

// cut deals with an XML that ends where the header goes on: the guest would
// read zeros where its base should be. It reports whether to go on.
func (k *walk) cut(overlay Layer, backing *probe.Reference) bool {
	text := "the XML ends the chain at " + Describe(overlay.Source) + ", but its header names the backing image " + strconv.Quote(printable(backing.Name))
	return k.settle(ChainCut, text, "") == headers
}

// compare settles which image is below overlay where both the XML and the
// header name one, and in which format.
func (k *walk) compare(overlay, stated Layer, backing *probe.Reference) (Layer, record) {
	switch k.whoseName(overlay, stated, backing) {
	case nobodys:
		return Layer{}, record{}
	case headers:
		return k.below(overlay, backing)
	}
	rec := k.borneOut(k.ctx, readRecord(backing), stated)
	format := stated.Format
	if stated.From == Protocol {
		format = probe.Raw // an image that QEMU makes up
	}
	if rec.format == "" || rec.format == format {
		return stated, rec
	}
	text := "the XML states that " + Describe(stated.Source) + " is " + string(format) + ", but its overlay records " + string(rec.format)
	switch k.settleHint(FormatConflict, text, "", k.formatHint(stated, rec.format)) {
	case headers:
		k.strayed = true
		return Layer{Source: stated.Source, Format: rec.format, From: Header}, rec
	case xmls:
		return stated, rec
	}
	return Layer{}, record{}
}

// whose tells whose word counts where the XML and a header differ.
type whose int

const (
	nobodys whose = iota // a refusal says why
	xmls
	headers
)

// settle finds out whose word counts where the XML and a header differ, as text
// says: the operator's policy tells, or else the disk is refused, with more to be
// said about it.
func (k *walk) settle(code Code, text, more string) whose {
	return k.settleHint(code, text, more, k.chooseHint())
}

// settleHint is settle, with a hint of its own.
func (k *walk) settleHint(code Code, text, more, hint string) whose {
	switch k.Policy.Disagreement {
	case HeadersWin:
		k.find(code, Warn, text+"; the header wins", "")
		return headers
	case XMLWins:
		k.find(ChainKept, Warn, text+"; the XML wins", "")
		return xmls
	}
	k.refuse(code, text+more, hint)
	return nobodys
}

// whoseName finds out whether the XML and the header name one image below
// overlay, and if not, which name counts. An image that is in neither place
// stays the XML's: the visit will say that it is missing.
func (k *walk) whoseName(overlay, stated Layer, backing *probe.Reference) whose {
	named, err := ParseBacking(backing.Name, overlay.at())
	if located, err := k.locate(stated); err == nil {
		stated = located
	}
	xmlName, headerName := Name(stated.at()), Name(named)
	if err != nil || backing.CutAtNUL || xmlName == "" || headerName == "" {
		k.find(ChainUnverified, Warn, "the XML names "+Describe(stated.Source)+" below "+Describe(overlay.Source)+
			", whose header names something that cannot be compared with it; the XML is kept", "")
		return xmls
	}
	xmlSlice, _ := sliceOf(stated.Source)
	headerSlice, _ := sliceOf(named)
	sameSlice := xmlSlice == headerSlice
	if xmlName == headerName && sameSlice {
		return xmls
	}
	text := "below " + Describe(overlay.Source) + " the XML names " + strconv.Quote(shownName(stated.at())) + xmlSlice.String() +
		", but the header " + strconv.Quote(shownName(named)) + headerSlice.String()
	if k.onlyXMLSays() {
		return k.settleHint(ChainConflict, text, ", which is not looked at, because only the XML says that "+
			Describe(overlay.Source)+" is "+string(overlay.Format), k.chooseHint())
	}
	xmlID, xmlErr := k.Opener().Identify(k.ctx, stated.at())
	headerID, headerErr := k.Opener().Identify(k.ctx, named)
	// What cannot be looked at may be there.
	gone := errors.Is(headerErr, fs.ErrNotExist)
	there := func(src *libvirtxml.DomainDiskSource, err error) bool {
		_, local := LocalPath(src)
		return local && err == nil
	}
	switch {
	case xmlErr == nil && headerErr == nil && xmlID == headerID && sameSlice:
		return xmls // two spellings of one image: the XML's stays
	case gone && (xmlErr == nil || errors.Is(xmlErr, ErrNotReadable)):
		hint := ""
		if overlay.Format == probe.Qcow2 || overlay.Format == probe.QED {
			hint = "mend the header: " + rebaseTo(overlay, stated)
		}
		k.find(ChainMoved, Warn, text+", which is not there; the XML is kept", hint)
		return xmls
	case gone:
		return xmls
	case there(stated.at(), xmlErr) && there(named, headerErr):
		return k.settle(ChainConflict, text, ", and both are there")
	case errors.Is(xmlErr, fs.ErrNotExist) && there(named, headerErr):
		return k.settleHint(ChainConflict, text, ", and only the header's is there",
			k.refreshHint()+"; or bring the XML's image back, or mend its <backingStore> in the XML: virsh edit "+k.guest())
	}
	return k.settle(ChainConflict, text, "")
}
