package chain

import (
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// expressible refuses what a header asks for and no domain XML that every
// libvirt reads can say.
func (k *walk) expressible(layer Layer) bool {
	header := layer.Header
	// Mostly there is nothing to say, so nothing is quoted beforehand.
	name := func() string { return storage.Describe(layer.Source) }
	word := commandWord(layer.At())
	if (header.DataFile != nil || layer.Source.DataStore != nil) && !k.dataFile(layer) {
		return false
	}
	switch {
	case len(header.Extents) > 0:
		k.refuse(finding.ForeignExtents, name()+" keeps its data in other files, such as "+strconv.Quote(storage.Printable(header.Extents[0].Name))+
			", which no domain XML can name", k.convertHint(layer, header))
	case header.Parent != nil:
		k.refuse(finding.Differencing, name()+" is a differencing image: what it lacks is in its parent"+parentName(header)+
			", which QEMU does not look for", k.mergeHint())
	case header.Encryption == probe.AES:
		k.refuse(finding.Encrypted, name()+" has the old AES encryption, which QEMU no longer runs guests on",
			k.decryptHint(layer))
	case header.Encryption == probe.Plain && layer.Source.Encryption != nil:
		k.find(finding.Encrypted, finding.Warn, "the XML has a secret for "+name()+", which is not encrypted: QEMU refuses that", "remove the <encryption> element")
		return true
	case header.Encryption != probe.Plain && layer.Source.Encryption == nil:
		k.refuse(finding.Encrypted, name()+" is encrypted, and the XML has no secret for it",
			k.secretHint(layer))
	case header.Dirty && layer.Format == probe.VHDX:
		k.find(finding.ImageBroken, finding.Warn, name()+" was not closed: QEMU opens it read-only, as backing images are, only if its log is empty",
			"let QEMU replay the log: qemu-img check -f vhdx -r all "+word)
		return true
	case header.Corrupt:
		k.find(finding.ImageBroken, finding.Warn, name()+" is marked corrupt: QEMU opens it read-only", "mend it: qemu-img check -f "+string(layer.Format)+" -r all "+word)
		return true
	default:
		return true
	}
	return false
}

// noteMarks reports a raw image that looks like something else. It is believed,
// since a guest may store images on its disk, but somebody should look: tools
// record raw, and libvirt writes it, where nobody knew. Only where the operator
// states it is that for the record.
func (k *walk) noteMarks(layer Layer, l *image.View) {
	marks := l.UnexpectedMarks()
	if len(marks) == 0 {
		return
	}
	severity, is, more, hint := finding.Warn, "is stated to be raw", "", ""
	like := probe.Format(marks[0])
	switch {
	case layer.From == Probe:
		is = "is raw to QEMU and libvirt"
	case len(k.chain.Layers) == 1:
		if name := like.LibvirtName(); name != "" {
			hint = "if the XML is wrong, say so there: <driver name='qemu' type='" + name + "'/>"
		}
	case layer.From == Header:
		is = "is recorded to be raw by its overlay"
		more, hint = frozen, mendRecordHint(k.overlay(), layer, like, "")
	case layer.From == XML:
		more, hint = frozen, k.statedRawHint(layer, like)
	default:
		severity = finding.Info
	}
	k.find(finding.RawWithSignature, severity, storage.Describe(layer.Source)+" "+is+" and bears the signature of "+
		strings.Join(marks, " and ")+": the guest sees these bytes as they are"+more, hint)
}

// frozen is what becomes of a mistake below the top.
const frozen = "; an explicit chain freezes that: once it is there, what the overlay records has no effect any more"

// overlay is the one above the layer that was reached last, which is not the top.
func (k *walk) overlay() Layer { return k.chain.Layers[len(k.chain.Layers)-2] }

// statedRawHint says how to mend the XML's own raw below the top. Where the
// overlay records raw as well, that has to be mended first, or the two disagree.
func (k *walk) statedRawHint(layer Layer, like probe.Format) string {
	overlay := k.overlay()
	rec := storage.Record{}
	if overlay.Header != nil && overlay.Header.Backing != nil {
		rec = storage.ReadRecord(overlay.Header.Backing)
	}
	name := like.LibvirtName()
	switch {
	case rec.Format == probe.Raw:
		return mendRecordHint(overlay, layer, like, k.fromOverlay())
	case rec.MayMean(like):
		return "if the XML is wrong, " + k.refreshHint()
	case name != "":
		return "if the XML is wrong, correct it there: <format type='" + name + "'/>"
	}
	return lookHint(layer)
}

// mendRecordHint says how to record what an image looks like, in the place of raw.
func mendRecordHint(overlay, layer Layer, like probe.Format, then string) string {
	if !overlay.Format.CanRecord(like) {
		return lookHint(layer)
	}
	return "if the record is wrong, mend it before the guest starts: " + rebaseCommand(overlay, like) + then
}

// lookHint says how to see what an image is. The name of one that is no local
// file says nothing to the command.
func lookHint(layer Layer) string {
	if _, local := layer.LocalPath(); !local {
		return ""
	}
	return "look at it: chainfix probe " + commandWord(layer.At())
}

// holdBack marks what somebody should look at before it is written down: a raw
// that an overlay records over an image with the header of a format. The XML would
// freeze it.
func (k *walk) holdBack() {
	c := k.chain
	if c.Verdict != Fixable {
		return
	}
	for i := range c.Findings {
		f := &c.Findings[i]
		if f.Code == finding.RawWithSignature && c.Layers[f.Layer].From == Header {
			f.ByName = true
		}
	}
}

func parentName(h *probe.Header) string {
	if h.Parent.Name == "" {
		return ""
	}
	return " " + strconv.Quote(storage.Printable(h.Parent.Name))
}
