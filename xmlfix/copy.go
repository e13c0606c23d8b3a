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

// A rewritten layer with a source from the XML keeps the <source> and, if it
// still fits, the <format> byte for byte, because libvirtxml may not know all
// of their content.

// statedElements are the elements in which the XML states a layer.
type statedElements struct {
	store  *element // nil for the disk's own image
	format *element // nil for the disk's own image
	source *element
}

// elementsOf returns the elements of the XML's i-th layer.
func (k *Disk) elementsOf(i int) statedElements {
	if i == 0 {
		return statedElements{source: k.elem.child("source")}
	}
	store := k.elem.backingStores()[i-1]
	return statedElements{store: store, format: store.child("format"), source: store.child("source")}
}

// checkCopies refuses to rewrite a layer if content of its XML would be lost.
func (k *Disk) checkCopies(p plan) error {
	for i, from := range p.copies {
		if from < 0 {
			continue
		}
		layer := p.lower()[i]
		if extra := k.uncopied(k.elementsOf(from), layer); extra != "" {
			return fmt.Errorf("%s has to be rewritten, which would lose a part of its XML: %s", storage.Describe(layer.Source), extra)
		}
	}
	return nil
}

// uncopied names content of a layer's XML outside of its <source> that is not
// copied.
func (k *Disk) uncopied(is statedElements, layer chain.Layer) string {
	if is.store == nil {
		for _, name := range []string{"auth", "encryption"} {
			if k.elem.child(name) != nil {
				return "the <" + name + "> of the disk"
			}
		}
		if is.source == nil {
			return "the missing <source>"
		}
		return ""
	}
	extra := besides(is.store, []string{"type", "index"}, []string{"format", "source", "backingStore"})
	if extra == "" && formatOf(is.format) != layer.Format.LibvirtName() {
		// The metadata cache belongs to the other format and is dropped.
		extra = besides(is.format, []string{"type"}, []string{"metadata_cache"})
	}
	return extra
}

// besides names an attribute or child of an element that is not in the lists.
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

// fragment is a new <backingStore>, with the texts that it copies from the
// document.
type fragment struct {
	root   *etree.Element
	copies []string // pairs: a printed placeholder and its text
}

// printed replaces the placeholders by their texts. No name or value can look
// like a placeholder: their '<' is escaped.
func (f *fragment) printed(text string) string {
	return strings.NewReplacer(f.copies...).Replace(text)
}

// standIn returns a placeholder element for a text.
func (f *fragment) standIn(text string) *etree.Element {
	name := "copy-" + strconv.Itoa(len(f.copies)/2)
	f.copies = append(f.copies, "<"+name+"/>", text)
	return etree.NewElement(name)
}

// storeFragment makes the <backingStore> of the rewritten layers; without any
// it is the empty one that ends a chain.
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

// copyStore makes the <backingStore> of a layer with the source of the XML's
// layer from.
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

// plainEdits returns the edits that turn a <source> into that of a backing
// image, as plainSource does.
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

// copyOf returns the text of an element with edits applied.
func (d *Document) copyOf(e *element, edits []edit) string {
	start := e.start()
	for i := range edits {
		edits[i].start -= start
		edits[i].end -= start
	}
	return string(splice(d.data[start:e.end], edits))
}

// formatOf returns the type of a <format>, or "".
func formatOf(format *element) string {
	name, _ := format.attr("type")
	return name
}
