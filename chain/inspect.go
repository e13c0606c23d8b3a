package chain

import (
	"context"
	"strconv"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/probe"
)

// Inspection is what one image claims to be, without any rule applied: an
// answer for people, not a format to rely on.
type Inspection struct {
	Size       int64 // bytes
	Signatures []probe.Signature
	// Format is what QEMU's own probing would choose, raw if it would find
	// nothing; where only libvirt or neither recognises the image, the
	// format that they or the bytes speak for.
	Format   probe.Format
	Header   *probe.Header // nil if the format is not read, or broken
	Findings []Finding     // what is wrong with the image
}

// Inspect opens one local image and says what its header claims. Nothing that
// the image names is touched. The error is the opener's or the reader's.
func (w *Walker) Inspect(ctx context.Context, src *libvirtxml.DomainDiskSource) (*Inspection, error) {
	w.prepare()
	l, err := w.look(ctx, src, "")
	if err != nil {
		return nil, err
	}
	if l.signaturesErr != nil {
		return nil, l.signaturesErr
	}
	in := &Inspection{Size: l.size, Signatures: l.signatures, Format: l.candidate(), Header: l.header}
	if in.Format == "" {
		in.Format = l.qemuChoice()
		again, err := w.look(ctx, src, in.Format)
		if err != nil {
			return nil, err
		}
		in.Header, l.headerErr = again.header, again.headerErr
		in.Findings = append(in.Findings, Finding{Code: AmbiguousSignatures, Severity: Warn,
			Text: Describe(src) + " bears the signatures of " + list(l.distinct())})
	}
	if l.headerErr != nil {
		if !isProbeError(l.headerErr) {
			return nil, l.headerErr
		}
		in.Findings = append(in.Findings, inspectionFinding(src, in.Format, l.headerErr))
	}
	return in, nil
}

// qemuChoice is the first format whose signature QEMU would take, or else the
// first of all.
func (l *headerView) qemuChoice() probe.Format {
	for _, s := range l.signatures {
		if s.QEMU {
			return s.Format
		}
	}
	return l.signatures[0].Format
}

func inspectionFinding(src *libvirtxml.DomainDiskSource, f probe.Format, err error) Finding {
	path, _ := LocalPath(src)
	return Finding{Code: ImageBroken, Severity: Refuse,
		Text: strconv.Quote(path) + " bears the signature of " + string(f) + ", but its header cannot be used: " + err.Error(),
		Hint: brokenHint(src, f)}
}
