package predict

import (
	"errors"
	"io/fs"
	"strconv"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// explicit checks the images that the XML states, which libvirt passes to QEMU
// unchanged. It returns the last one and its view if libvirt detects the rest
// of the chain; the zero Layer if the chain ends.
func (p *predictor) explicit() (last chain.Layer, l *image.View, err error) {
	var written image.ID   // by the guest
	var rec storage.Record // of the overlay
	guess := false         // only a <backingStore> states the image's format
	for i, layer := range p.layers {
		p.layer = i
		further := p.layers[i+1:]
		layer, l, err := p.openStated(layer)
		guess = i > 0 && layer.From == chain.XML && (guess || rec.Format != layer.Format) && !p.statedElsewhere(layer, l)
		rec = storage.Record{}
		postponed, err := p.postpone(err)
		if err != nil {
			return chain.Layer{}, nil, err
		}
		if i > 0 && l != nil && l.ID == written && !p.stated.ReadOnly {
			if _, err := p.postpone(p.qemu("QEMU refuses " + storage.Describe(layer.Source) + " as its own backing image: it locks the image that the guest writes to")); err != nil {
				return chain.Layer{}, nil, err
			}
		}
		if layer.Source.Dir != nil || !layer.Format.CanHaveBacking() {
			return chain.Layer{}, nil, p.leaf(layer, l, further)
		}
		goesOn := len(further) > 0 || p.stated.Inexpressible != ""
		walks := !goesOn && !p.terminated
		switch {
		case l == nil && walks && postponed:
			return chain.Layer{}, nil, nil
		case l == nil && walks:
			return chain.Layer{}, nil, p.unseen(layer)
		case l != nil && l.Header == nil && walks:
			return chain.Layer{}, nil, nil
		case l == nil || l.Header == nil:
			continue
		}
		if guess {
			if err := p.hidden(layer, l.Header, further); err != nil {
				return chain.Layer{}, nil, err
			}
		}
		if _, err := p.postpone(p.checkDataFiles(layer, l, walks)); err != nil {
			return chain.Layer{}, nil, err
		}
		if i == 0 {
			written = l.ID
		}
		if len(further) > 0 && l.Header.Backing != nil {
			next, _ := p.Locate(p.ctx, further[0])
			if rec = p.ConfirmRecord(p.ctx, storage.ReadRecord(l.Header.Backing), next); p.anotherImage(layer, l.Header, next) {
				rec = storage.Record{}
			}
		}
		switch {
		case len(further) > 0:
			p.compares(layer, l.Header, further[0], rec)
		case walks:
			return layer, l, nil
		case !goesOn && l.Header.Backing != nil:
			p.misopens("the XML ends the chain at " + storage.Describe(layer.Source) + ", whose header names the backing image " +
				strconv.Quote(storage.Printable(l.Header.Backing.Name)) + ": the guest sees zeros instead of its data")
		}
	}
	return chain.Layer{}, nil, nil
}

// statedElsewhere reports whether another disk's <driver type> states the format
// of an image, as for a walk.
func (p *predictor) statedElsewhere(layer chain.Layer, l *image.View) bool {
	if l == nil {
		return false
	}
	layer.ID = l.ID.File
	return p.FactsOf(p.ctx, layer, chain.DiskName{Guest: p.stated.Guest, Target: p.stated.Target}).States(layer.Format)
}

// errOnlyXML says why a file that the result depends on is not touched.
var errOnlyXML = errors.New("it is named by an image whose format only a <backingStore> states")

// hidden ends the prediction if the result depends on a file in the header of
// an image that has its format only from the XML's <backingStore>. Like a
// walk, the prediction does not touch that file.
func (p *predictor) hidden(layer chain.Layer, h *probe.Header, further []chain.Layer) error {
	name := ""
	switch {
	case h.DataFile != nil:
		name = h.DataFile.Name
	case len(h.Extents) > 0:
		name = h.Extents[0].Name
	case h.Backing == nil, p.terminated && len(further) == 0, p.stated.Inexpressible != "" && len(further) == 0:
		return nil
	default:
		name = h.Backing.Name
		if len(further) > 0 {
			next, _ := p.Locate(p.ctx, further[0])
			stated, ok := storage.LocalPath(next.At())
			if headers, here := p.path(layer, name); !ok || !here || headers == stated {
				return nil
			}
		}
	}
	return &unseenError{strconv.Quote(storage.Printable(name)), errOnlyXML}
}

// openStated opens an image that the XML states and checks what QEMU checks.
// The view is nil if the image cannot be read here: QEMU is assumed to open it
// then.
func (p *predictor) openStated(layer chain.Layer) (chain.Layer, *image.View, error) {
	if located, err := p.Locate(p.ctx, layer); err == nil {
		layer = located
	}
	_, local := layer.LocalPath()
	if err := p.protocol(layer.At()); err != nil {
		return layer, nil, err
	}
	p.readsNamespace(layer)
	if part, ok := storage.SliceOf(layer.At()); ok && !p.does(libvirt.Slices) {
		p.misopens("the XML states a slice of a file, " + storage.Describe(layer.Source) + part.String() + ", but libvirt " + p.target.Libvirt.String() + " uses the whole file")
	}
	claim := layer.HeaderFormat()
	if layer.From == chain.Unstated {
		if layer.Source.Dir != nil {
			return layer, nil, nil
		}
		layer.Format = probe.Raw
	}
	if !local && !layer.Format.CanHaveBacking() || layer.Source.Volume != nil && layer.Located == nil {
		return layer, nil, nil
	}
	l, err := p.image(layer, claim)
	switch {
	case errors.Is(err, ErrUnseen):
		return layer, nil, p.ctx.Err()
	case err != nil:
		return layer, nil, err
	}
	if claim == "" {
		return layer, l, p.assumedRaw(layer, l)
	}
	if l.ID.File.Block != (layer.At().Block != nil) && local {
		is, driver := "a regular file", "host_device"
		if l.ID.File.Block {
			is, driver = "a block device", "file"
		}
		return layer, l, p.qemu("QEMU refuses " + storage.Describe(layer.Source) + ": the driver '" + driver + "' does not open " + is)
	}
	return layer, l, p.opens(layer, l)
}

// leaf checks a stated image that cannot have a backing image. If the XML
// states one anyway, libvirt 9.0 refuses it; newer ones make QEMU open it.
func (p *predictor) leaf(layer chain.Layer, l *image.View, further []chain.Layer) error {
	if len(further) > 0 {
		if p.layer > 0 {
			if err := p.checkExistence(further); err != nil {
				return err
			}
		}
		if !p.does(libvirt.DropsBelowRaw) || layer.Format != probe.Raw {
			return p.commandLine("storage format '" + layer.Format.LibvirtName() + "' does not support backing store")
		}
		for i, layer := range further {
			if located, err := p.Locate(p.ctx, layer); err == nil {
				layer = located
			}
			if _, err := p.Identify(p.ctx, layer.At()); errors.Is(err, fs.ErrNotExist) {
				p.layer += 1 + i
				return p.qemu("Could not open " + storage.Describe(layer.Source) + ": No such file or directory")
			}
		}
	}
	if p.layer > 0 && !p.terminated && len(further) == 0 && layer.Format == probe.Raw && layer.Source.Encryption == nil && l != nil && !p.does(libvirt.HasEngines) {
		// libvirt reads the header and finds the encryption.
		return p.raw(layer, l)
	}
	if l == nil || l.Header == nil {
		return nil
	}
	return p.checkDataFiles(layer, l, false)
}

// checkExistence checks the backing images that the XML states for an image
// that cannot have one. libvirt checks that they all exist before it refuses
// them, unless the image is the disk's own (libvirt 9.0).
func (p *predictor) checkExistence(further []chain.Layer) error {
	at := p.layer
	for i, layer := range further {
		if p.terminated && i == len(further)-1 {
			break
		}
		p.layer = at + 1 + i
		if located, err := p.Locate(p.ctx, layer); err == nil {
			layer = located
		}
		if _, local := layer.LocalPath(); !local {
			continue
		}
		if _, err := p.Identify(p.ctx, layer.At()); errors.Is(err, fs.ErrNotExist) {
			return p.missing(layer)
		}
	}
	p.layer = at
	return nil
}

// assumedRaw checks a disk without a <driver type>, which libvirt opens as raw
// (libvirt 9.0).
func (p *predictor) assumedRaw(layer chain.Layer, l *image.View) error {
	if l.SignaturesErr != nil {
		return p.unread(layer, l.SignaturesErr)
	}
	if marks := l.Containers(); len(marks) > 0 {
		p.misopens("no <driver type> is stated for " + storage.Describe(layer.Source) + ", so libvirt opens it as raw, but it has the signature of " +
			image.FormatList(marks) + ": the guest sees the bytes of the container file")
	}
	return nil
}

// compares compares the next image of the XML with the header of its overlay,
// which neither libvirt nor QEMU does: the XML wins. rec is what the header
// records about it.
func (p *predictor) compares(overlay chain.Layer, h *probe.Header, next chain.Layer, rec storage.Record) {
	next, _ = p.Locate(p.ctx, next)
	text := "the XML names " + storage.Describe(next.Source) + " as the backing image of " + storage.Describe(overlay.Source) + ", but "
	if h.Backing == nil {
		p.misopens(text + "its header names no backing image: the guest sees the bytes of the backing image where the overlay has no data")
		return
	}
	switch {
	case rec.Format != "" && next.From == chain.XML && rec.Format != next.Format:
		p.misopens(text + "as " + string(next.Format) + ", while its header records " + string(rec.Format))
	case p.anotherImage(overlay, h, next):
		named, _ := p.path(overlay, h.Backing.Name)
		p.misopens(text + "its header names " + strconv.Quote(named) + ", and both exist")
	}
}

// anotherImage reports whether a header names another image than the XML does,
// and both exist.
func (p *predictor) anotherImage(overlay chain.Layer, h *probe.Header, next chain.Layer) bool {
	path, ok := storage.LocalPath(next.At())
	named, here := p.path(overlay, h.Backing.Name)
	if !ok || !here || path == named {
		return false
	}
	statedID, err := p.Identify(p.ctx, next.At())
	if err != nil {
		return false // comes next
	}
	namedID, err := p.Identify(p.ctx, storage.LocalSource(named, false))
	return err == nil && namedID != statedID
}
