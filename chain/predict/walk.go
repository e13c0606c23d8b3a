package predict

import (
	"strconv"
	"unicode/utf8"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// detect follows the backing chain that libvirt detects after layer, the last
// one in the XML, and passes to QEMU.
func (p *predictor) detect(layer chain.Layer, l *image.View) error {
	if _, local := layer.LocalPath(); !local {
		// libvirt reads no header on the network (except on gluster, if that module
		// is installed).
		return afterwards(p.follow(layer, l.Header))
	}
	p.start = layer
	if err := p.seenBefore(layer, l); err != nil {
		return err
	}
	for layer.Format.CanHaveBacking() {
		if atStart, err := p.startOfFile(layer, l); err != nil || !atStart {
			return err
		}
		if l.Header.Backing == nil {
			return nil
		}
		backing := l.Header.Backing
		if !l.Libvirt.Backing {
			p.backingNotSeen(layer, l)
			return nil
		}
		src, err := p.named(layer, backing.Name)
		w := p.readRecord(layer.Format, backing, p.extensions(l))
		p.layer++
		if err != nil {
			return p.unparsable(layer, backing, w, err)
		}
		file, local := storage.LocalPath(src)
		if !local {
			return p.onNetwork(layer, backing, w, src)
		}
		if !utf8.ValidString(file) {
			return p.qemu("libvirt cannot pass the name " + strconv.Quote(file) + " to QEMU, because it is not UTF-8")
		}
		below := chain.Layer{Source: src, Format: w.format, From: chain.Header}
		if err := p.bounded(p.layer+1, below); err != nil {
			return err
		}
		if w.refusal != "" {
			return p.libvirt(w.refusal)
		}
		if w.format == "" || w.fallback {
			return p.unrecorded(layer, below, w)
		}
		if f := w.record.Format; f != "" && f != w.format {
			p.misopens("libvirt reads " + string(w.format) + " as the format that " + storage.Describe(layer.Source) + " records of its backing image, QEMU " + string(f))
		}
		p.nests(p.layer+1, w.format)
		next, err := p.imageAs(below, w.format, w.record)
		if err == nil {
			err = p.deviceDriver(below, next)
		}
		if postponed, err := p.postpone(err); postponed || err != nil {
			return err
		}
		if err := p.seenBefore(below, next); err != nil {
			return err
		}
		if w.format == probe.Raw {
			return p.raw(below, next)
		}
		if _, err := p.postpone(p.opens(below, next)); err != nil || next.Header == nil {
			return err
		}
		if _, err := p.postpone(p.checkDataFiles(below, next, true)); err != nil {
			return err
		}
		layer, l = below, next
	}
	return nil
}

// backingNotSeen records a backing file name that QEMU finds in a header and
// libvirt does not. libvirt then tells QEMU that the image has no backing
// image (libvirt 9.0 and 11.3).
func (p *predictor) backingNotSeen(layer chain.Layer, l *image.View) {
	why := "in another place than where it looks"
	if l.Size > image.LibvirtReads && layer.Format != probe.VMDK {
		why = "past the " + strconv.Itoa(image.LibvirtReads) + " bytes that it reads"
	}
	p.misopens("libvirt does not find the backing image that " + storage.Describe(layer.Source) + " names, " + why +
		": the guest sees zeros instead of its data")
}

// unspecified is libvirt's refusal of an image whose format is not recorded.
func (p *predictor) unspecified(overlay chain.Layer, ref *probe.Reference) error {
	return p.libvirt("format of backing image " + strconv.Quote(storage.Printable(ref.Name)) + " of image " + storage.Describe(overlay.Source) +
		" was not specified in the image metadata (See https://libvirt.org/kbase/backing_chains.html for troubleshooting)")
}

// unrecorded handles an image without a recorded format that libvirt
// understands. It is the last image of the prediction.
func (p *predictor) unrecorded(overlay, layer chain.Layer, w recordedFormat) error {
	// The overlay was read before, so this is cached.
	above, err := p.image(overlay, overlay.HeaderFormat())
	if err != nil {
		return err
	}
	ref := above.Header.Backing
	if !w.safe && !w.fallback && p.does(libvirt.UnrecordedIsRefused) {
		return p.unspecified(overlay, ref)
	}
	layer.Format, layer.From = "", chain.Unstated
	l, err := p.image(layer, "")
	if err == nil {
		err = p.deviceDriver(layer, l)
	}
	if err != nil {
		return err
	}
	if err := p.seenBefore(layer, l); err != nil {
		return err
	}
	if l.SignaturesErr != nil {
		return p.unread(layer, l.SignaturesErr)
	}
	layer.From = chain.Probe
	if layer.Format = l.LibvirtsChoice(); w.fallback || !w.safe && p.does(libvirt.UnrecordedIsRaw) {
		layer.Format = probe.Raw
	}
	guess := layer.Format
	if guess == probe.ISO {
		guess = probe.Raw
	}
	if !w.fallback { // that is a rule, not a guess
		p.guesses(guess)
	}
	switch layer.Format {
	case probe.COW:
		if cow, err := p.image(layer, probe.COW); err == nil && cow.Libvirt.Backing && !w.safe {
			return p.unspecified(overlay, ref)
		}
		return p.libvirt("'cow' storage format is not supported")
	case probe.ISO:
		layer.Format = probe.Raw
		p.warnRawLooksLike(layer, l, w, p.sizeOf(overlay))
		return nil
	case probe.Raw:
		if err := p.raw(layer, l); err != nil {
			return err
		}
		p.warnRawLooksLike(layer, l, w, p.sizeOf(overlay))
		return nil
	}
	return p.probed(overlay, layer, ref, w)
}

// probed handles an image that libvirt opens as the format that it probed.
func (p *predictor) probed(overlay, layer chain.Layer, ref *probe.Reference, w recordedFormat) error {
	p.nests(p.layer+1, layer.Format)
	l, err := p.image(layer, layer.Format)
	if err != nil {
		return err
	}
	h := l.Header
	what := storage.Describe(layer.Source)
	if !w.safe && (l.Libvirt.Backing || p.extensions(l).DataFile && p.does(libvirt.RefusesProbedDataFile)) {
		return p.unspecified(overlay, ref)
	}
	if err := p.opens(layer, l); err != nil || h == nil {
		return err
	}
	s := chain.ProbeCheck{Name: what, Size: l.Size, Format: layer.Format, Record: storage.Record{Disputed: ref.Format, Meant: w.meant()}, OverlaySize: p.sizeOf(overlay), HasOverlay: true}
	refs := chain.References(h)
	switch contradictions := s.ExceptName(); {
	case refs != nil && l.Libvirt.Backing:
		p.misopens("libvirt probes " + what + " and follows it to " + refs.What + ", named by an image whose format nobody recorded")
	case refs != nil && h.Backing != nil:
		p.backingNotSeen(layer, l)
	case refs != nil && refs.Code != finding.Differencing:
		p.misopens("libvirt probes " + what + ", and QEMU opens " + refs.What + ", named by an image whose format nobody recorded")
	case len(l.Formats()) > 1:
		p.misopens(what + ", whose format nobody recorded, has the signatures of " + image.FormatList(l.Formats()) + "; libvirt chooses " + string(layer.Format))
	case len(contradictions) > 0:
		p.misopens("libvirt probes, and " + contradictions[0].Text + ": the guest does not see the bytes of the file")
	}
	return nil
}

// sizeOf returns the virtual size of an overlay that was read, in bytes.
func (p *predictor) sizeOf(overlay chain.Layer) uint64 {
	if l, err := p.image(overlay, overlay.HeaderFormat()); err == nil && l.Header != nil {
		return l.Header.VirtualSize
	}
	return 0
}

// raw checks an image that libvirt detected and passes to QEMU as raw. If it
// is LUKS version 1, libvirt finds an encryption for which it has no secret
// (libvirt 9.0).
func (p *predictor) raw(layer chain.Layer, l *image.View) error {
	if l.SignaturesErr != nil {
		return p.unread(layer, l.SignaturesErr)
	}
	for _, s := range l.Signatures {
		if s.Format == probe.LUKS && s.QEMU {
			return p.noSecret()
		}
	}
	return nil
}

// warnRawLooksLike reports an image that is opened as raw without a statement
// and looks like another format. shown is the number of its bytes that the
// overlay shows: a fixed VHD is raw except for the footer.
func (p *predictor) warnRawLooksLike(layer chain.Layer, l *image.View, w recordedFormat, shown uint64) {
	what := storage.Describe(layer.Source)
	marks := l.Containers()
	if l.IsFixedVHD() && uint64(max(l.Size-vhdFooter, 0)) >= shown {
		return
	}
	switch {
	case w.meant() == probe.Raw:
	case len(marks) > 0:
		p.misopens(what + ", whose format is not recorded in a way that libvirt understands, is opened as raw, but has the signature of " +
			image.FormatList(marks) + ": the guest sees the bytes of the container file")
	case w.meant() != "":
		p.misopens(what + " is opened as raw, but its overlay records a name of " + string(w.meant()))
	}
}

const vhdFooter = 512 // bytes

// seenBefore refuses a chain that contains an image twice.
func (p *predictor) seenBefore(layer chain.Layer, l *image.View) error {
	for _, id := range p.ids {
		if id == l.ID {
			return p.libvirt(p.tooDeep(layer))
		}
	}
	p.ids = append(p.ids, l.ID)
	return nil
}

// startOfFile reports whether the header of an image is where libvirt looks:
// at the start of the file or device, even for a slice. If not, libvirt tells
// QEMU that the image has no backing image.
func (p *predictor) startOfFile(layer chain.Layer, l *image.View) (bool, error) {
	if headerAtStart(layer) {
		return true, nil
	}
	whole := *layer.At()
	whole.Slices = nil
	start, err := p.Look(p.ctx, &whole, layer.Format)
	switch {
	case err != nil:
		return false, p.unread(layer, err)
	case start.Header != nil && (start.Header.Backing != nil || start.Header.DataFile != nil):
		p.misopens("libvirt reads the header at the start of the whole file, not of the slice of " + storage.Describe(layer.Source) + ", and follows the backing image in it")
	case l.Header.Backing != nil:
		p.misopens("libvirt looks for the header of " + storage.Describe(layer.Source) +
			" at the start of the whole file, and so passes no backing image to QEMU: the guest sees zeros instead of its data")
	}
	return false, nil
}

// headerAtStart reports whether an image begins at the start of its file or
// device.
func headerAtStart(layer chain.Layer) bool {
	part, ok := storage.SliceOf(layer.At())
	return !ok || part.Offset == 0
}

// deviceDriver refuses a file that a json: name opens with a device driver.
// For other names libvirt checks which of the two they refer to.
func (p *predictor) deviceDriver(layer chain.Layer, l *image.View) error {
	if layer.Source.Block == nil || l.ID.File.Block {
		return nil
	}
	return p.qemu("QEMU refuses " + storage.Describe(layer.Source) + ": the driver 'host_device' does not open a regular file")
}

// tooDeep is libvirt's refusal of a chain that contains an image twice.
func (p *predictor) tooDeep(layer chain.Layer) string {
	words := "backing store for " + storage.Describe(layer.Source) + " is self-referential"
	if p.does(libvirt.CountsLayers) {
		words += " or too deeply nested"
	}
	return words
}

// noSecret is libvirt's refusal of a detected LUKS image.
func (p *predictor) noSecret() error {
	if p.does(libvirt.HasEngines) {
		return p.libvirt("Unexpected enum value 0 for virStorageEncryptionEngine")
	}
	return p.commandLine("missing secret info for 'luks' driver")
}
