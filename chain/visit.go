package chain

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// visit opens a layer, determines its format and reads its header. It reports
// whether the walk continues.
func (k *walk) visit(layer Layer, rec storage.Record) bool {
	depth := len(k.chain.Layers)
	layer, unlocated := k.Locate(k.ctx, layer)
	k.chain.Layers = append(k.chain.Layers, layer)
	path, local := layer.LocalPath()
	if local && !strings.HasPrefix(path, "/") {
		k.refuse(finding.SourceRelative, strconv.Quote(path)+" is a relative path, which QEMU resolves from its own working directory",
			finding.Say("use an absolute path in the XML: %s", k.edit()))
		return false
	}

	statement, trusted := k.trusted(layer.At())
	switch {
	case !trusted:
	case layer.From == Unstated:
		layer.Format, layer.From = statement.Format, Trust
		k.chain.Layers[depth] = layer
		k.incomplete = k.incomplete || depth == 0 // a <driver type> is missing
	case k.refuseTrustConflict(statement, layer):
		return false
	}
	k.onlyXML = append(k.onlyXML, depth > 0 && layer.From == XML && !trusted && !k.confirmed(layer, rec))
	switch {
	case layer.Source.Dir != nil && layer.From != Protocol:
		k.refuse(finding.BackingDirectory, storage.Describe(layer.Source)+" is a folder, from which QEMU builds an image at every start",
			finding.Say("put the files into an image, or state the folder in the XML yourself: <backingStore type='dir'> with <format type='fat'/>"))
		return false
	case layer.Source.NVME != nil && k.rewriting:
		k.refuse(finding.SourceInexpressible, storage.Describe(k.chain.Layers[depth-1].Source)+" names "+storage.Describe(layer.Source)+" as its backing image, which chainfix cannot write",
			stateChain)
		return false
	case !local && layer.From != Unstated && !layer.Format.CanHaveBacking():
		// The image's content cannot change the result, so no server is contacted.
		return true
	case unlocated != nil:
		return k.unopened(layer, unlocated)
	}
	l, err := k.Look(k.ctx, layer.At(), layer.HeaderFormat())
	if err != nil {
		return k.unopened(layer, err)
	}
	layer.ID, layer.Image = l.ID.File, l.Info
	k.chain.Layers[depth].ID, k.chain.Layers[depth].Image = layer.ID, layer.Image
	for _, o := range k.opened {
		if o.id == l.ID {
			k.refuse(finding.ChainLoop, storage.Describe(layer.Source)+" is the same image as layer "+strconv.Itoa(o.layer)+", "+
				storage.Describe(k.chain.Layers[o.layer].Source), renameRemedy(k.overlay(), "give the overlay its real backing image"))
			return false
		}
	}
	k.opened = append(k.opened, opened{depth, l.ID})
	layer.Source = k.withType(layer, l.ID.File.Block)

	facts := k.factsOf(layer)
	k.noteSharing(layer, facts)
	if layer.From == Unstated {
		var ok bool
		if layer, l, ok = k.applyEvidence(layer, l, facts); !ok {
			return false
		}
	} else {
		k.noteRawDisk(layer, facts)
		k.onlyXML[depth] = k.onlyXML[depth] && !facts.States(layer.Format)
	}
	stated := layer.From == XML || layer.From == Header || layer.From == Trust
	if layer.From == Unstated {
		layer = k.applyRule(layer, l, rec)
	}
	if !stated {
		k.noteRawBelow(layer, facts)
	}
	k.noteOtherFormat(layer)
	layer.Header = l.Header
	k.chain.Layers[depth] = layer
	if k.refused() {
		return false
	}
	if layer.HeaderFormat() != probe.Raw {
		return k.checkHeader(layer, l.HeaderErr) && k.expressible(layer)
	}
	if depth > 0 {
		k.noteMarks(layer, l)
	}
	return true
}

// onlyXMLSays reports whether only the XML's <backingStore> states the format
// of the last layer.
func (k *walk) onlyXMLSays() bool { return k.onlyXML[len(k.onlyXML)-1] }

// confirmed reports whether something besides the XML's <backingStore> states
// this format for a layer: the header of an overlay that may be followed
// itself, or the operator with a [Folder.TrustHeaders].
func (k *walk) confirmed(layer Layer, rec storage.Record) bool {
	if rec.Format == layer.Format && !k.onlyXMLSays() {
		return true
	}
	name := storage.Name(layer.At())
	return k.Policy.trustsHeaders(name) && k.whyNotTrusted(name) == ""
}

// noteOtherFormat reports an image with another format than only the XML
// stated, after [walk.withoutXMLFormat] dropped that. The chain is then
// rewritten.
func (k *walk) noteOtherFormat(layer Layer) {
	was := k.xmlFormat
	k.xmlFormat = ""
	if was == "" || layer.From == Unstated || layer.Format == was {
		return
	}
	k.rewriting = true
	k.findAt(len(k.chain.Layers)-1, finding.Finding{Code: finding.FormatConflict, Severity: finding.Warn, ByName: true,
		Text:   "the XML states that " + storage.Describe(layer.Source) + " is " + string(was) + ", which nothing else confirms; determined again, it is " + string(layer.Format),
		Remedy: trustRemedy(layer.At(), layer.Format)})
}

// withType gives a source from a header the type that libvirt would give it,
// and reports a source in the XML with a type that QEMU will refuse.
func (k *walk) withType(layer Layer, block bool) *libvirtxml.DomainDiskSource {
	path, local := storage.LocalPath(layer.Source)
	if !local {
		return layer.Source
	}
	if !k.states(layer.Source) {
		typed := storage.LocalSource(path, block)
		typed.Slices = layer.Source.Slices
		return typed
	}
	if (layer.Source.Block != nil) != block {
		is := map[bool]string{true: "a block device", false: "a regular file"}[block]
		k.find(finding.SourceType, finding.Warn, strconv.Quote(path)+" is "+is+", but the XML has another source type, so QEMU refuses to open it",
			finding.Say("change the type in the XML: %s", k.edit()))
	}
	return layer.Source
}

// unopened ends the walk at a layer that could not be opened. A complete
// explicit chain stays unchanged, with a warning: libvirt will guess nothing,
// but chainfix could not check the chain.
func (k *walk) unopened(layer Layer, err error) bool {
	what := storage.Describe(layer.Source)
	var beyond *storage.SliceError
	switch {
	case k.refuseUnanswered(what, err):
		return false
	case errors.As(err, &beyond):
		k.refuse(finding.SourceSlice, "of "+what+", "+beyond.Error(), k.sliceRemedy(layer))
		return false
	case errors.Is(err, storage.ErrNotImage):
		k.refuse(finding.NotAnImage, what+" is "+storage.ErrNotImage.Error(), k.otherNameRemedy(layer))
		return false
	case errors.Is(err, storage.ErrNotReadable):
		why, tried := whyUnread(err)
		return k.unread(layer, what+" was not read"+why, k.readRemedy(layer.At(), tried))
	case errors.Is(err, errNoPools):
		return k.unread(layer, what+" was not read: "+err.Error(), finding.Say("name the folder of libvirt's pool definitions: %s", finding.Command("--pools /etc/libvirt/storage")))
	case layer.Source.Volume != nil && layer.Located == nil:
		hint := stateChain
		if errors.Is(err, fs.ErrNotExist) {
			hint = finding.Say("name the folder of libvirt's definitions that has the pool: %s; or %s", finding.Command("--pools DIR"), stateChain)
		}
		return k.unread(layer, what+" was not read: "+err.Error(), hint)
	case errors.Is(err, storage.ErrChanged):
		k.refuse(finding.ImageSwapped, what+" was replaced while it was examined", tryAgain)
		return false
	case errors.Is(err, fs.ErrNotExist):
		// libvirt 9.0 does not check that images on the network exist.
		_, local := layer.LocalPath()
		if top := k.stated.Layers[0].Source; local && top.StartupPolicy == "optional" && !k.stated.Terminated {
			k.skipOptional(what)
			return false
		}
		return k.unverifiable(finding.ImageMissing, what+" does not exist", k.missingRemedy(layer))
	}
	return k.unverifiable(finding.ImageUnreadable, what+" cannot be read: "+strconv.Quote(storage.Reason(err)), k.unreadableRemedy(layer, err))
}

// refuseUnanswered refuses a chain if err says that storage did not answer. It
// reports whether it did.
func (k *walk) refuseUnanswered(what string, err error) bool {
	f, ok := unanswered(what, err)
	if ok {
		k.findAt(len(k.chain.Layers)-1, f)
	}
	return ok
}

// unanswered is the finding for an error that is, or wraps, a [*limit.UnansweredError].
func unanswered(what string, err error) (f finding.Finding, ok bool) {
	var why *limit.UnansweredError
	if !errors.As(err, &why) {
		return f, false
	}
	look := finding.Say("check whether its server answers")
	if strings.HasPrefix(why.Path, "/") {
		look = finding.Say("check whether its storage answers: %s", finding.Command("timeout 10 stat "+finding.ShellWord(why.Path)))
	}
	return finding.Finding{Code: finding.ImageUnanswered, Severity: finding.Refuse, Text: what + " gives " + why.Error(),
		Remedy: finding.Say("%s; if it is only slow, raise the limit: %s", look, finding.Command("--timeout 60s"))}, true
}

// unread ends the walk at an image that the Walker's opener cannot read.
func (k *walk) unread(layer Layer, text string, remedy finding.Remedy) bool {
	depth := len(k.chain.Layers) - 1
	switch {
	case layer.From != Unstated:
		return k.unverifiable(finding.ChainUnverified, text, remedy)
	case storage.Name(layer.At()) != "":
		remedy = finding.Join("; or ", trustRemedy(layer.At(), ""), remedy)
	}
	k.refuse(finding.FormatUnrecorded, "the format of "+storage.Describe(layer.Source)+" is not recorded in "+
		storage.Describe(k.chain.Layers[depth-1].Source)+", and "+text, remedy)
	return false
}

// whyUnread says why an opener that reads images on the network did not read
// this one, and whether it tried. An opener that reads none gives no reason.
func whyUnread(err error) (why string, tried bool) {
	var path *fs.PathError
	if !errors.As(err, &path) {
		return "", false
	}
	return ": " + strconv.Quote(strings.TrimSuffix(path.Err.Error(), ": "+storage.ErrNotReadable.Error())), true
}

// looksLike returns the format that the header of a local image suggests; ""
// if unknown. Images on the network are not read again for this.
func (k *walk) looksLike(layer Layer) probe.Format {
	if _, local := layer.LocalPath(); !local {
		return ""
	}
	l, err := k.Look(k.ctx, layer.At(), "")
	if err != nil || l.SignaturesErr != nil {
		return ""
	}
	return l.Candidate()
}

// skipOptional skips an optional disk (startupPolicy) with a missing image:
// libvirt starts the guest without the disk (libvirt 9.0, whatever else is
// wrong with the chain).
func (k *walk) skipOptional(what string) {
	k.chain.Findings = nil // the layers are not used
	k.findAt(finding.WholeDisk, finding.Finding{Code: finding.ImageMissing, Severity: finding.Warn,
		Text:   what + " does not exist, and the disk is optional: libvirt starts the guest without it",
		Remedy: finding.Say("if the guest needs the disk, restore the image")})
	k.chain.Verdict = Skipped
	k.chain.Layers = k.stated.Layers[:1:1]
	k.opened = nil
}

// unverifiable ends the walk at a layer that cannot be read: with a warning if
// the XML states the rest of the chain, otherwise with a refusal.
func (k *walk) unverifiable(code finding.Code, text string, remedy finding.Remedy) bool {
	if k.rewriting || !k.stated.Terminated {
		if code == finding.ChainUnverified {
			code = finding.SourceNotLocal
		}
		k.refuse(code, text, remedy)
		return false
	}
	k.find(code, finding.Warn, text+"; the rest of the explicit chain was not checked", remedy)
	depth := len(k.chain.Layers)
	k.chain.Layers = append(k.chain.Layers, k.stated.Layers[depth:]...)
	k.checkStated(depth)
	return false
}

// checkHeader refuses a layer if err says that its header could not be read.
// It reports whether the walk continues.
func (k *walk) checkHeader(layer Layer, err error) bool {
	if err == nil {
		return true
	}
	name, f := storage.Describe(layer.Source), string(layer.HeaderFormat())
	stated := " is stated to be " + f + " by " + map[Origin]string{XML: "the XML", Header: "its overlay", Trust: "the operator", Libvirt: "another guest's definition"}[layer.From]
	if layer.From == Probe {
		stated = " has the signature of " + f
	}
	switch {
	case errors.Is(err, storage.ErrChanged):
		k.refuse(finding.ImageSwapped, name+" was replaced while it was examined", tryAgain)
	case errors.Is(err, probe.ErrSignature) && layer.From != Probe:
		k.refuse(finding.FormatMismatch, name+stated+", but its header is not", k.mismatchRemedy(layer, k.looksLike(layer)))
	case image.IsHeaderError(err):
		k.refuse(finding.ImageBroken, name+stated+", but its header cannot be used: "+err.Error(), k.brokenRemedy(layer))
	default:
		k.refuse(finding.ImageUnreadable, name+" cannot be read: "+strconv.Quote(storage.Reason(err)), k.unreadableRemedy(layer, err))
	}
	return false
}
