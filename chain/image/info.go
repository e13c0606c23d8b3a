package image

import (
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// headSize is how much of an image is read at first, in bytes: the first 4 KiB,
// in which most headers end, and as far as libvirt's mark of an ISO image, so that
// one request tells almost everything.
const headSize = 36 << 10

// View is what one opening of an image showed, with its header read as the format
// that somebody claims. Where nobody claims one, and the image bears the marks of
// several, there is no header.
type View struct {
	*Info
	ParsedHeader
}

// Info is what one opening of an image showed, whatever anybody says that it is.
// It must not be changed.
type Info struct {
	ID        ID
	Size      int64 // of the image, in bytes
	Allocated int64 // what it takes where it is stored, in bytes; -1 where that is not known
	changed   int64 // see [storage.ChangeTimer]

	// Signatures are the marks of formats that the image bears. They are not
	// known with SignaturesErr, which is why they could not be read.
	Signatures    []probe.Signature
	SignaturesErr error
	contents      []probe.Content
	headers       []ParsedHeader
}

// ParsedHeader is the header of an image, read as one format.
type ParsedHeader struct {
	Claim probe.Format // the format as which it was read
	// Header is nil where it cannot be used; then HeaderErr wraps a
	// [probe.Error], or is why reading failed.
	Header    *probe.Header
	HeaderErr error
	CutShort  bool        // QEMU opens the image, although it ends too soon
	Libvirt   LibvirtView // what libvirt takes from Header
}

// ID tells two images apart: slices of one file are different images.
type ID struct {
	File   storage.FileID
	Offset uint64 // of the image's first byte in the file, in bytes
}

// as returns the image as claim has it; ok is false if it was not read so.
func (i *Info) as(claim probe.Format) (v *View, ok bool) {
	if i == nil {
		return nil, false
	}
	v = &View{Info: i}
	if claim == "" {
		if i.SignaturesErr != nil {
			return v, true
		}
		if claim = i.Candidate(); claim == "" {
			return v, true
		}
	}
	for _, h := range i.headers {
		if h.Claim == claim {
			v.ParsedHeader = h
			return v, true
		}
	}
	return nil, false
}

// addHeaders adds what an earlier opening of the same image showed: one that two
// guests state differently is opened for each statement, not for each guest.
func (i *Info) addHeaders(earlier *Info) {
	if earlier == nil || earlier.failed() || earlier.ID != i.ID || earlier.Size != i.Size || earlier.changed != i.changed {
		return
	}
	for _, h := range earlier.headers {
		if !i.parsed(h.Claim) {
			i.headers = append(i.headers, h)
		}
	}
}

func (i *Info) parsed(claim probe.Format) bool {
	return slices.ContainsFunc(i.headers, func(h ParsedHeader) bool { return h.Claim == claim })
}

// failed reports that something of the image could not be read, which may be
// better the next time.
func (i *Info) failed() bool {
	return i.SignaturesErr != nil || slices.ContainsFunc(i.headers, func(h ParsedHeader) bool { return h.HeaderErr != nil && !IsHeaderError(h.HeaderErr) })
}

// memSize is what the memory of an image takes, in bytes, roughly.
func (i *Info) memSize() int {
	if i == nil {
		return 256
	}
	size := 512
	for _, h := range i.headers {
		if h.Header == nil {
			continue
		}
		for _, extent := range h.Header.Extents {
			size += 64 + len(extent.Name)
		}
	}
	return size
}

// openImage opens an image and reads all that a walk or a prediction may ask of
// it: what claim makes of it, its signatures, and what QEMU and libvirt would take
// it for. head is room to read into.
func openImage(ctx context.Context, opener storage.Opener, src *libvirtxml.DomainDiskSource, claim probe.Format, head []byte) (*Info, error) {
	image, err := opener.Open(ctx, src)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	part, ok := storage.SliceOf(src)
	if ok {
		if image, err = part.Cut(image); err != nil {
			return nil, err
		}
	}
	info := &Info{ID: ID{image.ID(), part.Offset}, Size: image.Size(), Allocated: -1}
	if a, ok := image.(storage.Allocated); ok {
		info.Allocated = a.Allocated()
	}
	if err := firstRead(image); err != nil {
		return nil, err
	}
	r := &rememberingReader{r: image, size: info.Size, head: head}
	parse := func(f probe.Format) {
		if f == "" || info.parsed(f) {
			return
		}
		h := ParsedHeader{Claim: f}
		h.Header, h.HeaderErr = probe.Read(r, info.Size, f)
		h.CutShort, h.Libvirt = opensCutShort(r, info.Size, f, h.HeaderErr), viewOfLibvirt(f, r.loadedHead(), info.Size, h.Header)
		info.headers = append(info.headers, h)
	}
	// What was asked for comes first: an image on the network of which one
	// reading has failed is not read any more.
	parse(claim)
	if info.Signatures, info.SignaturesErr = probe.Signatures(r, info.Size); info.SignaturesErr == nil {
		info.contents, info.SignaturesErr = probe.Contents(r, info.Size)
	}
	if info.SignaturesErr == nil {
		parse(info.Candidate())
		parse(info.LibvirtsChoice())
	}
	parse(probe.Raw)
	return info, nil
}

// firstRead reads a local image of no size, of which nothing else would be read:
// in /proc, and on some file systems in user space, that is how a file looks that
// answers every read with an error.
func firstRead(image storage.Image) error {
	if image.Size() != 0 || image.ID().Remote != "" {
		return nil
	}
	if _, err := image.ReadAt(make([]byte, 1), 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Candidate is the one format that the signatures allow; "" where there are
// several. It is raw where QEMU and libvirt both hand the image to the guest
// as raw: where neither looks for any mark that is there, and where the only
// one is an ISO file system's.
func (i *Info) Candidate() probe.Format {
	probed := false
	for _, mark := range i.Signatures {
		probed = probed || mark.QEMU || mark.Libvirt && mark.Format != probe.ISO
	}
	formats := i.Formats()
	switch {
	case !probed:
		return probe.Raw
	case len(formats) > 1:
		return ""
	}
	return formats[0]
}

// ClaimedHeader returns the header of the image, read as [Info.Candidate] has it; nil where
// that is no one format, or where nobody has read it so, or could.
func (i *Info) ClaimedHeader() *probe.Header {
	v, ok := i.as("")
	if !ok {
		return nil
	}
	return v.Header
}

// Formats returns the formats of the signatures, each once: a dynamic VHD
// bears its mark at both ends.
func (i *Info) Formats() []probe.Format {
	var formats []probe.Format
next:
	for _, mark := range i.Signatures {
		for _, f := range formats {
			if f == mark.Format {
				continue next
			}
		}
		formats = append(formats, mark.Format)
	}
	return formats
}

// UnexpectedFormats returns the formats of the signatures that a raw image should not bear:
// all but an ISO file system's.
func (i *Info) UnexpectedFormats() []probe.Format {
	return slices.DeleteFunc(i.Formats(), func(f probe.Format) bool { return f == probe.ISO })
}

// UnexpectedMarks names what a raw image should not look like: formats that left
// their mark, and files that hold others.
func (i *Info) UnexpectedMarks() []string {
	var names []string
	for _, f := range i.UnexpectedFormats() {
		names = append(names, string(f))
	}
	for _, c := range i.contents {
		if c.Kind == probe.OddData {
			names = append(names, c.Name)
		}
	}
	return names
}

// GuestContents says what the image holds that disks of guests hold; "" if that
// is nothing known.
func (i *Info) GuestContents() string {
	var names []string
	for _, c := range i.contents {
		if c.Kind == probe.GuestData {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (it holds: " + strings.Join(names, ", ") + ")"
}

// FormatList names formats for people.
func FormatList(formats []probe.Format) string {
	words := make([]string, len(formats))
	for i, f := range formats {
		words[i] = string(f)
	}
	return strings.Join(words, " and ")
}

// IsHeaderError reports whether an error is about what an image says, and not about
// reading it.
func IsHeaderError(err error) bool {
	var p *probe.Error
	return errors.As(err, &p)
}

// Containers are the formats whose mark an image bears and which hold something
// else than the bytes that are there. Of LUKS that cannot be said: a guest
// encrypts its disk with it.
func (i *Info) Containers() []probe.Format {
	var marks []probe.Format
	for _, f := range i.Formats() {
		for _, mark := range i.Signatures {
			// A mark at the end is one that neither program looks for.
			if mark.Format == f && f != probe.LUKS && (mark.QEMU || f.MarkedAtEnd()) {
				marks = append(marks, f)
				break
			}
		}
	}
	return marks
}

// IsFixedVHD reports whether the only mark of an image is the footer of a VHD.
func (l *View) IsFixedVHD() bool {
	return len(l.Signatures) == 1 && l.Signatures[0] == probe.Signature{Format: probe.VPC}
}

// QEMUsChoice is the format for which QEMU's probing takes an image of this
// name.
func (l *View) QEMUsChoice(name string) probe.Format {
	for _, s := range l.Signatures {
		if s.QEMU {
			return s.Format
		}
	}
	if len(path.Base(name)) > 4 && strings.HasSuffix(name, ".dmg") {
		return probe.DMG
	}
	return probe.Raw
}

// FirstMark is the first format whose signature QEMU would take, or else the
// first of all.
func (l *View) FirstMark() probe.Format {
	for _, s := range l.Signatures {
		if s.QEMU {
			return s.Format
		}
	}
	return l.Signatures[0].Format
}
