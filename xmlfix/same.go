package xmlfix

import (
	"cmp"
	"encoding/xml"
	"errors"
	"reflect"
	"slices"
	"strings"
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

// node is an element as [Disk.Same] compares it.
type node struct {
	name     xml.Name
	attrs    []xml.Attr
	text     string
	children []*node
}

// meaning returns the disk as a tree, without its children of a name.
func (k *Disk) meaning(without string) *node {
	root := new(node)
	open := []*node{root}
	for _, token := range k.tokens {
		top := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			n := &node{name: t.Name, attrs: slices.Clone(t.Attr)}
			slices.SortFunc(n.attrs, func(a, b xml.Attr) int { return compareNames(a.Name, b.Name) })
			if len(open) != 2 || t.Name.Local != without {
				top.children = append(top.children, n)
			}
			open = append(open, n)
		case xml.EndElement:
			top.text = strings.TrimSpace(top.text)
			slices.SortStableFunc(top.children, func(a, b *node) int { return compareNames(a.name, b.name) })
			open = open[:len(open)-1]
		case xml.CharData:
			top.text += string(t)
		}
	}
	return root
}

func compareNames(a, b xml.Name) int {
	return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.Local, b.Local))
}
