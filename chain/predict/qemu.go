package predict

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// image opens the image of a layer. A missing image, or a file that is not an
// image, is a refusal; one that cannot be read here is [ErrUnseen].
func (p *predictor) image(layer chain.Layer, claim probe.Format) (*image.View, error) {
	what := storage.Describe(layer.Source)
	if name, local := layer.LocalPath(); local && !strings.HasPrefix(name, "/") {
		return nil, p.qemu("QEMU looks for " + what + " in its own working directory")
	}
	l, err := p.Look(p.ctx, layer.At(), claim)
	var beyond *storage.SliceError
	switch {
	case err == nil:
		return l, nil
	case errors.As(err, &beyond):
		return nil, p.qemu("QEMU refuses " + what + ": " + beyond.Error())
	case errors.Is(err, storage.ErrNotImage):
		return nil, p.notImage(layer)
	case errors.Is(err, fs.ErrNotExist):
		return nil, p.missing(layer)
	}
	return nil, p.unread(layer, err)
}

// notImage is the refusal of a name that is neither a file nor a block device.
// If libvirt reads a header, it fails for a directory and a socket, reads a
// character device like an image and leaves it to QEMU, as it does everything
// that it does not read, and waits for ever on a FIFO (libvirt 9.0).
func (p *predictor) notImage(layer chain.Layer) error {
	words := storage.Describe(layer.Source) + " is " + storage.ErrNotImage.Error() + ": libvirt or QEMU refuses it, or waits for ever if it is a FIFO"
	_, err := p.Identify(p.ctx, layer.At())
	if format := layer.HeaderFormat(); errors.Is(err, storage.ErrCharacterDevice) && (format == probe.Raw || format == "") && !p.does(libvirt.RefusesCharacterDevices) {
		words = "QEMU " + p.target.QEMU.String() + " opens " + storage.Describe(layer.Source) + ", a character device"
		if format == "" {
			p.misopens(words + ", though its format is not recorded")
		} else {
			p.remark(words)
		}
		return errNoMore
	}
	if stops := errors.Is(err, storage.ErrDirectory) || errors.Is(err, storage.ErrSocket); stops && p.reads(layer) {
		return p.libvirt(words)
	}
	return p.qemu(words)
}

// errNoMore ends a prediction with the result so far.
var errNoMore = errors.New("the rest cannot be predicted")

// reads reports whether libvirt reads the header of the current image: of the
// XML's images it reads only the last, if that does not end the chain and is
// not a top that cannot have a backing image.
func (p *predictor) reads(layer chain.Layer) bool {
	last := len(p.layers) - 1
	return p.layer > last || p.layer == last && !p.terminated && (p.layer > 0 || layer.Format.CanHaveBacking())
}

// missing is the refusal of a file that does not exist: by libvirt, or by QEMU
// for the last image of a complete explicit chain, with another message.
func (p *predictor) missing(layer chain.Layer) error {
	const none = ": No such file or directory"
	switch {
	case p.terminated && p.layer == len(p.layers)-1 && (p.layer > 0 || layer.Format.CanHaveBacking()) && !(p.layer == 0 && p.optional()):
		return p.qemu("Could not open " + storage.Describe(layer.Source) + none)
	case p.layer == 0:
		return p.libvirt("Cannot access storage file " + storage.Describe(layer.Source) + none)
	}
	return p.libvirt("Cannot access backing file " + storage.Describe(layer.Source) + " of storage file " + storage.Describe(p.start.Source) + none)
}

// unread is the error for an image that cannot be read here.
func (p *predictor) unread(layer chain.Layer, err error) error {
	return &unseenError{storage.Describe(layer.Source), err}
}

// unseen is the error for a kind of image that chainfix cannot read.
func (p *predictor) unseen(layer chain.Layer) error {
	_, err := p.Locate(p.ctx, layer)
	if err == nil {
		_, err = p.Look(p.ctx, layer.At(), layer.HeaderFormat())
	}
	return p.unread(layer, err)
}

// unseenError is [ErrUnseen] with its reason.
type unseenError struct {
	what string
	err  error
}

func (e *unseenError) Error() string {
	if e.err == nil {
		return ErrUnseen.Error() + ": " + e.what
	}
	return ErrUnseen.Error() + ": " + e.what + ": " + strconv.Quote(storage.Reason(e.err))
}

func (e *unseenError) Unwrap() []error { return []error{ErrUnseen, e.err} }

// opens checks what QEMU checks when it opens an image as the layer's format,
// as which l was read. If it returns no error and l has no header, QEMU
// misreads the image, and the rest cannot be predicted.
func (p *predictor) opens(layer chain.Layer, l *image.View) error {
	what, f, h := storage.Describe(layer.Source), layer.HeaderFormat(), l.Header
	refuses := func(why string) error {
		return p.qemu("QEMU refuses " + what + " as " + string(f) + ": " + why)
	}
	if f == probe.Raw {
		return nil
	}
	if f == probe.Parallels && !p.does(libvirt.HasParallels) {
		return refuses("Unknown driver 'parallels'")
	}
	var broken *probe.Error
	switch {
	case l.HeaderErr == nil:
	case !errors.As(l.HeaderErr, &broken):
		return p.unread(layer, l.HeaderErr)
	case l.CutShort:
		p.misopens(what + " is truncated, and QEMU reads zeros after its end: " + broken.Error())
		return nil
	case broken.Tolerated:
		p.misopens("QEMU opens " + what + " although its header is broken; other programs may read it differently: " + broken.Error())
		return nil
	default:
		return refuses(broken.Error())
	}
	if h.Zstd && !p.does(libvirt.HasZstd) {
		return refuses("Unknown compression type: zstd")
	}
	secret := layer.Source.Encryption != nil
	writes := p.layer == 0 && !p.stated.ReadOnly
	switch {
	case h.Encryption == probe.AES && p.layer >= len(p.layers):
		return p.libvirt("old qcow/qcow2 encryption is not supported")
	case h.Encryption == probe.AES:
		return refuses("it has the old AES encryption")
	case h.Encryption != probe.Plain && !secret && p.layer >= len(p.layers):
		return p.noSecret()
	case h.Encryption != probe.Plain && !secret:
		return refuses("it is encrypted, and the XML has no secret for it")
	case h.Encryption == probe.Plain && secret:
		return refuses("it is not encrypted, but the XML has a secret for it")
	case h.Parent != nil && f != probe.VPC:
		return refuses("it is a differencing image")
	case h.Parent != nil:
		p.misopens("QEMU does not know that " + what + " is a differencing image: the guest sees zeros instead of its parent's data")
	case h.Corrupt && writes:
		return refuses("it is marked corrupt and cannot be opened for writing")
	case h.Dirty && f == probe.VHDX && !writes:
		return refuses("its log has to be replayed, which needs it to be opened for writing")
	case writes && f.ReadOnly():
		return refuses("QEMU only reads this format")
	case writes && f == probe.VMDK && h.Version == 3 && h.Subformat != "streamOptimized":
		return refuses("QEMU only reads version 3")
	}
	return nil
}

// follow predicts what QEMU does with an overlay if libvirt passes nothing
// about its backing image: it follows the headers, and guesses unrecorded
// formats.
func (p *predictor) follow(overlay chain.Layer, h *probe.Header) error {
	for h != nil && h.Backing != nil {
		named, overlaySize := strconv.Quote(storage.Printable(h.Backing.Name)), h.VirtualSize
		rec := storage.ReadRecord(h.Backing)
		if p.layer+1 == chain.MaxLayers {
			return p.qemu("QEMU follows the chain until it runs out of files that it may open")
		}
		p.layer++
		known, guessed, err := p.qemusFormat(overlay, h.Backing, rec)
		if err != nil {
			return err
		}
		file, ok := p.path(overlay, h.Backing.Name)
		if !ok {
			words := "QEMU opens " + named + " because the header of " + storage.Describe(overlay.Source) + " names it; libvirt leaves that chain to QEMU"
			if guessed {
				p.misopens(words + ", and guesses its format")
			} else {
				p.remark(words)
			}
			return nil
		}
		layer := chain.Layer{Source: storage.LocalSource(file, false), Format: known, From: chain.Header}
		l, err := p.imageAs(layer, known, rec)
		if err != nil {
			return err
		}
		if err := p.seenBefore(layer, l); err != nil {
			return err
		}
		h = l.Header
		if guessed {
			layer.Format = l.QEMUsChoice(file)
			p.guesses(layer.Format)
			if len(l.Formats()) > 1 && len(l.Containers()) > 0 {
				p.misopens(storage.Describe(layer.Source) + ", whose format nobody recorded, has the signatures of " + image.FormatList(l.Formats()) + "; QEMU chooses one")
				return nil
			}
			if layer.Format == probe.Raw {
				p.warnRawLooksLike(layer, l, recordedFormat{}, overlaySize)
				return nil
			}
			if layer.Format != l.Candidate() {
				// Only the name says dmg.
				if l, err = p.image(layer, layer.Format); err != nil {
					return err
				}
				h = l.Header
			}
			if refs := chain.References(h); refs != nil && refs.Code != finding.Differencing {
				p.misopens("QEMU guesses that " + storage.Describe(layer.Source) + " is " + string(layer.Format) + ", and opens " + refs.What)
				return nil
			}
		}
		if err := p.opens(layer, l); err != nil {
			return err
		}
		if h == nil {
			return nil
		}
		if err := p.checkDataFiles(layer, l, false); err != nil {
			return err
		}
		overlay = layer
	}
	return nil
}

// qemusFormat returns the format that QEMU reads in an overlay's header for
// its backing image; guessed says that it has none.
func (p *predictor) qemusFormat(overlay chain.Layer, ref *probe.Reference, rec storage.Record) (f probe.Format, guessed bool, err error) {
	switch {
	case !ref.FormatRecorded || ref.Format == "":
		return "", true, nil
	case rec.Format != "":
		return rec.Format, false, nil
	case storage.IsProtocolDriver(ref.Format):
		return probe.Raw, false, nil
	case probe.Format(ref.Format).HasDriver():
		return probe.Format(ref.Format), false, nil
	}
	return "", false, p.qemu("QEMU refuses the backing image of " + storage.Describe(overlay.Source) + ": Unknown driver " + strconv.Quote(ref.Format))
}

// imageAs opens an image with f as its recorded format. If chainfix treats the
// format as unrecorded, the image was opened without a format and is not
// opened again.
func (p *predictor) imageAs(layer chain.Layer, f probe.Format, rec storage.Record) (*image.View, error) {
	if rec.Format != "" {
		return p.image(layer, f)
	}
	l, err := p.image(layer, "")
	switch {
	case err != nil:
		return nil, err
	case l.SignaturesErr != nil:
		return nil, p.unread(layer, l.SignaturesErr)
	case f == "" || f == l.Candidate():
		return l, nil
	case l.Candidate() == "":
		return p.image(layer, f)
	}
	notThat := image.ParsedHeader{Claim: f, HeaderErr: &probe.Error{Format: f, Field: "magic", Offset: -1, Err: probe.ErrSignature}}
	return &image.View{Info: l.Info, ParsedHeader: notThat}, nil
}
