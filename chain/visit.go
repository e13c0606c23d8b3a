package chain

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/probe"
)

// visit opens a layer, settles its format and reads its header. It reports
// whether the walk may go on.
func (k *walk) visit(layer Layer, rec record) bool {
	depth := len(k.chain.Layers)
	k.chain.Layers = append(k.chain.Layers, layer)
	path, local := LocalPath(layer.Source)
	if !local {
		return k.unverifiable(ChainUnverified, Describe(layer.Source)+" is no local file: it is not read", "")
	}
	if !strings.HasPrefix(path, "/") {
		k.refuse(SourceRelative, strconv.Quote(path)+" is a relative path, which QEMU reads from its own working directory",
			"name the image absolutely in the XML")
		return false
	}

	if layer.From == Unstated {
		if f, ok := k.trusted(path, layer.Source); ok {
			layer.Format, layer.From = f, Trust
			k.incomplete = true
		}
	}
	l, err := k.look(k.ctx, layer.Source, layer.header())
	if err != nil {
		return k.unopened(layer, err)
	}
	for i, id := range k.ids {
		if id == l.id {
			k.refuse(ChainLoop, strconv.Quote(path)+" is the same image as layer "+strconv.Itoa(i)+", "+
				Describe(k.chain.Layers[i].Source), "give the overlay its real backing image: qemu-img rebase -u")
			return false
		}
	}
	k.ids = append(k.ids, l.id)
	layer.Source = k.withType(layer, l.id.Block)

	switch layer.From {
	case Unstated:
		if depth == 0 {
			layer = k.assumeRaw(layer, l)
		} else {
			layer = k.judge(layer, l, rec)
		}
	case XML, Header:
		if f, ok := k.trusted(path, layer.Source); ok && f != layer.Format {
			k.refuse(TrustConflict, strconv.Quote(path)+" is stated to be "+string(f)+" by --trust, but "+
				map[Origin]string{XML: "the XML", Header: "its overlay"}[layer.From]+" says "+string(layer.Format),
				"drop the statement, or mend the one that is wrong")
		}
	}
	layer.Header = l.header
	k.chain.Layers[depth] = layer
	if k.refused() {
		return false
	}
	if layer.header() != probe.Raw {
		return k.readable(layer, l.headerErr) && k.expressible(layer)
	}
	if depth > 0 {
		k.noteMarks(layer, l)
	}
	return true
}

// withType gives a source that a header named the type that libvirt would give
// it, and reports one that the XML names with a type QEMU will refuse.
func (k *walk) withType(layer Layer, block bool) *libvirtxml.DomainDiskSource {
	path, _ := LocalPath(layer.Source)
	depth := len(k.chain.Layers) - 1
	if depth >= len(k.stated.Layers) || layer.Source != k.stated.Layers[depth].Source {
		return localSource(path, block)
	}
	if (layer.Source.Block != nil) != block {
		is := map[bool]string{true: "a block device", false: "a regular file"}[block]
		k.find(SourceType, Warn, strconv.Quote(path)+" is "+is+", but the XML has it as a source of another type, which QEMU refuses to open",
			"change the type in the XML")
	}
	return layer.Source
}

// unopened deals with a layer that could not be opened. An explicit chain that
// ends is left alone: nobody will guess anything, and here it cannot be told
// whether it is right.
func (k *walk) unopened(layer Layer, err error) bool {
	what := Describe(layer.Source)
	switch {
	case errors.Is(err, ErrNotImage), errors.Is(err, ErrNotReadable):
		k.refuse(NotAnImage, what+" is "+ErrNotImage.Error(), "")
		return false
	case errors.Is(err, fs.ErrNotExist):
		return k.unverifiable(ImageMissing, what+" does not exist", "bring the image back, or name the right one in the overlay: qemu-img rebase -u")
	}
	return k.unverifiable(ImageUnreadable, what+" cannot be read: "+strconv.Quote(reason(err)), "run chainfix as a user who may read the image")
}

func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// unverifiable ends the walk at a layer that cannot be read: with a warning if
// the XML states the whole rest of the chain, else with a refusal.
func (k *walk) unverifiable(code Code, text, hint string) bool {
	if k.strayed || !k.stated.Terminated {
		if code == ChainUnverified {
			code = SourceNotLocal
		}
		k.refuse(code, text, hint)
		return false
	}
	k.find(code, Warn, text+"; the rest of the explicit chain is taken as it is", hint)
	k.chain.Layers = append(k.chain.Layers, k.stated.Layers[len(k.chain.Layers):]...)
	return false
}

// readable turns what was wrong with a header into a finding.
func (k *walk) readable(layer Layer, err error) bool {
	if err == nil {
		return true
	}
	path, _ := LocalPath(layer.Source)
	name, f := strconv.Quote(path), string(layer.header())
	stated := " is stated to be " + f + " by " + map[Origin]string{XML: "the XML", Header: "its overlay", Trust: "--trust"}[layer.From]
	if layer.From == Probe {
		stated = " bears the signature of " + f
	}
	switch {
	case errors.Is(err, probe.ErrSignature) && layer.From != Probe:
		k.refuse(FormatMismatch, name+stated+", but its header is not", "look at it: chainfix probe "+shellWord(path))
	case isProbeError(err):
		k.refuse(ImageBroken, name+stated+", but its header cannot be used: "+err.Error(), "look at it: qemu-img check -f "+f+" "+shellWord(path))
	default:
		k.refuse(ImageUnreadable, name+" cannot be read: "+strconv.Quote(reason(err)), "")
	}
	return false
}

func isProbeError(err error) bool {
	var p *probe.Error
	return errors.As(err, &p)
}
