package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/probe"
)

// look is what one opening of an image showed, with its header read as the
// format that somebody claims.
type look struct {
	*sight
	header    *probe.Header
	headerErr error
	short     bool // QEMU opens it, although the image ends too soon
	sees      sees // what libvirt sees of header
}

// sight is what one opening of an image showed.
type sight struct {
	id      imageID
	size    int64
	changed int64 // see [Dater]

	// sampled is set once signatures and contents were read, as they are
	// where nobody states a format, or raw.
	sampled       bool
	foreseen      bool // all is there that anybody may ask
	signatures    []probe.Signature
	contents      []probe.Content
	signaturesErr error
	readings      []reading
}

// reading is a header, read as one format.
type reading struct {
	claim  probe.Format
	header *probe.Header
	err    error
	// The rest is for predictions, and only there with [Walker.Foresight].
	short bool // QEMU opens it, although the image ends too soon
	sees  sees
}

// imageID tells two images apart: slices of one file are different images.
type imageID struct {
	file   FileID
	offset uint64
}

// look opens a source and reads it as claim, or, with claim "", as what it
// bears the signature of; then there is no header where that is not one format.
// What was seen is remembered, failures too.
func (w *Walker) look(ctx context.Context, src *libvirtxml.DomainDiskSource, claim probe.Format) (*look, error) {
	return w.lookFor(ctx, src, claim, w.Foresight)
}

// lookFor is look, for a walk only or, with everything, for whoever comes
// later too: then the image is opened again only for a claim that it
// contradicts.
func (w *Walker) lookFor(ctx context.Context, src *libvirtxml.DomainDiskSource, claim probe.Format, everything bool) (*look, error) {
	name := Name(src)
	if name == "" {
		return nil, fmt.Errorf("open %s: %w", Describe(src), ErrNotReadable)
	}
	key := sightKey{name: name}
	key.slice, key.part = sliceOf(src)
	if src.Network != nil {
		key.how = fragment(src, "source")
	}
	known, ok := w.remembered(key)
	if known.err != nil {
		return nil, known.err
	}
	if l, ok := known.sight.answer(claim, everything); ok {
		w.remember(key, known)
		return l, nil
	}
	now := w.date(ctx, src) // before the opening: what changes from then on is another image
	if !ok {
		known.sight = w.recall(key, now)
		if l, ok := known.sight.answer(claim, everything); ok {
			w.remember(key, known)
			return l, nil
		}
	}
	s, err := w.open(ctx, src, claim, everything)
	if err != nil {
		w.remember(key, seen{err: err})
		return nil, err
	}
	same := now != nil && now.file == s.id.file
	if same {
		s.changed = now.changed
	}
	s.addReadings(known.sight)
	w.remember(key, seen{sight: s})
	if same {
		w.packed.add(key.packed(s.id.file), s)
	}
	l, _ := s.as(claim)
	return l, nil
}

// answer is as, if all that is asked for was read.
func (s *sight) answer(claim probe.Format, everything bool) (l *look, ok bool) {
	if s == nil || everything && !s.foreseen {
		return nil, false
	}
	return s.as(claim)
}

// as returns the image as claim has it; ok is false if it was not read so.
func (s *sight) as(claim probe.Format) (l *look, ok bool) {
	l = &look{sight: s}
	if (claim == "" || claim == probe.Raw) && !s.sampled {
		return nil, false
	}
	if claim == "" {
		if s.signaturesErr != nil {
			return l, true
		}
		if claim = s.candidate(); claim == "" {
			return l, true
		}
	}
	r := s.read(claim)
	if r == nil {
		return nil, false
	}
	l.header, l.headerErr, l.short, l.sees = r.header, r.err, r.short, r.sees
	return l, true
}

// addReadings adds what an earlier sight of the same image showed: one that two
// guests state differently is opened for each statement, not for each guest.
func (s *sight) addReadings(earlier *sight) {
	if earlier == nil || !earlier.foreseen || earlier.id != s.id || earlier.size != s.size || earlier.changed != s.changed {
		return
	}
	for _, r := range earlier.readings {
		if s.read(r.claim) == nil {
			s.readings = append(s.readings, r)
		}
	}
}

// read returns the header as it was read for claim; nil if it was not.
func (s *sight) read(claim probe.Format) *reading {
	for i := range s.readings {
		if s.readings[i].claim == claim {
			return &s.readings[i]
		}
	}
	return nil
}

func (w *Walker) open(ctx context.Context, src *libvirtxml.DomainDiskSource, claim probe.Format, everything bool) (*sight, error) {
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
	s := &sight{id: imageID{image.ID(), part.offset}, size: image.Size(), foreseen: everything}
	if err := firstRead(image); err != nil {
		return nil, err
	}
	r := &rememberingReader{r: image, size: s.size, head: w.head[:]}
	read := func(f probe.Format) {
		if f == "" || s.read(f) != nil {
			return
		}
		one := reading{claim: f}
		one.header, one.err = probe.Read(r, s.size, f)
		if everything {
			one.short, one.sees = opensCutShort(r, s.size, f, one.err), libvirtSees(r.loadedHead(), s.size, one.header)
		}
		s.readings = append(s.readings, one)
	}
	// What was asked for comes first: an image on the network of which one
	// reading has failed is not read any more.
	read(claim)
	if everything || claim == "" || claim == probe.Raw {
		s.sampled = true
		if s.signatures, s.signaturesErr = probe.Signatures(r, s.size); s.signaturesErr == nil {
			s.contents, s.signaturesErr = probe.Contents(r, s.size)
		}
	}
	if s.sampled && s.signaturesErr == nil && (everything || claim == "") {
		read(s.candidate())
	}
	if everything {
		read(probe.Raw)
		if s.signaturesErr == nil {
			read(s.libvirtsChoice())
		}
	}
	return s, nil
}

// firstRead reads a local image of no size, of which nothing else would be read:
// in /proc, and on some file systems in user space, that is how a file looks that
// answers every read with an error.
func firstRead(image Image) error {
	if image.Size() != 0 || image.ID().Remote != "" {
		return nil
	}
	if _, err := image.ReadAt(make([]byte, 1), 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// candidate is the one format that the signatures allow; "" where there are
// several. It is raw where QEMU and libvirt both hand the image to the guest
// as raw: where neither looks for any mark that is there, and where the only
// one is an ISO file system's.
func (s *sight) candidate() probe.Format {
	probed := false
	for _, mark := range s.signatures {
		probed = probed || mark.QEMU || mark.Libvirt && mark.Format != probe.ISO
	}
	formats := s.distinct()
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
func (s *sight) distinct() []probe.Format {
	var formats []probe.Format
next:
	for _, mark := range s.signatures {
		for _, f := range formats {
			if f == mark.Format {
				continue next
			}
		}
		formats = append(formats, mark.Format)
	}
	return formats
}

// marks returns the formats of the signatures that a raw image should not bear:
// all but an ISO file system's.
func (s *sight) marks() []probe.Format {
	return slices.DeleteFunc(s.distinct(), func(f probe.Format) bool { return f == probe.ISO })
}

// oddities names what a raw image should not look like: formats that left
// their mark, and files that hold others.
func (s *sight) oddities() []string {
	var names []string
	for _, f := range s.marks() {
		names = append(names, string(f))
	}
	for _, c := range s.contents {
		if c.Kind == probe.OddData {
			names = append(names, c.Name)
		}
	}
	return names
}

// speaksForRaw says what the image holds that disks of guests hold; "" if that
// is nothing known.
func (s *sight) speaksForRaw() string {
	var names []string
	for _, c := range s.contents {
		if c.Kind == probe.GuestData {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (it holds: " + strings.Join(names, ", ") + ")"
}
