package chain

import (
	"errors"
	"io/fs"
	"strconv"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/probe"
)

// explicit deals with the images that the XML states, which libvirt hands to
// QEMU as they are. It returns the last one, open, if libvirt goes on from there
// by itself; the zero Layer if the chain ends.
func (p *predictor) explicit() (last Layer, l *headerView, err error) {
	var written imageID // by the guest
	for i, layer := range p.layers {
		p.layer = i
		further := p.layers[i+1:]
		layer, l, err := p.stands(layer)
		postponed, err := p.postpone(err)
		if err != nil {
			return Layer{}, nil, err
		}
		if i > 0 && l != nil && l.id == written && !p.stated.ReadOnly {
			if _, err := p.postpone(p.qemu("QEMU refuses " + Describe(layer.Source) + " below itself: it has a lock on what the guest writes to")); err != nil {
				return Layer{}, nil, err
			}
		}
		if layer.Source.Dir != nil || !layer.Format.CanHaveBacking() {
			return Layer{}, nil, p.leaf(layer, l, further)
		}
		goesOn := len(further) > 0 || p.stated.Inexpressible != ""
		walks := !goesOn && !p.terminated
		switch {
		case l == nil && walks && postponed:
			return Layer{}, nil, nil
		case l == nil && walks:
			return Layer{}, nil, p.unseen(layer)
		case l != nil && l.header == nil && walks:
			return Layer{}, nil, nil
		case l == nil || l.header == nil:
			continue
		}
		if _, err := p.postpone(p.holds(layer, l.header, walks)); err != nil {
			return Layer{}, nil, err
		}
		if i == 0 {
			written = l.id
		}
		switch {
		case len(further) > 0:
			p.compares(layer, l.header, further[0])
		case walks:
			return layer, l, nil
		case !goesOn && l.header.Backing != nil:
			p.misopens("the XML ends the chain at " + Describe(layer.Source) + ", whose header names the backing image " +
				strconv.Quote(printable(l.header.Backing.Name)) + ": the guest sees zeros where that has data")
		}
	}
	return Layer{}, nil, nil
}

// stands opens an image that the XML states and checks what QEMU checks. The
// look is nil where the image is not read: QEMU is taken to open it then.
func (p *predictor) stands(layer Layer) (Layer, *headerView, error) {
	if located, err := p.locate(layer); err == nil {
		layer = located
	}
	_, local := layer.local()
	claim := layer.header()
	if layer.From == Unstated {
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
	if l.id.file.Block != (layer.at().Block != nil) && local {
		is, driver := "a regular file", "host_device"
		if l.id.file.Block {
			is, driver = "a block device", "file"
		}
		return layer, l, p.qemu("QEMU refuses " + Describe(layer.Source) + ": the driver '" + driver + "' does not open " + is)
	}
	return layer, l, p.opens(layer, l)
}

// leaf deals with a stated image that has nothing below it. What the XML goes
// on to all the same libvirt 9.0 refuses.
func (p *predictor) leaf(layer Layer, l *headerView, further []Layer) error {
	if len(further) > 0 && !(p.does(libvirt.DropsBelowRaw) && layer.Format == probe.Raw) {
		if p.layer > 0 {
			if err := p.mustExist(further); err != nil {
				return err
			}
		}
		return p.commandLine("storage format '" + layer.Format.LibvirtName() + "' does not support backing store")
	}
	if l == nil || l.header == nil {
		return nil
	}
	return p.holds(layer, l.header, false)
}

// mustExist checks what the XML states below an image that can have no backing
// image. Before libvirt refuses that it has looked for all of them, unless the
// image is the disk's own (libvirt 9.0).
func (p *predictor) mustExist(further []Layer) error {
	at := p.layer
	for i, layer := range further {
		if p.terminated && i == len(further)-1 {
			break
		}
		p.layer = at + 1 + i
		if located, err := p.locate(layer); err == nil {
			layer = located
		}
		if _, local := layer.local(); !local {
			continue
		}
		if _, err := p.Opener().Identify(p.ctx, layer.at()); errors.Is(err, fs.ErrNotExist) {
			return p.missing(layer)
		}
	}
	p.layer = at
	return nil
}

// assumedRaw deals with a disk without a <driver type>, which libvirt takes as
// raw (9.0).
func (p *predictor) assumedRaw(layer Layer, l *headerView) error {
	if l.signaturesErr != nil {
		return p.unread(layer, l.signaturesErr)
	}
	if marks := l.containers(); len(marks) > 0 {
		p.misopens("no <driver type> is stated for " + Describe(layer.Source) + ", so that libvirt takes it as raw, but it bears the signature of " +
			list(marks) + ": the guest sees the bytes of the container")
	}
	return nil
}

// containers are the formats whose mark an image bears and which hold something
// else than the bytes that are there. Of LUKS that cannot be said: a guest
// encrypts its disk with it.
func (s *imageInfo) containers() []probe.Format {
	var marks []probe.Format
	for _, f := range s.distinct() {
		for _, mark := range s.signatures {
			// VHD and DMG may have their mark at the end only, where neither
			// program looks for it.
			if mark.Format == f && f != probe.LUKS && (mark.QEMU || f == probe.VPC || f == probe.DMG) {
				marks = append(marks, f)
				break
			}
		}
	}
	return marks
}

// compares holds the next image of the XML against the header of its overlay,
// which neither libvirt nor QEMU does: the XML wins.
func (p *predictor) compares(overlay Layer, h *probe.Header, next Layer) {
	next, _ = p.locate(next)
	text := "the XML goes on from " + Describe(overlay.Source) + " to " + Describe(next.Source) + ", but "
	if h.Backing == nil {
		p.misopens(text + "its header names no backing image: the guest sees that one's bytes where it has none itself")
		return
	}
	if rec := p.borneOut(p.ctx, readRecord(h.Backing), next); rec.format != "" && next.From == XML && rec.format != next.Format {
		p.misopens(text + "as " + string(next.Format) + ", where its header records " + string(rec.format))
		return
	}
	path, ok := LocalPath(next.at())
	named, here := p.path(overlay, h.Backing.Name)
	if !ok || !here || path == named {
		return
	}
	xmls, err := p.Opener().Identify(p.ctx, next.at())
	if err != nil {
		return // comes next
	}
	if headers, err := p.Opener().Identify(p.ctx, localSource(named, false)); err == nil && headers != xmls {
		p.misopens(text + "its header to " + strconv.Quote(named) + ", and both are there")
	}
}
