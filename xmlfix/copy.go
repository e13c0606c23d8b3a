package xmlfix

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/beevik/etree"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/chain/strictxml"
)

// A layer that is written anew, but has its source from the XML, keeps the
// <source> and, if it still fits, the <format> byte for byte: libvirtxml need
// not know all that is in them.

// statedElements are where the XML states a layer.
type statedElements struct {
	store  *element // nil for the disk's own image
	format *element // nil for the disk's own image
	source *element
}

// elementsOf returns where the XML states its i-th layer.
func (k *Disk) elementsOf(i int) statedElements {
	if i == 0 {
		return statedElements{source: k.elem.child("source")}
	}
	store := k.elem.backingStores()[i-1]
	return statedElements{store: store, format: store.child("format"), source: store.child("source")}
}

// checkCopies refuses to write a layer anew if the XML says something of it
// that would be lost.
func (k *Disk) checkCopies(p plan) error {
	for i, from := range p.copies {
		if from < 0 {
			continue
		}
		layer := p.lower()[i]
		if extra := k.uncopied(k.elementsOf(from), layer); extra != "" {
			return fmt.Errorf("%s has to be written anew, and what the XML says of it would be lost: %s", storage.Describe(layer.Source), extra)
		}
	}
	return nil
}

// uncopied names what the XML says of a layer in another place than its
// <source>, and is not copied.
func (k *Disk) uncopied(is statedElements, layer chain.Layer) string {
	if is.store == nil {
		for _, name := range []string{"auth", "encryption"} {
			if k.elem.child(name) != nil {
				return "the <" + name + "> of the disk"
			}
		}
		if is.source == nil {
			return "that it has no <source>"
		}
		return ""
	}
	extra := besides(is.store, []string{"type", "index"}, []string{"format", "source", "backingStore"})
	if extra == "" && formatOf(is.format) != layer.Format.LibvirtName() {
		// What belongs to the other format has to go.
		extra = besides(is.format, []string{"type"}, []string{"metadata_cache"})
	}
	return extra
}

// besides names something that an element has besides attributes and children
// that are known.
func besides(e *element, attrs, children []string) string {
	for _, a := range e.attrs {
		if !slices.Contains(attrs, a.name) {
			return "the attribute " + strictxml.Shown(a.name) + " of its <" + e.name + ">"
		}
	}
	for _, c := range e.children {
		if !slices.Contains(children, c.name) {
			return "the <" + strictxml.Shown(c.name) + "> in its <" + e.name + ">"
		}
	}
	return ""
}

// fragment is a <backingStore> that is to be written, with the texts of what it
// has from the document.
type fragment struct {
	root   *etree.Element
	copies []string // pairs: a stand-in as it is printed, and its text
}

// printed puts the texts in for their stand-ins. No name or value can look like
// one: their '<' is escaped.
func (f *fragment) printed(text string) string {
	return strings.NewReplacer(f.copies...).Replace(text)
}

// standIn returns an element that is printed in place of a text.
func (f *fragment) standIn(text string) *etree.Element {
	name := "copy-" + strconv.Itoa(len(f.copies)/2)
	f.copies = append(f.copies, "<"+name+"/>", text)
	return etree.NewElement(name)
}

// storeFragment lays out the <backingStore> of the layers that are written
// anew; of none it is the empty one that ends a chain.
func (k *Disk) storeFragment(p plan) (*fragment, error) {
	f := &fragment{root: etree.NewElement("backingStore")}
	for i := len(p.lower()) - 1; i >= 0; i-- {
		layer := p.lower()[i]
		e, err := marshalled(storeOf(layer))
		if err != nil {
			return nil, err
		}
		if from := p.copies[i]; from >= 0 {
			if e, err = k.copyStore(f, from, layer); err != nil {
				return nil, err
			}
		}
		e.AddChild(f.root)
		f.root = e
	}
	return f, nil
}

// copyStore makes the <backingStore> of a layer that has the source of the
// from-th of the XML's.
func (k *Disk) copyStore(f *fragment, from int, layer chain.Layer) (*etree.Element, error) {
	is := k.elementsOf(from)
	e := etree.NewElement("backingStore")
	e.CreateAttr("type", sourceType(layer.Source))
	name := layer.Format.LibvirtName()
	if formatOf(is.format) == name {
		e.AddChild(f.standIn(k.doc.copyOf(is.format, nil)))
	} else {
		e.CreateElement("format").CreateAttr("type", name)
	}
	edits := plainEdits(is.source)
	if !sameDataStore(layer.Source, k.read.Layers[from].Source) {
		edit, err := k.doc.setDataStore(is.source, layer.Source.DataStore)
		if err != nil {
			return nil, err
		}
		edits = append(edits, edit)
	}
	e.AddChild(f.standIn(k.doc.copyOf(is.source, edits)))
	return e, nil
}

// plainEdits makes of a <source> that of a backing image, as plainSource does.
func plainEdits(source *element) []edit {
	var edits []edit
	before := source.nameEnd
	for _, a := range source.attrs {
		if a.name == "index" || a.name == "startupPolicy" {
			edits = append(edits, edit{before, a.end, ""})
		}
		before = a.end
	}
	return edits
}

// copyOf returns the text of an element with edits in it.
func (d *Document) copyOf(e *element, edits []edit) string {
	start := e.start()
	for i := range edits {
		edits[i].start -= start
		edits[i].end -= start
	}
	return string(splice(d.data[start:e.end], edits))
}

// formatOf returns the type of a <format>; "" if there is none.
func formatOf(format *element) string {
	name, _ := format.attr("type")
	return name
}
