package chain

import (
	"context"
	"errors"
	"io/fs"
	"strconv"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// Inspection is what one image claims to be, without any rule applied. It is
// meant for display; do not rely on the format.
type Inspection struct {
	Size       int64             // bytes
	Allocated  int64             // allocated bytes; -1 if unknown
	Signatures []probe.Signature // of the formats that QEMU and libvirt probe for
	// Format is what QEMU's probing would choose, including raw if QEMU finds no
	// format. If only libvirt recognises the image, or neither does, it is the
	// format that libvirt would choose or that the signatures suggest.
	Format   probe.Format
	Header   *probe.Header     // nil if the format has no reader, or if the header is broken
	Findings []finding.Finding // what is wrong with the image
}

// Inspect opens one local image and returns what its header claims. It does
// not touch files that the image names. The error comes from the opener or the
// reader.
func (w *Walker) Inspect(ctx context.Context, src *libvirtxml.DomainDiskSource) (*Inspection, error) {
	w.prepare()
	l, err := w.Look(ctx, src, "")
	if err != nil {
		return nil, err
	}
	if l.SignaturesErr != nil {
		return nil, l.SignaturesErr
	}
	in := &Inspection{Size: l.Size, Allocated: l.Allocated, Signatures: l.Signatures, Format: l.Candidate(), Header: l.Header}
	if in.Format == "" {
		in.Format = l.FirstMark()
		again, err := w.Look(ctx, src, in.Format)
		if err != nil {
			return nil, err
		}
		in.Header, l.HeaderErr = again.Header, again.HeaderErr
		in.Findings = append(in.Findings, finding.Finding{Code: finding.AmbiguousSignatures, Severity: finding.Warn,
			Text: storage.Describe(src) + " has the signatures of " + image.FormatList(l.Formats())})
	}
	if l.HeaderErr != nil {
		if !image.IsHeaderError(l.HeaderErr) {
			return nil, l.HeaderErr
		}
		in.Findings = append(in.Findings, inspectionFinding(src, in.Format, l.HeaderErr))
	}
	return in, nil
}

// Uninspected returns the finding about an image for which [Walker.Inspect] returned an
// error.
func Uninspected(src *libvirtxml.DomainDiskSource, err error) finding.Finding {
	what := storage.Describe(src)
	if f, ok := unanswered(what, err); ok {
		return f
	}
	f := finding.Finding{Severity: finding.Refuse}
	switch {
	case errors.Is(err, storage.ErrNotImage):
		f.Code, f.Text = finding.NotAnImage, what+" is "+storage.ErrNotImage.Error()
	case errors.Is(err, storage.ErrChanged):
		f.Code, f.Text, f.Remedy = finding.ImageSwapped, what+" was replaced while it was examined", tryAgain
	case errors.Is(err, fs.ErrNotExist):
		f.Code, f.Text = finding.ImageMissing, what+" does not exist"
	default:
		f.Code, f.Text = finding.ImageUnreadable, what+" cannot be read: "+strconv.Quote(storage.Reason(err))
	}
	return f
}

// inspectionFinding returns the finding about a broken header.
func inspectionFinding(src *libvirtxml.DomainDiskSource, f probe.Format, err error) finding.Finding {
	path, _ := storage.LocalPath(src)
	return finding.Finding{Code: finding.ImageBroken, Severity: finding.Refuse,
		Text:   strconv.Quote(path) + " has the signature of " + string(f) + ", but its header cannot be used: " + err.Error(),
		Remedy: brokenRemedy(src, f)}
}
