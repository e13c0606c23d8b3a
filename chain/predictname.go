package chain

import (
	"errors"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/probe"
)

// path returns the path of a file that an overlay names.
func (p *predictor) path(overlay Layer, name string) (path string, ok bool) {
	src, err := p.named(overlay, name)
	if err != nil {
		return "", false
	}
	return LocalPath(src)
}

// named returns what libvirt makes of a name in the header of an overlay. Of a
// file's name it takes any bytes: they need not fit into an XML.
func (p *predictor) named(overlay Layer, name string) (*libvirtxml.DomainDiskSource, error) {
	if looksLikeFile(name) && strings.HasPrefix(name, "/") {
		return localSource(name, false), nil
	}
	if above, local := overlay.local(); looksLikeFile(name) && local && strings.HasPrefix(above, "/") {
		return localSource(directory(above)+name, false), nil
	}
	return ParseBacking(name, overlay.at())
}

// unnamed deals with a name that [ParseBacking] does not take, which is where
// libvirt does something else than the name says, or nothing.
func (p *predictor) unnamed(overlay Layer, ref *probe.Reference, w word, err error) error {
	what := Describe(overlay.Source) + " names its backing image "
	switch {
	case errors.Is(err, ErrNoDirectory):
		return p.unread(overlay, err)
	case errors.Is(err, ErrBacking), errors.Is(err, ErrNoPool), errors.Is(err, ErrRelative), errors.Is(err, ErrDuplicate):
		return p.libvirt("libvirt can make nothing of what " + what + err.Error())
	case errors.Is(err, ErrCredentials) && opensWithCredentials(ref.Name):
		words := "libvirt leaves to QEMU what is below " + Describe(overlay.Source) + ", because the name " + strconv.Quote(printable(ref.Name)) + " holds credentials"
		if ref.FormatRecorded && ref.Format != "" {
			p.remark(words)
		} else {
			p.misopens(words + ", and QEMU guesses the format")
		}
		return nil
	case w.refusal != "":
		return p.libvirt(w.refusal)
	case w.format == "" && !w.safe && !p.does(libvirt.UnrecordedIsRaw):
		return p.unspecified(overlay, ref)
	case errors.Is(err, ErrDisputed):
		p.misopens(what + err.Error())
	default:
		p.remark("libvirt drops a part of the name by which " + what + err.Error())
	}
	return nil
}

// opensWithCredentials reports whether libvirt leaves a chain to QEMU because
// of a user in a name: in a URI, and in JSON of iscsi alone. It drops others
// (9.0).
func opensWithCredentials(name string) bool {
	if text, ok := strings.CutPrefix(name, "json:"); ok {
		return strings.Contains(text, `"iscsi"`)
	}
	return strings.Contains(name, "://")
}

// elsewhere deals with an image that is no local file.
func (p *predictor) elsewhere(overlay Layer, ref *probe.Reference, w word, src *libvirtxml.DomainDiskSource) error {
	switch {
	case w.refusal != "":
		return p.libvirt(w.refusal)
	case w.format == "" && !w.safe && !p.does(libvirt.UnrecordedIsRaw):
		return p.unspecified(overlay, ref)
	case w.format == "" && w.safe:
		return p.commandLine("mishandled storage format '(null)'")
	case src.Dir != nil:
		return p.libvirt("storage type 'dir' requires use of storage format 'fat'")
	case !w.format.CanHaveBacking():
		return nil // it is taken to be there
	}
	// Libvirt leaves to QEMU what is below it.
	layer := Layer{Source: src, Format: w.format, From: Header}
	l, err := p.image(layer, w.format)
	if err != nil {
		return err
	}
	if err := p.opens(layer, l); err != nil {
		return err
	}
	return afterwards(p.follow(layer, l.header))
}
