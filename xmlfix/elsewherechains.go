package xmlfix

import (
	"context"
	"fmt"
	"strconv"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// PlacedFinding is a [finding.Finding] with its place in the document.
type PlacedFinding struct {
	finding.Finding
	Pos Position
}

// lostChains warns of images outside of the disks whose chain, or whose content, is lost:
// firmware, its variables, a kernel, an initial RAM disk, the state of a TPM. What such
// an image names is not looked at. One that is not there, or cannot be read, may be
// made when the guest starts, or be on another host; nothing is said of it. The error
// is for a context that has ended.
func (d *Document) lostChains(ctx context.Context, w *chain.Walker) ([]PlacedFinding, error) {
	var all []PlacedFinding
	for _, e := range d.elsewhere {
		src, ok := e.source()
		if !ok {
			continue
		}
		f, found := e.lostChain(ctx, w, src)
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if found {
			all = append(all, PlacedFinding{f, e.pos})
		}
	}
	return all, nil
}

// lostChain is what [Document.lostChains] says of one image.
func (e *elsewhere) lostChain(ctx context.Context, w *chain.Walker, src *libvirtxml.DomainDiskSource) (f finding.Finding, found bool) {
	how, claim := e.opened(w.Policy.Target), probe.Format("")
	switch how {
	case notKnown:
		return f, false
	case withoutChain, withoutFormat:
		claim = probe.Qcow2
	}
	view, err := w.Look(ctx, src, claim)
	if err != nil || view.Header == nil || view.Header.Backing == nil && how != withoutFormat {
		return f, false
	}
	path, _ := storage.LocalPath(src)
	image, below := storage.Describe(src), ""
	if view.Header.Backing != nil {
		below = strconv.Quote(storage.Printable(view.Header.Backing.Name))
	}
	f = finding.Finding{Code: finding.ChainElsewhere, Severity: finding.Warn, Layer: finding.WholeDisk,
		Remedy: finding.Say("name an image there that has the whole content in it; %s shows what this one claims", finding.Command("chainfix probe "+finding.ShellWord(path)))}
	switch how {
	case withoutFormat:
		f.Text = fmt.Sprintf("libvirt %s takes no format in <%s>, and opens %s as raw: the guest sees a %s image in the place of what is in it", w.Policy.Target, e.place, image, claim)
		f.Remedy = finding.Say("name a raw image there, or upgrade libvirt first: %s and newer take the format", libvirt.FirmwareFormats.Since)
	case withoutChain:
		f.Text = fmt.Sprintf("%s in <%s> names %s as its backing image, but libvirt tells QEMU that it has none: the guest sees zeros in its place", image, e.place, below)
	case asItIs:
		f.Text = fmt.Sprintf("%s in <%s> is read byte by byte: what is read is a %s image over %s, and nothing of what is in them", image, e.place, view.Claim, below)
	}
	return f, true
}

// opening is how libvirt opens an image outside of the disks.
type opening int

const (
	notKnown      opening = iota
	asItIs                // every byte
	withoutChain          // as qcow2, with nothing below it
	withoutFormat         // every byte, although the XML states that it is qcow2
)

// opened says how libvirt opens the image. Where no format is stated for firmware or its
// variables, a libvirt that takes one may choose it, by the firmware that it knows or by
// a look at the device; then that is not known.
func (e *elsewhere) opened(target libvirt.Version) opening {
	old := target.Known() && !libvirt.FirmwareFormats.Holds(target)
	switch {
	case e.place == tpmPlace && target.Known() && !libvirt.TPMSources.Holds(target):
		return notKnown // an older one ignores it
	case !e.isFirmware(), e.format == "raw", e.format == "" && old:
		return asItIs
	case e.format == "qcow2" && old:
		return withoutFormat
	case e.format == "qcow2":
		return withoutChain
	}
	return notKnown
}
