package chain

import (
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/probe"
)

// expressible refuses what a header asks for and no domain XML that every
// libvirt reads can say.
func (k *walk) expressible(layer Layer) bool {
	header := layer.Header
	// Mostly there is nothing to say, so nothing is quoted beforehand.
	name := func() string { return Describe(layer.Source) }
	word := commandWord(layer.at())
	if (header.DataFile != nil || layer.Source.DataStore != nil) && !k.dataFile(layer) {
		return false
	}
	switch {
	case len(header.Extents) > 0:
		k.refuse(ForeignExtents, name()+" keeps its data in other files, such as "+strconv.Quote(printable(header.Extents[0].Name))+
			", which no domain XML can name", "bring the data into one file: qemu-img convert -f "+string(layer.Format)+" -O qcow2")
	case header.Parent != nil:
		k.refuse(Differencing, name()+" is a differencing image: what it lacks is in its parent"+parentName(header)+
			", which QEMU does not look for", "merge it into its parent with the program that made it")
	case header.Encryption == probe.AES:
		k.refuse(Encrypted, name()+" has the old AES encryption, which QEMU no longer runs guests on",
			"convert it: qemu-img convert, with the secret")
	case header.Encryption == probe.Plain && layer.Source.Encryption != nil:
		k.find(Encrypted, Warn, "the XML has a secret for "+name()+", which is not encrypted: QEMU refuses that", "remove the <encryption> element")
		return true
	case header.Encryption != probe.Plain && layer.Source.Encryption == nil:
		k.refuse(Encrypted, name()+" is encrypted, and the XML has no secret for it",
			k.secretHint(layer))
	case header.Dirty && layer.Format == probe.VHDX:
		k.find(ImageBroken, Warn, name()+" was not closed: QEMU opens it read-only, as backing images are, only if its log is empty",
			"let QEMU replay the log: qemu-img check -f vhdx -r all "+word)
		return true
	case header.Corrupt:
		k.find(ImageBroken, Warn, name()+" is marked corrupt: QEMU opens it read-only", "mend it: qemu-img check -f "+string(layer.Format)+" -r all "+word)
		return true
	default:
		return true
	}
	return false
}

// noteMarks reports a raw image that looks like something else. It is believed,
// since a guest may store images on its disk, but should be known: where
// somebody recorded the format, for the record; at the top, where libvirt
// writes raw for those who said nothing, and where it was probed, as a warning.
func (k *walk) noteMarks(layer Layer, l *look) {
	marks := l.oddities()
	if len(marks) == 0 {
		return
	}
	severity, is, hint := Info, "is stated to be raw", ""
	switch {
	case layer.From == Probe:
		severity, is = Warn, "is raw to QEMU and libvirt"
	case len(k.chain.Layers) == 1:
		severity = Warn
		if name := probe.Format(marks[0]).LibvirtName(); name != "" {
			hint = "if the XML is wrong, say so there: <driver name='qemu' type='" + name + "'/>"
		}
	}
	k.find(RawWithSignature, severity, Describe(layer.Source)+" "+is+" and bears the signature of "+
		strings.Join(marks, " and ")+": the guest sees these bytes as they are", hint)
}

func parentName(h *probe.Header) string {
	if h.Parent.Name == "" {
		return ""
	}
	return " " + strconv.Quote(printable(h.Parent.Name))
}
