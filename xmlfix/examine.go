package xmlfix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
)

// Examination is what [Examine] found out about one domain XML.
type Examination struct {
	// Document has the edits queued that make the chains explicit which are
	// Fixable. It is nil if the text cannot be read, and Err says why.
	Document *Document
	Disks    []DiskExamination
	// Findings are about images that the definition names elsewhere than in a
	// disk: warnings, which the verdict does not count.
	Findings []PlacedFinding
	Err      error
}

// DiskExamination is one disk of a document that was examined.
type DiskExamination struct {
	Disk   *Disk
	Target string       // the <target dev>
	Stated chain.Stated // what the XML states; not valid with Err
	Chain  *chain.Chain // nil if the disk could not be read
	Err    error        // the disk could not be read, or its chain not be written
}

// Examine parses a document, walks the chain of each of its disks, and queues the
// edits that make those explicit that can be. The name is for messages. What is
// wrong with the document or a disk is in the Examination; the error is for a
// context that has ended. See [Document.Walk].
func Examine(ctx context.Context, w *chain.Walker, name string, data []byte) (*Examination, error) {
	doc, err := Parse(name, data)
	if err != nil {
		return &Examination{Err: err}, nil
	}
	e := &Examination{Document: doc}
	if e.Disks, err = doc.Walk(ctx, w, false); err != nil {
		return nil, err
	}
	e.queue()
	if e.Findings, err = doc.lostChains(ctx, w); err != nil {
		return nil, err
	}
	return e, nil
}

// queue queues the edits of every disk that can be made explicit.
func (e *Examination) queue() {
	for i := range e.Disks {
		if d := &e.Disks[i]; d.Chain != nil && d.Chain.Verdict == chain.Fixable {
			d.Err = d.Disk.SetChain(d.Chain)
		}
	}
}

// Verdict is that of the worst disk; of a document that cannot be read it is
// Refused.
func (e *Examination) Verdict() chain.Verdict {
	if e.Err != nil {
		return chain.Refused
	}
	worst := chain.Explicit
	for _, d := range e.Disks {
		if v := d.Verdict(); v != chain.Skipped {
			worst = max(worst, v)
		}
	}
	return worst
}

// Verdict is the chain's; of a disk that cannot be read or written it is
// Refused.
func (d DiskExamination) Verdict() chain.Verdict {
	if d.Err != nil {
		return chain.Refused
	}
	return d.Chain.Verdict
}

// IsEvidence reports whether what the disk states counts for the images of others:
// what libvirt would not accept is nobody's disk. One that is not looked at,
// because there is no room for its chain, is the guest's all the same.
func (d DiskExamination) IsEvidence() bool { return d.Err == nil || errors.Is(d.Err, ErrLimit) }

// Unreadable reports that the document is none that could be examined, as
// opposed to one that says two things at once, which is refused like a chain.
func (e *Examination) Unreadable() bool {
	return e.Err != nil && !errors.Is(e.Err, ErrAmbiguous)
}

// Walk walks the chain of each disk. A walker without evidence gets what the disks
// of the document state of each other's images. With starting, the document is
// that of a guest that is about to start or to arrive, which has an id although
// libvirt has detected nothing yet.
//
// A disk takes fifty bytes of XML, but may have a chain of two hundred layers with
// findings on each. Once the chains take more than [MaxChains], the disks below get
// an [ErrLimit] and are not walked. The error
// is for a context that has ended.
func (d *Document) Walk(ctx context.Context, w *chain.Walker, starting bool) ([]DiskExamination, error) {
	disks := make([]DiskExamination, len(d.disks))
	for i, disk := range d.disks {
		e := &disks[i]
		e.Disk = disk
		e.Stated, e.Err = disk.Stated()
		e.Target = e.Stated.Target
		if starting {
			e.Stated.Live = false
		}
	}
	return disks, walkAll(ctx, w, disks)
}

// walkAll walks the chains of disks of which it is known what the XML states. They
// are walked again where one of them states something of another's image.
func walkAll(ctx context.Context, w *chain.Walker, disks []DiskExamination) error {
	if err := walkEach(ctx, w, disks); err != nil || w.Evidence != nil || len(disks) < 2 {
		return err
	}
	evidence := chain.NewEvidence(w.Cache(), w.Volumes)
	for _, e := range disks {
		if e.IsEvidence() {
			evidence.Add(ctx, chain.Defined, e.Stated, e.Chain)
		}
	}
	if !evidence.Shared() {
		return nil
	}
	return walkEach(ctx, w.WithEvidence(evidence), disks)
}

// walkEach walks the chain of each disk by itself, up to [MaxChains].
func walkEach(ctx context.Context, w *chain.Walker, disks []DiskExamination) error {
	size := 0
	for i := range disks {
		e := &disks[i]
		if e.Err == nil && size > MaxChains {
			e.Chain, e.Err = nil, e.tooLong()
		}
		if e.Err != nil {
			continue
		}
		var err error
		if e.Chain, err = w.Walk(ctx, e.Stated); err != nil {
			return err
		}
		size += sizeOf(e.Chain)
	}
	return nil
}

// tooLong is why a disk is not walked any more.
func (d *DiskExamination) tooLong() error {
	detail := "the chains of the disks above take more than " + strconv.Itoa(MaxChains>>20) + " MiB"
	if d.Disk == nil {
		return fmt.Errorf("%w: %s", ErrLimit, detail)
	}
	return &Error{Name: d.Disk.doc.name, Pos: d.Disk.Pos(), Code: codeOf(ErrLimit), Err: ErrLimit, Remedy: takeApart(), Detail: detail}
}

// sizeOf is what a chain takes, in bytes, roughly, whatever its verdict.
func sizeOf(c *chain.Chain) int {
	const layer, extent, finding, text = 320, 64, 144, 16 // without what texts hold
	size := 0
	for _, l := range c.Layers {
		path, _ := storage.LocalPath(l.Source)
		size += layer + len(path)
		if l.Source != nil && l.Source.Network != nil {
			size += len(l.Source.Network.Name) + len(l.Source.Network.Query)
		}
		if l.Header == nil {
			continue
		}
		for _, e := range l.Header.Extents {
			size += extent + len(e.Name)
		}
	}
	for _, f := range c.Findings {
		size += finding + len(f.Text) + len(f.Remedy.String())
		for _, s := range slices.Concat(f.Remedy.Commands, f.Remedy.Formats) {
			size += text + len(s)
		}
	}
	return size
}
