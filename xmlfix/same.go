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

// Same reports whether two disks, of whatever documents, mean the same: their XML states
// the same chain, and what else it has are the same elements, attributes and texts. White
// space around a text, the order of attributes, and that of elements with different names
// mean nothing, and neither do comments; versions of libvirt write them differently.
func (k *Disk) Same(other *Disk) bool {
	mine, err := k.Stated()
	theirs, otherErr := other.Stated()
	if err != nil || otherErr != nil {
		return reflect.DeepEqual(k.meaning(""), other.meaning(""))
	}
	mine.Guest, theirs.Guest = "", ""
	return reflect.DeepEqual(mine, theirs) && reflect.DeepEqual(k.meaning("backingStore"), other.meaning("backingStore"))
}

// Replace queues the edit that puts the text of another document's disk in the place of
// k's, in place of whatever was queued for k before.
func (k *Disk) Replace(by *Disk) {
	text := string(by.doc.data[by.elem.start():by.elem.end])
	k.wanted, k.replacement = nil, by
	k.layOut = func() ([]edit, error) { return []edit{{k.elem.start(), k.elem.end, text}}, nil }
}

// proveReplaced finds out whether again is the disk that k was replaced by.
func (k *Disk) proveReplaced(again *Disk) error {
	if !again.Same(k.replacement) {
		return errors.New("it is not the disk that was to be put there")
	}
	return nil
}

// Same reports whether two documents mean the same, as [Disk.Same] does for disks: for all
// that is in them. Queued edits do not show. Controllers may be in any order: libvirt
// puts one that it has added itself where it belongs only when it reads the definition
// again (9.0).
func (d *Document) Same(other *Document) bool {
	return string(d.data) == string(other.data) || reflect.DeepEqual(d.meaning(), other.meaning())
}

func (d *Document) meaning() *node {
	reader := strictxml.NewReader(d.data, strictxml.Limits{Depth: MaxDepth, Attrs: MaxAttrs})
	t := newTree("")
	for {
		token, err := reader.Token()
		if err != nil {
			return t.root // the end: Parse has read the document already
		}
		t.add(token)
	}
}

// meaning returns the disk as a tree, without its children of a name.
func (k *Disk) meaning(without string) *node {
	t := newTree(without)
	for _, token := range k.tokens {
		t.add(token)
	}
	return t.root
}

// node is an element as it is compared.
type node struct {
	name     xml.Name
	attrs    []xml.Attr
	text     string
	children []*node
}

// tree makes nodes of tokens.
type tree struct {
	root    *node   // around everything
	open    []*node // root, and the elements that have not ended
	without string  // children of the outermost element that do not count
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

// compareNodes leaves elements of one name in their order, which means something for most:
// the first disk is another than the second. A controller has an index instead.
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
