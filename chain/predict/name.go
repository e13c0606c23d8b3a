package predict

import (
	"errors"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// path returns the path of a file in an overlay's header.
func (p *predictor) path(overlay chain.Layer, name string) (path string, ok bool) {
	src, err := p.named(overlay, name)
	if err != nil {
		return "", false
	}
	return storage.LocalPath(src)
}

// named returns the source that libvirt makes from a name in an overlay's
// header. A file name may contain any bytes, even those that XML cannot
// express.
func (p *predictor) named(overlay chain.Layer, name string) (*libvirtxml.DomainDiskSource, error) {
	if storage.LooksLikeFile(name) && strings.HasPrefix(name, "/") {
		return storage.LocalSource(name, false), nil
	}
	if above, local := overlay.LocalPath(); storage.LooksLikeFile(name) && local && strings.HasPrefix(above, "/") {
		return storage.LocalSource(storage.Directory(above)+name, false), nil
	}
	return storage.ParseBacking(name, overlay.At())
}

// unparsable handles a name that [storage.ParseBacking] refuses, because
// libvirt refuses it too or opens something else than the name says.
func (p *predictor) unparsable(overlay chain.Layer, ref *probe.Reference, w recordedFormat, err error) error {
	what := storage.Describe(overlay.Source) + " names its backing image "
	switch {
	case errors.Is(err, storage.ErrNoDirectory):
		return p.unread(overlay, err)
	case p.nothingIn(err):
		return p.libvirt("libvirt cannot parse the name: " + what + err.Error())
	case errors.Is(err, storage.ErrCredentials) && opensWithCredentials(ref.Name):
		words := "libvirt leaves to QEMU the backing chain of " + storage.Describe(overlay.Source) + ", because the name " + strconv.Quote(storage.Printable(ref.Name)) + " contains credentials"
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
	case errors.Is(err, storage.ErrDisputed), oddJSON(err):
		p.misopens(what + err.Error())
	case namesNamespace(ref.Name) && !p.keepsNamespace(ref.Name):
		p.misopens(what + p.wrongNamespace(ref.Name))
	default:
		p.assumesRaw(w)
		p.remark("libvirt drops a part of the name: " + what + err.Error())
	}
	return nil
}

// assumesRaw records the guess of a libvirt that opens an image with an
// unrecorded format as raw.
func (p *predictor) assumesRaw(w recordedFormat) {
	if w.format == "" {
		p.guesses(probe.Raw)
	}
}

// nothingIn reports whether libvirt refuses a name for which
// [storage.ParseBacking] returned err.
func (p *predictor) nothingIn(err error) bool {
	if oddJSON(err) && p.does(libvirt.TakesOddJSON) {
		return false
	}
	return errors.Is(err, storage.ErrBacking) || errors.Is(err, storage.ErrNoPool) || errors.Is(err, storage.ErrRelative) || errors.Is(err, storage.ErrDuplicate)
}

// oddJSON reports whether err is about JSON that some libraries refuse.
func oddJSON(err error) bool {
	return errors.Is(err, storage.ErrDuplicateKey) || errors.Is(err, storage.ErrNotANumber)
}

// opensWithCredentials reports whether libvirt leaves a chain to QEMU because
// of a user in a name: in a URI, and in iscsi JSON. It drops others (libvirt
// 9.0).
func opensWithCredentials(name string) bool {
	if text, ok := strings.CutPrefix(name, "json:"); ok {
		return strings.Contains(text, `"iscsi"`)
	}
	return strings.Contains(name, "://")
}

// onNetwork handles a backing image that is not a local file.
func (p *predictor) onNetwork(overlay chain.Layer, ref *probe.Reference, w recordedFormat, src *libvirtxml.DomainDiskSource) error {
	switch {
	case w.refusal != "":
		return p.libvirt(w.refusal)
	case w.format == "" && !w.safe && !p.does(libvirt.UnrecordedIsRaw):
		return p.unspecified(overlay, ref)
	case w.format == "" && w.safe:
		return p.commandLine("mishandled storage format '(null)'")
	case src.Dir != nil:
		return p.libvirt("storage type 'dir' requires use of storage format 'fat'")
	}
	if err := p.protocol(src); err != nil {
		return err
	}
	p.assumesRaw(w)
	if namesNamespace(ref.Name) && !p.keepsNamespace(ref.Name) {
		p.misopens(storage.Describe(overlay.Source) + " names its backing image " + p.wrongNamespace(ref.Name))
		return nil
	}
	if !w.format.CanHaveBacking() {
		return nil // assume that it exists
	}
	p.nests(p.layer+1, w.format)
	// libvirt leaves its backing chain to QEMU.
	layer := chain.Layer{Source: src, Format: w.format, From: chain.Header}
	l, err := p.image(layer, w.format)
	if err != nil {
		return err
	}
	if err := p.opens(layer, l); err != nil {
		return err
	}
	return afterwards(p.follow(layer, l.Header))
}
