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

// Examination is the result of [Examine] for one domain XML.
type Examination struct {
	// Document has the queued edits that make the Fixable chains explicit. It is
	// nil if the text cannot be parsed; Err then says why.
	Document *Document
	Disks    []DiskExamination
	// Findings are warnings about images that the definition names outside of its
	// disks. They do not affect the verdict.
	Findings []PlacedFinding
	Err      error
}

// DiskExamination is the result for one disk of a document.
type DiskExamination struct {
	Disk   *Disk
	Target string       // the <target dev>
	Stated chain.Stated // what the XML states; invalid if Err is set
	Chain  *chain.Chain // nil if the disk could not be read
	Err    error        // the disk could not be read, or its chain could not be written
}

// Examine parses a document, walks the chain of each disk, and queues the
// edits that make all fixable chains explicit. The name is for messages.
// Problems of the document or a disk are in the Examination; the error is only
// the cause of a context that has ended. See [Document.Walk].
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

// Verdict returns the verdict of the worst disk; Refused for a document that
// cannot be parsed.
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

// Verdict returns the chain's verdict; Refused for a disk that cannot be read
// or written.
func (d DiskExamination) Verdict() chain.Verdict {
	if d.Err != nil {
		return chain.Refused
	}
	return d.Chain.Verdict
}

// IsEvidence reports whether the disk counts as evidence about images of other
// disks: a disk that libvirt would not accept does not. A disk that was not
// walked because of [MaxChains] does.
func (d DiskExamination) IsEvidence() bool { return d.Err == nil || errors.Is(d.Err, ErrLimit) }

// Unreadable reports that the document could not be examined at all. An
// ambiguous document is refused like a chain instead.
func (e *Examination) Unreadable() bool {
	return e.Err != nil && !errors.Is(e.Err, ErrAmbiguous)
}

// Walk walks the chain of each disk. If the walker has no evidence, the disks
// of the document are evidence about each other's images. starting says that
// the guest of the document is about to start or to be migrated here: it has
// an id although libvirt has detected nothing yet.
//
// A disk needs only fifty bytes of XML, but may have a chain of two hundred
// layers with findings about each. As soon as the chains exceed [MaxChains],
// the remaining disks get an [ErrLimit] and are not walked. The error is the
// cause of a context that has ended.
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

// walkAll walks the chains of disks. It walks them again if one of them states
// facts about another's image.
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

// walkEach walks the chain of each disk, up to [MaxChains].
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

// tooLong returns the error for a disk that is not walked because of
// [MaxChains].
func (d *DiskExamination) tooLong() error {
	detail := "the chains of the preceding disks take more than " + strconv.Itoa(MaxChains>>20) + " MiB"
	if d.Disk == nil {
		return fmt.Errorf("%w: %s", ErrLimit, detail)
	}
	return &Error{Name: d.Disk.doc.name, Pos: d.Disk.Pos(), Code: codeOf(ErrLimit), Err: ErrLimit, Remedy: takeApart(), Detail: detail}
}

// sizeOf returns the approximate memory of a chain in bytes.
func sizeOf(c *chain.Chain) int {
	const layer, extent, finding, text = 320, 64, 144, 16 // without the texts
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
