package xmlfix

import (
	"bytes"
	"errors"
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// checkDataStore refuses a data store that libvirt would not accept: it has to
// be raw, without nested elements, and belong to a qcow2 image (libvirt 10.10
// to 11.3).
func checkDataStore(layer chain.Layer) error {
	store := layer.Source.DataStore
	if store == nil {
		return nil
	}
	what := storage.Describe(layer.Source)
	switch {
	case layer.Format != probe.Qcow2:
		return fmt.Errorf("%s has a data store, which only qcow2 can have", what)
	case store.Format == nil || store.Format.Type != "raw" || store.Format.MetadataCache != nil:
		return fmt.Errorf("the data store of %s is not raw", what)
	case sourceType(store.Source) == "":
		return fmt.Errorf("the data store of %s has an invalid source", what)
	case store.Source.DataStore != nil || store.Source.Slices != nil:
		return fmt.Errorf("the data store of %s has a nested data store or slices", what)
	}
	if err := writable(store.Source); err != nil {
		return errors.New("a data store has a source without a name")
	}
	return nil
}

// setDataStore returns the edit that replaces or adds the data store of a
// <source>, or removes it if store is nil.
func (d *Document) setDataStore(source *element, store *libvirtxml.DomainDiskDataStore) (edit, error) {
	old := source.child("dataStore")
	if store == nil {
		return d.remove(old), nil
	}
	plain := *store
	plain.Source = plainSource(store.Source)
	e, err := marshalled(&plain)
	switch {
	case err != nil:
		return edit{}, err
	case old != nil:
		return d.replace(old, e), nil
	case len(source.children) > 0:
		return d.insertAfter(lastOf(source.children), e), nil
	}

	// The <source> has no child yet.
	l := d.layoutIn(source.parent, source)
	indent, lines := d.indentOf(source)
	inside := d.data[source.open:source.close]
	l.lines = lines && len(bytes.TrimSpace(inside)) == 0
	before, after := "", ""
	if l.lines {
		l.eol, l.indent = d.eolBefore(source.start()-len(indent)), indent+l.step
		before, after = l.eol+l.indent, l.eol+indent
	}
	text := before + l.print(e)
	switch {
	case d.selfClosed(source):
		return edit{source.end - len("/>"), source.end, ">" + text + after + "</source>"}, nil
	case bytes.IndexByte(inside, '\n') >= 0:
		after = "" // the end tag is on a separate line
	}
	return edit{source.open, source.open, text + after}, nil
}

// selfClosed reports whether an element is written as <a/>.
func (d *Document) selfClosed(e *element) bool { return e.open == e.end }
