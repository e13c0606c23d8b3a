package chain

import (
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// Hints about missing or wrong formats: state the format, record it in the
// overlay, or let the XML or the headers win.

// stateRaw is for an image that may be raw, whatever its header says, or
// another format.
const stateRaw = "%s if a guest uses or used it as a raw disk, otherwise %s"

// trust returns the flag that states the format of an image.
func trust(src *libvirtxml.DomainDiskSource, format probe.Format) finding.Remedy {
	return finding.Trust(storage.ShownName(src), string(format))
}

// trustRemedy says how to state a format on the command line. looksLike is the
// format that the image's header suggests, or "".
func trustRemedy(src *libvirtxml.DomainDiskSource, looksLike probe.Format) finding.Remedy {
	raw := trustAs("state its format", src, probe.Raw)
	if looksLike.LibvirtName() == "" || looksLike == probe.Raw {
		return raw
	}
	return finding.Say(stateRaw, raw, trust(src, looksLike))
}

// trustAs says how to state one format, and for what. If the name is not shown
// in full (a URI's query is hidden), the operator has to fill in the rest.
func trustAs(what string, src *libvirtxml.DomainDiskSource, format probe.Format) finding.Remedy {
	if storage.Name(src) != storage.ShownName(src) {
		what += ", with the whole query in its name"
	}
	return finding.Say("%s: %s", what, trust(src, format))
}

// trustAny says how to state one of those formats that the image can have; if
// it can have none of them, it returns otherwise.
func (k *walk) trustAny(layer Layer, formats []probe.Format, otherwise finding.Remedy) finding.Remedy {
	var flags []finding.Remedy
	for _, f := range formats {
		if f.LibvirtName() != "" && k.fits(layer, f) {
			flags = append(flags, trust(layer.At(), f))
		}
	}
	if len(flags) == 0 {
		return otherwise
	}
	return finding.Join(" or ", flags...)
}

// fits reports whether an image can have this format, as far as known. Images
// on the network are not read again for this.
func (k *walk) fits(layer Layer, format probe.Format) bool {
	if path, local := layer.LocalPath(); !local || !strings.HasPrefix(path, "/") {
		return true
	}
	layer.Format = format
	l, err := k.Look(k.ctx, layer.At(), layer.HeaderFormat())
	return err != nil || l.HeaderErr == nil
}

// unrecordedRemedy says how to state the unrecorded format of the last layer.
// The view shows which statements would be refused too, and what to do
// instead.
func (k *walk) unrecordedRemedy(layer Layer, l *image.View) finding.Remedy {
	raw := trustAs("state its format", layer.At(), probe.Raw)
	format := l.Candidate()
	if format == "" {
		return finding.Say(stateRaw, raw, k.trustAny(layer, l.Formats(), restore))
	}
	if way := k.insteadOf(layer, l, format); !way.IsZero() {
		return finding.Say(stateRaw, raw, way)
	}
	return finding.Join("; or ", trustRemedy(layer.At(), format), recordToo(k.overlay(), format))
}

// insteadOf says what to do with an image that would still be refused if this
// format, which its header suggests, were stated; the zero Remedy if it would
// be accepted.
func (k *walk) insteadOf(layer Layer, l *image.View, format probe.Format) finding.Remedy {
	layer.Format = format
	if format == probe.LUKS {
		layer.Format = probe.Raw // with an <encryption>
		return k.secretRemedy(layer)
	}
	switch h := l.Header; {
	case format == probe.Raw:
	case l.HeaderErr != nil:
		return restore
	case h == nil:
	case len(h.Extents) > 0:
		return k.convertRemedy(layer, h)
	case h.Parent != nil:
		return k.mergeRemedy()
	case h.Encryption == probe.AES:
		return k.decryptRemedy(layer)
	case h.Encryption != probe.Plain && layer.Source.Encryption == nil:
		return k.secretRemedy(layer)
	case h.DataFile != nil:
		return k.dataFileRemedy(layer, h, true)
	case h.Backing != nil:
		layer.Header = h
		if _, err := storage.ParseBacking(h.Backing.Name, layer.At()); err != nil {
			if _, remedy := refusalOf(err, layer); !remedy.IsZero() {
				return finding.Say("%s, and for the file that it names, %s", trust(layer.At(), format), remedy)
			}
		}
	}
	return finding.Remedy{}
}

// confirmRemedy says how to confirm a format that only the XML states.
func (k *walk) confirmRemedy(layer Layer) finding.Remedy {
	return finding.Say("%s; if a guest uses or used it as a raw disk, %s",
		finding.Join("; or ", trustAs("if that is right, confirm it", layer.At(), layer.Format), recordToo(k.overlay(), layer.Format)),
		k.editRemedy(formatElement(probe.Raw))).About(storage.ShownName(layer.At()), string(probe.Raw))
}

// chooseStatedRemedy is for an image for which two definitions state different
// formats.
func (k *walk) chooseStatedRemedy(layer Layer, a, b DiskFormat) finding.Remedy {
	edit := func(of DiskFormat) finding.Remedy {
		if of.Guest == "" {
			return k.edit()
		}
		return finding.Command("virsh edit " + finding.GuestWord(of.Guest))
	}
	return finding.Say("state its format: %s; or correct the definition that is wrong: %s or %s",
		k.trustAny(layer, []probe.Format{a.Format, b.Format}, trust(layer.At(), probe.Raw)), edit(a), edit(b))
}

// recordToo says how to record the format in the overlay, if possible, which
// is better than a statement.
func recordToo(overlay Layer, format probe.Format) finding.Remedy {
	if overlay.Header == nil || overlay.Header.Backing == nil || !overlay.Format.CanRecord(format) {
		return finding.Remedy{}
	}
	return finding.Say("record it permanently in the overlay: %s", recordFormat(overlay, format))
}

// correctRecord says how to record another format in the overlay, followed by
// then.
func correctRecord(overlay Layer, format probe.Format, then finding.Remedy) finding.Remedy {
	if !overlay.Format.CanRecord(format) {
		return finding.Say(noRoom)
	}
	return finding.Say("if the recorded format is wrong, correct it: %s%s", recordFormat(overlay, format), then)
}

const noRoom = "create the overlay again: its header has no room for another format name"

// correctRawRecord says how to record the format that an image looks like,
// instead of raw, followed by then.
func correctRawRecord(overlay, layer Layer, like probe.Format, then finding.Remedy) finding.Remedy {
	if !overlay.Format.CanRecord(like) {
		return lookRemedy(layer)
	}
	return finding.Say("if the recorded format is wrong, correct it before the guest starts: %s%s", recordFormat(overlay, like), then)
}

// statedRawRemedy says how to correct a raw <format> of a backing image in the
// XML. If the overlay records raw too, that has to be corrected first, or the
// two disagree.
func (k *walk) statedRawRemedy(layer Layer, like probe.Format) finding.Remedy {
	overlay := k.overlay()
	rec := storage.Record{}
	if overlay.Header != nil && overlay.Header.Backing != nil {
		rec = storage.ReadRecord(overlay.Header.Backing)
	}
	switch {
	case rec.Format == probe.Raw:
		return correctRawRecord(overlay, layer, like, k.fromOverlay())
	case rec.MayMean(like):
		return finding.Say("if the XML is wrong, %s", k.refreshRemedy())
	case like.LibvirtName() != "":
		return finding.Say("if the XML is wrong, correct it: <format type='%s'/>", like.LibvirtName())
	}
	return lookRemedy(layer)
}

// recordFormat records format for the backing image that overlay's header
// names, without touching any data. A name with a protocol may hold a password
// and becomes NAME.
func recordFormat(overlay Layer, format probe.Format) finding.Remedy {
	word := "PATH"
	if overlay.Header != nil && overlay.Header.Backing != nil {
		word = "NAME"
		if name := overlay.Header.Backing.Name; storage.LooksLikeFile(name) {
			word = finding.ShellWord(name)
		}
	}
	return rebase(overlay, format, word)
}

// rebaseTo makes overlay's header name the layer that the XML names.
func rebaseTo(overlay, backing Layer) finding.Remedy {
	return rebase(overlay, backing.Format, commandWord(backing.At()))
}

// rebase names the backing image by a word for the shell.
func rebase(overlay Layer, format probe.Format, word string) finding.Remedy {
	recorded := string(format)
	if recorded == "" {
		recorded = "FORMAT"
	}
	return finding.Command("qemu-img rebase -u -f " + string(overlay.Format) + " -F " + recorded + " -b " + word + " " + commandWord(overlay.At()))
}

// keepXML lets the XML win.
func keepXML() finding.Remedy {
	return finding.Say("keep the chain in the XML: %s", finding.Command("--keep-xml"))
}

// refreshRemedy lets the headers win.
func (k *walk) refreshRemedy() finding.Remedy {
	return finding.Say("rebuild the chain from the headers: %s", k.refreshFlags())
}

// fromOverlay continues the hint after an overlay's header was corrected and
// the XML differs.
func (k *walk) fromOverlay() finding.Remedy {
	return finding.Say(", and rebuild the chain from it: %s", k.refreshFlags())
}

// refreshFlags make the headers win. Formats that only the XML states are then
// ignored, and the backing images of such images are not followed, so the
// flags confirm these formats.
func (k *walk) refreshFlags() finding.Remedy {
	flags := "--refresh"
	for i, only := range k.onlyXML {
		if layer := k.chain.Layers[i]; only && layer.Header != nil && (layer.Header.Backing != nil || layer.Header.DataFile != nil) {
			flags += " " + trust(layer.At(), layer.Format).String()
		}
	}
	return finding.Command(flags)
}

// chooseRemedy is for a conflict of the XML and a header.
func (k *walk) chooseRemedy() finding.Remedy {
	return finding.Say("decide which is right; %s; or %s", k.refreshRemedy(), keepXML())
}

// formatRemedy is for an image for which the XML and the overlay state
// different formats. It does not offer a format that the image's header rules
// out.
func (k *walk) formatRemedy(stated Layer, recorded probe.Format) finding.Remedy {
	name := storage.ShownName(stated.At())
	switch xml, header := k.fits(stated, stated.Format), k.fits(stated, recorded); {
	case header && !xml:
		return k.refreshRemedy().About(name, string(recorded))
	case xml && !header:
		return finding.Say("%s; and correct the recorded format: %s", keepXML(), recordFormat(k.chain.Layers[len(k.chain.Layers)-1], stated.Format)).About(name, string(stated.Format))
	}
	return k.chooseRemedy().About(name, string(stated.Format), string(recorded))
}

// mismatchRemedy is for an image that does not have its stated format. like is
// the format that its header suggests, or "".
func (k *walk) mismatchRemedy(layer Layer, like probe.Format) finding.Remedy {
	look := lookRemedy(layer)
	if like.LibvirtName() == "" || like == layer.Format {
		return finding.Join("; if it is lost, ", look, restore)
	}
	return finding.Join("; ", look, k.correctFormat(layer, like)).About(storage.ShownName(layer.At()), string(like))
}

// correctFormat says how to correct the format of the last layer where it was
// stated.
func (k *walk) correctFormat(layer Layer, like probe.Format) finding.Remedy {
	flag := trust(layer.At(), like)
	switch depth := len(k.chain.Layers) - 1; {
	case layer.From == Trust:
		return finding.Say("if the statement is wrong, state the right format: %s", flag)
	case layer.From == Libvirt:
		return finding.Say("if the other guest's definition is wrong, correct it, or state the right format: %s", flag)
	case depth == 0:
		return finding.Say("if the XML is wrong, %s", k.editRemedy(driverElement(like)))
	case layer.From == Header:
		return correctRecord(k.overlay(), like, finding.Remedy{})
	}
	if above := k.overlay().Header; above != nil && above.Backing != nil && storage.ReadRecord(above.Backing).Format == layer.Format {
		return correctRecord(k.overlay(), like, k.fromOverlay())
	}
	return finding.Say("if the XML is wrong, %s", k.editRemedy(formatElement(like)))
}

// guest returns the guest's name quoted for the shell.
func (k *walk) guest() string { return finding.GuestWord(k.stated.Guest) }

// edit returns the command that edits the definition.
func (k *walk) edit() finding.Remedy { return finding.Command("virsh edit " + k.guest()) }

// editRemedy says what to change in the definition.
func (k *walk) editRemedy(change string) finding.Remedy {
	return finding.Say("correct it in the XML (%s): %s", k.edit(), change)
}

// driverElement states the format of the top in the XML.
func driverElement(f probe.Format) string {
	return "<driver name='qemu' type='" + f.LibvirtName() + "'/>"
}

// formatElement states the format of a layer below the top in the XML.
func formatElement(f probe.Format) string {
	return "<format type='" + f.LibvirtName() + "'/> in its <backingStore>"
}
