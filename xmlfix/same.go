package xmlfix

import (
	"cmp"
	"encoding/xml"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/chain/strictxml"
)

// Same reports whether two disks, possibly of different documents, are
// equivalent: their XML states the same chain and otherwise has the same
// elements, attributes and texts. It ignores white space around a text, the
// order of attributes, the order of elements with different names, and
// comments; versions of libvirt write them differently.
func (k *Disk) Same(other *Disk) bool {
	mine, err := k.Stated()
	theirs, otherErr := other.Stated()
	if err != nil || otherErr != nil {
		return reflect.DeepEqual(k.meaning(""), other.meaning(""))
	}
	mine.Guest, theirs.Guest = "", ""
	return reflect.DeepEqual(mine, theirs) && reflect.DeepEqual(k.meaning("backingStore"), other.meaning("backingStore"))
}

// Replace queues the edit that replaces k's text by that of another document's
// disk, and drops earlier edits of k.
func (k *Disk) Replace(by *Disk) {
	text := string(by.doc.data[by.elem.start():by.elem.end])
	k.wanted, k.replacement = nil, by
	k.layOut = func() ([]edit, error) { return []edit{{k.elem.start(), k.elem.end, text}}, nil }
}

// proveReplaced checks that again is the disk that replaced k.
func (k *Disk) proveReplaced(again *Disk) error {
	if !again.Same(k.replacement) {
		return errors.New("it is not the replacement")
	}
	return nil
}

// Same reports whether two documents are equivalent, in the sense of
// [Disk.Same]. Queued edits are not included. Controllers may be in any order:
// libvirt moves one that it has added to its place only when it reads the
// definition again (libvirt 9.0).
func (d *Document) Same(other *Document) bool {
	return string(d.data) == string(other.data) || reflect.DeepEqual(d.meaning(), other.meaning())
}

func (d *Document) meaning() *node {
	reader := strictxml.NewReader(d.data, strictxml.Limits{Depth: MaxDepth, Attrs: MaxAttrs})
	t := newTree("")
	for {
		token, err := reader.Token()
		if err != nil {
			return t.root // the end: Parse accepted the document before
		}
		t.add(token)
	}
}

// meaning returns the disk as a tree, without its children with the name
// without.
func (k *Disk) meaning(without string) *node {
	t := newTree(without)
	for _, token := range k.tokens {
		t.add(token)
	}
	return t.root
}

// node is an element for comparison.
type node struct {
	name     xml.Name
	attrs    []xml.Attr
	text     string
	children []*node
}

// tree builds nodes from tokens.
type tree struct {
	root    *node   // parent of the document's root
	open    []*node // root and the open elements
	without string  // name of ignored children of the outermost element
}

func newTree(without string) *tree {
	root := new(node)
	return &tree{root, []*node{root}, without}
}

func (t *tree) add(token xml.Token) {
	top := t.open[len(t.open)-1]
	switch token := token.(type) {
	case xml.StartElement:
		n := &node{name: token.Name, attrs: slices.Clone(token.Attr)}
		slices.SortFunc(n.attrs, func(a, b xml.Attr) int { return compareNames(a.Name, b.Name) })
		if len(t.open) != 2 || token.Name.Local != t.without {
			top.children = append(top.children, n)
		}
		t.open = append(t.open, n)
	case xml.EndElement:
		top.text = strings.TrimSpace(top.text)
		slices.SortStableFunc(top.children, compareNodes)
		t.open = t.open[:len(t.open)-1]
	case xml.CharData:
		if top != t.root {
			top.text += string(token)
		}
	}
}

// compareNodes keeps the order of elements with the same name, which usually
// matters: the first disk is not the second. A controller has an index
// instead.
func compareNodes(a, b *node) int {
	order := compareNames(a.name, b.name)
	if order == 0 && a.name.Local == "controller" {
		return cmp.Or(cmp.Compare(a.attr("type"), b.attr("type")), cmp.Compare(a.attr("index"), b.attr("index")))
	}
	return order
}

func (n *node) attr(name string) string {
	for _, a := range n.attrs {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func compareNames(a, b xml.Name) int {
	return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.Local, b.Local))
}
