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

// PlacedFinding is a [finding.Finding] with its position in the document.
type PlacedFinding struct {
	finding.Finding
	Pos Position
}

// lostChains warns of images outside of the disks whose chain or content
// libvirt ignores: firmware, its variables, a kernel, an initial RAM disk, the
// state of a TPM. It does not touch the files that such an image names. An
// image that is missing or unreadable may be created when the guest starts, or
// be on another host; it gets no warning. The error is the cause of a context
// that has ended.
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

// lostChain returns the finding of [Document.lostChains] about one image.
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
		Remedy: finding.Say("use an image there that has the whole content; %s shows the header of this one", finding.Command("chainfix probe "+finding.ShellWord(path)))}
	switch how {
	case withoutFormat:
		f.Text = fmt.Sprintf("libvirt %s ignores the format in <%s>, and opens %s as raw: the guest sees the bytes of a %s file instead of its content", w.Policy.Target, e.place, image, claim)
		f.Remedy = finding.Say("use a raw image there, or upgrade libvirt first: %s and newer use the format", libvirt.FirmwareFormats.Since)
	case withoutChain:
		f.Text = fmt.Sprintf("%s in <%s> names %s as its backing image, but libvirt tells QEMU that it has none: the guest sees zeros instead of its data", image, e.place, below)
	case asItIs:
		f.Text = fmt.Sprintf("%s in <%s> is read byte by byte: the guest sees the bytes of a %s file with the backing image %s, not their content", image, e.place, view.Claim, below)
	}
	return f, true
}

// opening is how libvirt opens an image outside of the disks.
type opening int

const (
	notKnown      opening = iota
	asItIs                // every byte
	withoutChain          // as qcow2 without a backing image
	withoutFormat         // byte by byte, although the XML states that it is qcow2
)

// opened returns how libvirt opens the image. If no format is stated for
// firmware or its variables, a libvirt that supports formats may choose one,
// from its firmware descriptions or by probing the device; then the result is
// not known.
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
