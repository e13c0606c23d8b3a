package chain

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/probe"
)

// headSize is how much of an image is read at first, in bytes: the first 4 KiB,
// in which most headers end, and as far as libvirt's mark of an ISO image, so that
// one request tells almost everything.
const headSize = 36 << 10

// headerView is what one opening of an image showed, with its header read as the
// format that somebody claims.
type headerView struct {
	*imageInfo
	parsedHeader
}

// imageInfo is what one opening of an image showed. It is not changed once others
// may see it.
type imageInfo struct {
	id      imageID
	size    int64
	changed int64 // see [ChangeTimer]

	signatures    []probe.Signature
	contents      []probe.Content
	signaturesErr error
	headers       []parsedHeader
}

// parsedHeader is a header, read as one format.
type parsedHeader struct {
	claim     probe.Format
	header    *probe.Header
	headerErr error
	cutShort  bool        // QEMU opens it, although the image ends too soon
	libvirt   libvirtView // what libvirt sees of header
}

// imageID tells two images apart: slices of one file are different images.
type imageID struct {
	file   FileID
	offset uint64
}

// as returns the image as claim has it; ok is false if it was not read so.
func (i *imageInfo) as(claim probe.Format) (v *headerView, ok bool) {
	if i == nil {
		return nil, false
	}
	v = &headerView{imageInfo: i}
	if claim == "" {
		if i.signaturesErr != nil {
			return v, true
		}
		if claim = i.candidate(); claim == "" {
			return v, true
		}
	}
	for _, h := range i.headers {
		if h.claim == claim {
			v.parsedHeader = h
			return v, true
		}
	}
	return nil, false
}

// addHeaders adds what an earlier opening of the same image showed: one that two
// guests state differently is opened for each statement, not for each guest.
func (i *imageInfo) addHeaders(earlier *imageInfo) {
	if earlier == nil || earlier.failed() || earlier.id != i.id || earlier.size != i.size || earlier.changed != i.changed {
		return
	}
	for _, h := range earlier.headers {
		if !i.parsed(h.claim) {
			i.headers = append(i.headers, h)
		}
	}
}

func (i *imageInfo) parsed(claim probe.Format) bool {
	return slices.ContainsFunc(i.headers, func(h parsedHeader) bool { return h.claim == claim })
}

// failed reports that something of the image could not be read, which may be
// better the next time.
func (i *imageInfo) failed() bool {
	return i.signaturesErr != nil || slices.ContainsFunc(i.headers, func(h parsedHeader) bool { return h.headerErr != nil && !isProbeError(h.headerErr) })
}

// memSize is what the memory of an image takes, in bytes, roughly.
func (i *imageInfo) memSize() int {
	if i == nil {
		return 256
	}
	size := 512
	for _, h := range i.headers {
		if h.header == nil {
			continue
		}
		for _, extent := range h.header.Extents {
			size += 64 + len(extent.Name)
		}
	}
	return size
}

// openImage opens an image and reads all that a walk or a prediction may ask of
// it: what claim makes of it, its signatures, and what QEMU and libvirt would take
// it for. head is room to read into.
func openImage(ctx context.Context, opener Opener, src *libvirtxml.DomainDiskSource, claim probe.Format, head []byte) (*imageInfo, error) {
	image, err := opener.Open(ctx, src)
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
	info := &imageInfo{id: imageID{image.ID(), part.offset}, size: image.Size()}
	if err := firstRead(image); err != nil {
		return nil, err
	}
	r := &rememberingReader{r: image, size: info.size, head: head}
	parse := func(f probe.Format) {
		if f == "" || info.parsed(f) {
			return
		}
		h := parsedHeader{claim: f}
		h.header, h.headerErr = probe.Read(r, info.size, f)
		h.cutShort, h.libvirt = opensCutShort(r, info.size, f, h.headerErr), viewOfLibvirt(r.loadedHead(), info.size, h.header)
		info.headers = append(info.headers, h)
	}
	// What was asked for comes first: an image on the network of which one
	// reading has failed is not read any more.
	parse(claim)
	if info.signatures, info.signaturesErr = probe.Signatures(r, info.size); info.signaturesErr == nil {
		info.contents, info.signaturesErr = probe.Contents(r, info.size)
	}
	if info.signaturesErr == nil {
		parse(info.candidate())
		parse(info.libvirtsChoice())
	}
	parse(probe.Raw)
	return info, nil
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
func (i *imageInfo) candidate() probe.Format {
	probed := false
	for _, mark := range i.signatures {
		probed = probed || mark.QEMU || mark.Libvirt && mark.Format != probe.ISO
	}
	formats := i.distinct()
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
func (i *imageInfo) distinct() []probe.Format {
	var formats []probe.Format
next:
	for _, mark := range i.signatures {
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
func (i *imageInfo) marks() []probe.Format {
	return slices.DeleteFunc(i.distinct(), func(f probe.Format) bool { return f == probe.ISO })
}

// oddities names what a raw image should not look like: formats that left
// their mark, and files that hold others.
func (i *imageInfo) oddities() []string {
	var names []string
	for _, f := range i.marks() {
		names = append(names, string(f))
	}
	for _, c := range i.contents {
		if c.Kind == probe.OddData {
			names = append(names, c.Name)
		}
	}
	return names
}

// speaksForRaw says what the image holds that disks of guests hold; "" if that
// is nothing known.
func (i *imageInfo) speaksForRaw() string {
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
