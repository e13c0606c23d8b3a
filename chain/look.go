package chain

import (
	"context"
	"fmt"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/probe"
)

// maxLooks bounds what a Walker remembers, so that its memory does not grow
// with the number of documents.
const maxLooks = 1024

// look is what one opening of an image showed.
type look struct {
	id   imageID
	size int64

	// signatures are read where nobody stated a format or it is stated raw;
	// header where a format is stated, or a single signature speaks for one.
	signatures    []probe.Signature
	contents      []probe.Content
	signaturesErr error
	header        *probe.Header
	headerErr     error
}

// imageID tells two images apart: slices of one file are different images.
type imageID struct {
	file   FileID
	offset uint64
}

type lookKey struct {
	name  string
	slice slice
	claim probe.Format
}

// look opens a source once and reads it as claim, or, with claim "", as what it
// bears the signature of. Looks are remembered, failures too.
func (w *Walker) look(ctx context.Context, src *libvirtxml.DomainDiskSource, claim probe.Format) (*look, error) {
	name := Name(src)
	if name == "" {
		return nil, fmt.Errorf("open %s: %w", Describe(src), ErrNotReadable)
	}
	part, _ := sliceOf(src)
	key := lookKey{name, part, claim}
	if known, ok := w.looks[key]; ok {
		return known.look, known.err
	}
	l, err := w.open(ctx, src, claim)
	if w.looks == nil || len(w.looks) >= maxLooks {
		w.looks = make(map[lookKey]looked)
	}
	w.looks[key] = looked{l, err}
	return l, err
}

type looked struct {
	look *look
	err  error
}

func (w *Walker) open(ctx context.Context, src *libvirtxml.DomainDiskSource, claim probe.Format) (*look, error) {
	image, err := w.Opener.Open(ctx, src)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	part, ok := sliceOf(src)
	if ok {
		if image, err = part.cut(image); err != nil {
			return nil, err
		}
	}
	l := &look{id: imageID{image.ID(), part.offset}, size: image.Size()}
	r := &rememberingReader{r: image, size: l.size, head: w.head[:]}

	if claim == "" || claim == probe.Raw {
		if l.signatures, l.signaturesErr = probe.Signatures(r, l.size); l.signaturesErr == nil {
			l.contents, l.signaturesErr = probe.Contents(r, l.size)
		}
	}
	if claim == "" {
		if l.signaturesErr != nil {
			return l, nil
		}
		if claim = l.candidate(); claim == "" {
			return l, nil
		}
	}
	l.header, l.headerErr = probe.Read(r, l.size, claim)
	return l, nil
}

// candidate is the one format that the signatures allow; "" where there are
// several. It is raw where QEMU and libvirt both hand the image to the guest
// as raw: where neither looks for any mark that is there, and where the only
// one is an ISO file system's.
func (l *look) candidate() probe.Format {
	probed := false
	for _, s := range l.signatures {
		probed = probed || s.QEMU || s.Libvirt && s.Format != probe.ISO
	}
	formats := l.distinct()
	switch {
	case !probed:
		return probe.Raw
	case len(formats) > 1:
		return ""
	}
	return formats[0]
}

// distinct returns the formats of the signatures, each once: a dynamic VHD
// bears its mark at both ends.
func (l *look) distinct() []probe.Format {
	var formats []probe.Format
next:
	for _, s := range l.signatures {
		for _, f := range formats {
			if f == s.Format {
				continue next
			}
		}
		formats = append(formats, s.Format)
	}
	return formats
}

// oddities names what a raw image should not look like: formats that left
// their mark, and files that hold others.
func (l *look) oddities() []string {
	var names []string
	for _, f := range l.distinct() {
		if f != probe.ISO {
			names = append(names, string(f))
		}
	}
	for _, c := range l.contents {
		if c.Kind == probe.OddData {
			names = append(names, c.Name)
		}
	}
	return names
}

// speaksForRaw says what the image holds that disks of guests hold; "" if that
// is nothing known.
func (l *look) speaksForRaw() string {
	var names []string
	for _, c := range l.contents {
		if c.Kind == probe.GuestData {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (it holds: " + strings.Join(names, ", ") + ")"
}
