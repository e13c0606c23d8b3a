package main

import (
	"context"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/xmlfix"
)

// examined is one document with what is to be said about it.
type examined struct {
	name   string
	domain string
	*xmlfix.Examination
}

// examine walks the chains of every disk of a document and queues the edits
// that would make them explicit. The error is for a run that was cut short.
func examine(ctx context.Context, w *chain.Walker, name string, data []byte) (*examined, error) {
	e, err := xmlfix.Examine(ctx, w, name, data)
	if err != nil {
		return nil, err
	}
	found := &examined{name: name, Examination: e}
	if e.Document != nil {
		found.domain = e.Document.DomainName()
	}
	return found, nil
}

// unreadable is a document that could not be read at all.
func unreadable(name string, err error) *examined {
	return &examined{name: name, Examination: &xmlfix.Examination{Err: err}}
}

// status is the exit status that the document asks for: whether a refusal is
// of a chain, or of the input as such.
func (e *examined) status() int {
	switch verdict := e.Verdict(); {
	case e.Unreadable():
		return exitInput
	case verdict == chain.Refused:
		return exitRefused
	case verdict == chain.Fixable:
		return exitChange
	}
	return exitDone
}
