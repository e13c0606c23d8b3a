package chain

import (
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// expressible refuses images that need something which no XML can express for
// every libvirt.
func (k *walk) expressible(layer Layer) bool {
	header := layer.Header
	// Most images need no finding, so their names are quoted only on demand.
	name := func() string { return storage.Describe(layer.Source) }
	word := commandWord(layer.At())
	if (header.DataFile != nil || layer.Source.DataStore != nil) && !k.dataFile(layer) {
		return false
	}
	switch {
	case len(header.Extents) > 0:
		k.refuse(finding.ForeignExtents, name()+" keeps its data in other files, such as "+strconv.Quote(storage.Printable(header.Extents[0].Name))+
			", which no domain XML can name", k.convertRemedy(layer, header))
	case header.Parent != nil:
		k.refuse(finding.Differencing, name()+" is a differencing image: the rest of its data is in its parent"+parentName(header)+
			", which QEMU does not read", k.mergeRemedy())
	case header.Encryption == probe.AES:
		k.refuse(finding.Encrypted, name()+" has the old AES encryption, which QEMU no longer runs guests on",
			k.decryptRemedy(layer))
	case header.Encryption == probe.Plain && layer.Source.Encryption != nil:
		k.find(finding.Encrypted, finding.Warn, "the XML has a secret for "+name()+", which is not encrypted: QEMU refuses that", finding.Say("remove the <encryption> element"))
		return true
	case header.Encryption != probe.Plain && layer.Source.Encryption == nil:
		k.refuse(finding.Encrypted, name()+" is encrypted, and the XML has no secret for it",
			k.secretRemedy(layer))
	case header.Dirty && layer.Format == probe.VHDX:
		k.find(finding.ImageBroken, finding.Warn, name()+" was not closed: QEMU opens it read-only, as it does backing images, only if its log is empty",
			finding.Say("let QEMU replay the log: %s", finding.Command("qemu-img check -f vhdx -r all "+word)))
		return true
	case header.Corrupt:
		k.find(finding.ImageBroken, finding.Warn, name()+" is marked corrupt: QEMU opens it read-only",
			finding.Say("repair it: %s", finding.Command("qemu-img check -f "+string(layer.Format)+" -r all "+word)))
		return true
	default:
		return true
	}
	return false
}

// noteMarks reports a raw image that looks like another format. It stays raw,
// since a guest may store images on its disk, but somebody should look: some
// tools record raw, and libvirt writes it, when the format was not known. If
// the operator states raw, the finding is only for information.
func (k *walk) noteMarks(layer Layer, l *image.View) {
	marks := l.UnexpectedMarks()
	if len(marks) == 0 {
		return
	}
	severity, is, more, remedy := finding.Warn, "is stated to be raw", "", finding.Remedy{}
	like := probe.Format(marks[0])
	switch {
	case layer.From == Probe:
		is = "is raw to QEMU and libvirt"
	case len(k.chain.Layers) == 1:
		if like.LibvirtName() != "" {
			remedy = finding.Say("if the XML is wrong, correct it: %s", driverElement(like))
		}
	case layer.From == Header:
		is = "is recorded to be raw by its overlay"
		more, remedy = frozen, correctRawRecord(k.overlay(), layer, like, finding.Remedy{})
	case layer.From == XML:
		more, remedy = frozen, k.statedRawRemedy(layer, like)
	default:
		severity = finding.Info
	}
	k.find(finding.RawWithSignature, severity, storage.Describe(layer.Source)+" "+is+" and has the signature of "+
		strings.Join(marks, " and ")+": the guest sees these bytes unchanged"+more, remedy)
}

// frozen says what an explicit chain does to a wrongly recorded format.
const frozen = "; an explicit chain makes that permanent: libvirt then ignores what the overlay records"

// overlay returns the overlay of the last layer, which must not be the top.
func (k *walk) overlay() Layer { return k.chain.Layers[len(k.chain.Layers)-2] }

// markForReview sets ByName in findings that somebody should look at before
// the chain is written: an image that its overlay records as raw and that has
// the header of another format.
func (k *walk) markForReview() {
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

// parentName returns the name of a differencing image's parent, quoted and with a
// space before it; "" if the header has none.
func parentName(h *probe.Header) string {
	if h.Parent.Name == "" {
		return ""
	}
	return " " + strconv.Quote(storage.Printable(h.Parent.Name))
}
