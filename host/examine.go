package host

import (
	"context"
	"errors"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/xmlfix"
)

// Examination is one domain XML with what is to be said about its disks.
type Examination struct {
	// Document has the edits queued that make the chains explicit which are
	// Fixable. It is nil if there is no reading it, and Err says why.
	Document *xmlfix.Document
	Disks    []DiskExamination
	Err      error
}

// DiskExamination is one disk of an [Examination].
type DiskExamination struct {
	Disk   *xmlfix.Disk
	Target string       // the <target dev>
	Stated chain.Stated // what the XML states; not valid with Err
	Chain  *chain.Chain // nil if the disk could not be read
	Err    error        // the disk could not be read, or its chain not be written
}

// Examine walks the chains of every disk of a document and queues the edits
// that would make them explicit. The name is for messages. A walker without
// evidence is given what the disks of the document say of each other's images.
// What is wrong with the document or a disk is in the Examination; the error is
// for a context that has ended.
func Examine(ctx context.Context, w *chain.Walker, name string, data []byte) (*Examination, error) {
	doc, err := xmlfix.Parse(name, data)
	if err != nil {
		return &Examination{Err: err}, nil
	}
	e := &Examination{Document: doc}
	if e.Disks, err = WalkDisks(ctx, w, doc, false); err != nil {
		return nil, err
	}
	for i := range e.Disks {
		if d := &e.Disks[i]; d.Chain != nil && d.Chain.Verdict == chain.Fixable {
			d.Err = d.Disk.SetChain(d.Chain)
		}
	}
	return e, nil
}

// WalkDisks is Examine without the edits, for a document that was parsed. With
// starting, it is the XML of a guest that is about to start or to arrive, which
// has an id although libvirt has detected nothing yet.
func WalkDisks(ctx context.Context, w *chain.Walker, doc *xmlfix.Document, starting bool) ([]DiskExamination, error) {
	disks, err := walkDisks(ctx, w, doc, starting)
	if err != nil || w.Evidence != nil || len(disks) < 2 {
		return disks, err
	}
	evidence := chain.NewEvidence(w.Opener(), w.Volumes)
	for _, d := range disks {
		if d.Err == nil {
			evidence.Add(ctx, chain.Defined, d.Stated, d.Chain)
		}
	}
	if !evidence.Shared() {
		return disks, nil
	}
	w = w.WithEvidence(evidence)
	for i := range disks {
		if d := &disks[i]; d.Err == nil {
			if d.Chain, err = w.Walk(ctx, d.Stated); err != nil {
				return nil, err
			}
		}
	}
	return disks, nil
}

// walkDisks walks the chain of each disk by itself.
func walkDisks(ctx context.Context, w *chain.Walker, doc *xmlfix.Document, starting bool) ([]DiskExamination, error) {
	var all []DiskExamination
	for _, disk := range doc.Disks() {
		d := DiskExamination{Disk: disk}
		d.Stated, d.Err = disk.Stated()
		d.Target = d.Stated.Target
		if starting {
			d.Stated.Live = false
		}
		if d.Err == nil {
			d.Err = disk.Room()
		}
		if d.Err == nil {
			var err error
			if d.Chain, err = w.Walk(ctx, d.Stated); err != nil {
				return nil, err
			}
			disk.Count(d.Chain)
		}
		all = append(all, d)
	}
	return all, nil
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

// Unreadable reports that the document is none that could be examined, as
// opposed to one that says two things at once, which is refused like a chain.
func (e *Examination) Unreadable() bool {
	return e.Err != nil && !errors.Is(e.Err, xmlfix.ErrAmbiguous)
}
