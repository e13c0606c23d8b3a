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

// headSize is the size of the first read of an image in bytes. It contains
// most headers (4 KiB) and reaches libvirt's signature of an ISO image, so one
// request is usually enough.
const headSize = 36 << 10

// View is what one opening of an image found, with its header read as the
// claimed format. Without a claim, an image with the signatures of several
// formats has no header here.
type View struct {
	*Info
	ParsedHeader
}

// Info is what one opening of an image found, independent of any claimed
// format. It must not be modified.
type Info struct {
	ID        ID
	Size      int64 // of the image, in bytes
	Allocated int64 // allocated bytes; -1 if unknown
	changed   int64 // see [storage.ChangeTimer]

	// Signatures are the signatures of formats in the image. They are invalid if
	// SignaturesErr says why they could not be read.
	Signatures    []probe.Signature
	SignaturesErr error
	contents      []probe.Content
	headers       []ParsedHeader
}

// ParsedHeader is the header of an image, read as one format.
type ParsedHeader struct {
	Claim probe.Format // the format as which it was read
	// Header is nil if it is broken; then HeaderErr wraps a [probe.Error], or
	// says why reading failed.
	Header    *probe.Header
	HeaderErr error
	CutShort  bool        // QEMU opens the image although it is truncated
	Libvirt   LibvirtView // what libvirt takes from Header
}

// ID identifies an image: slices of one file are different images.
type ID struct {
	File   storage.FileID
	Offset uint64 // of the image's first byte in the file, in bytes
}

// as returns the view of the image as claim; ok is false if it was not read as
// claim.
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

// addHeaders adds the headers from an earlier opening of the same image: an
// image with two stated formats is opened once for each format, not for each
// guest.
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

// failed reports that a part of the image could not be read; a later attempt
// may succeed.
func (i *Info) failed() bool {
	return i.SignaturesErr != nil || slices.ContainsFunc(i.headers, func(h ParsedHeader) bool { return h.HeaderErr != nil && !IsHeaderError(h.HeaderErr) })
}

// memSize returns the approximate memory of an Info in bytes.
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

// openImage opens an image and reads all that a walk or a prediction may need:
// its header as claim, its signatures, and the formats that QEMU and libvirt
// would probe. head is a buffer to read into.
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
	r := &cachingReader{r: image, size: info.Size, head: head}
	parse := func(f probe.Format) {
		if f == "" || info.parsed(f) {
			return
		}
		h := ParsedHeader{Claim: f}
		h.Header, h.HeaderErr = probe.Read(r, info.Size, f)
		h.CutShort, h.Libvirt = opensCutShort(r, info.Size, f, h.HeaderErr), viewOfLibvirt(f, r.loadedHead(), info.Size, h.Header)
		info.headers = append(info.headers, h)
	}
	// claim comes first: an image on the network is not read further after a
	// failed read.
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

// firstRead reads a local image of size 0, which would not be read otherwise:
// in /proc, and on some FUSE file systems, files that fail every read have
// this size.
func firstRead(image storage.Image) error {
	if image.Size() != 0 || image.ID().Remote != "" {
		return nil
	}
	if _, err := image.ReadAt(make([]byte, 1), 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Candidate returns the only format that the signatures allow; "" if there are
// several. It is raw if QEMU and libvirt would both open the image as raw: if
// neither looks for the signatures that are present, or if the only one is an
// ISO file system's.
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

// ClaimedHeader returns the header of the image as [Info.Candidate]; nil if
// there is no candidate, or if the image was not or could not be read as it.
func (i *Info) ClaimedHeader() *probe.Header {
	v, ok := i.as("")
	if !ok {
		return nil
	}
	return v.Header
}

// Formats returns the formats of the signatures, each once: a dynamic VHD has
// its signature at both ends.
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

// UnexpectedFormats returns the formats of the signatures that a raw image
// should not have: all but an ISO file system's.
func (i *Info) UnexpectedFormats() []probe.Format {
	return slices.DeleteFunc(i.Formats(), func(f probe.Format) bool { return f == probe.ISO })
}

// UnexpectedMarks describes the signatures that a raw image should not have:
// those of image formats and of archives and compressed files.
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

// GuestContents describes known content of guest disks in the image, such as a
// partition table; "" for none.
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

// FormatList lists formats for messages.
func FormatList(formats []probe.Format) string {
	words := make([]string, len(formats))
	for i, f := range formats {
		words[i] = string(f)
	}
	return strings.Join(words, " and ")
}

// IsHeaderError reports whether an error is about the content of a header, and
// not about reading it.
func IsHeaderError(err error) bool {
	var p *probe.Error
	return errors.As(err, &p)
}

// Containers returns the formats in the signatures that are containers, in
// which the guest's data differs from the bytes of the file. LUKS is left out:
// a guest may encrypt its own disk with it.
func (i *Info) Containers() []probe.Format {
	var marks []probe.Format
	for _, f := range i.Formats() {
		for _, mark := range i.Signatures {
			// Neither program looks for a signature at the end.
			if mark.Format == f && f != probe.LUKS && (mark.QEMU || f.MarkedAtEnd()) {
				marks = append(marks, f)
				break
			}
		}
	}
	return marks
}

// IsFixedVHD reports whether the only signature of an image is the footer of a
// VHD.
func (l *View) IsFixedVHD() bool {
	return len(l.Signatures) == 1 && l.Signatures[0] == probe.Signature{Format: probe.VPC}
}

// QEMUsChoice returns the format that QEMU would probe for an image with this
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

// FirstMark returns the first format whose signature QEMU would accept, or
// else the first of all.
func (l *View) FirstMark() probe.Format {
	for _, s := range l.Signatures {
		if s.QEMU {
			return s.Format
		}
	}
	return l.Signatures[0].Format
}
