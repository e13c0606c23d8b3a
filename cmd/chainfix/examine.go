package main

import (
	"context"
	"errors"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/xmlfix"
)

// examined is one document with what is to be said about it.
type examined struct {
	name   string
	domain string
	disks  []examinedDisk
	// doc holds the queued edits; nil if the document could not be parsed,
	// which problem then says.
	doc     *xmlfix.Document
	problem error
}

type examinedDisk struct {
	disk   *xmlfix.Disk
	target string
	chain  *chain.Chain
	err    error // the disk could not be read or edited
}

// examine walks the chains of every disk of a document and queues the edits
// that would make them explicit. The error is for a run that was cut short.
func examine(ctx context.Context, w *chain.Walker, name string, data []byte) (*examined, error) {
	doc, err := xmlfix.Parse(name, data)
	if err != nil {
		return &examined{name: name, problem: err}, nil
	}
	e := &examined{name: name, domain: doc.DomainName(), doc: doc}
	for _, disk := range doc.Disks() {
		d := examinedDisk{disk: disk}
		stated, err := disk.Stated()
		d.target = stated.Target
		if err != nil {
			d.err = err
			e.disks = append(e.disks, d)
			continue
		}
		if d.chain, err = w.Walk(ctx, stated); err != nil {
			return nil, err
		}
		if d.chain.Verdict == chain.Fixable {
			d.err = disk.SetChain(d.chain)
		}
		e.disks = append(e.disks, d)
	}
	return e, nil
}

// verdict is that of the document's worst disk.
func (e *examined) verdict() chain.Verdict {
	if e.problem != nil {
		return chain.Refused
	}
	worst := chain.Explicit
	for _, d := range e.disks {
		if v := d.verdict(); v != chain.Skipped {
			worst = max(worst, v)
		}
	}
	return worst
}

func (d examinedDisk) verdict() chain.Verdict {
	if d.err != nil {
		return chain.Refused
	}
	return d.chain.Verdict
}

// status is the exit status that the document asks for: whether a refusal is
// of a chain, or of the input as such.
func (e *examined) status() int {
	switch {
	case e.problem != nil && !errors.Is(e.problem, xmlfix.ErrAmbiguous):
		return exitInput
	case e.verdict() == chain.Refused:
		return exitRefused
	case e.verdict() == chain.Fixable:
		return exitChange
	}
	return exitDone
}
