package page

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// A link is how an image names the one below it.
type link int

const (
	recorded link = iota // the overlay or the XML has the format of the image below
	guessed              // neither the overlay nor the XML has it
	broken               // the image below is missing, or cannot be used
	loop                 // the image below is an overlay of this one
)

// node is one image in the picture.
type node struct {
	image *report.Image
	below int   // the node of the image below it; -1 for none
	above []int // its overlays, in the order of the report
	link  link  // the link to the image below
	// shape is equal for two nodes that look alike, with everything above them, except for names.
	shape    int
	images   int  // how many images are in the tree of this node
	troubled bool // one of them has its own problem
	uneasy   bool // or a link whose format is not recorded
}

// own reports whether the image, or its data file, has its own problem.
func (f *forest) own(n *node) bool {
	data := f.dataFile(n)
	return n.image.Problem || missing(n.image) || data != nil && f.own(data)
}

// dataFile returns the node of the image's data file, which is drawn with it, or nil.
func (f *forest) dataFile(n *node) *node {
	if i, ok := f.byKey[n.image.DataFile]; ok && f.data[n.image.DataFile] == n.image.Key {
		return &f.nodes[i]
	}
	return nil
}

func missing(i *report.Image) bool { return i.Exists != nil && !*i.Exists }

// forest is the images of a host, each above its backing image: one tree for each image at the bottom.
type forest struct {
	nodes  []node
	byKey  map[string]int
	shapes map[string]int
	texts  []string          // of the shapes
	data   map[string]string // the image that a data file belongs to
}

// newForest takes any report, even one with a loop of images: a loop is cut where it was found first.
func newForest(h *report.Host) *forest {
	f := &forest{nodes: make([]node, len(h.Images)), byKey: make(map[string]int), shapes: make(map[string]int), data: make(map[string]string)}
	for i := range h.Images {
		f.nodes[i] = node{image: &h.Images[i], below: -1}
		f.byKey[h.Images[i].Key] = i
		key, file := h.Images[i].Key, h.Images[i].DataFile
		if f.data[key] == "" && f.data[file] == "" && file != "" && file != key {
			f.data[file] = key
		}
	}
	for i := range f.nodes {
		if below, ok := f.byKey[f.nodes[i].image.Below]; ok {
			f.nodes[i].below = below
		}
	}
	f.cutCircles()
	unstated := unstatedLinks(h)
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.below < 0 {
			continue
		}
		below := &f.nodes[n.below]
		below.above = append(below.above, i)
		switch {
		case missing(below.image) || below.image.Problem && below.image.Exists == nil:
			n.link = broken
		case unstated[[2]string{n.image.Key, below.image.Key}]:
			n.link = guessed
		case below.image.Problem:
			n.link = broken
		}
	}
	f.setShapes()
	return f
}

func (f *forest) cutCircles() {
	const unseen, onPath, done = 0, 1, 2
	state := make([]int, len(f.nodes))
	for i := range f.nodes {
		var path []int
		for n := i; n >= 0 && state[n] == unseen; n = f.nodes[n].below {
			state[n] = onPath
			path = append(path, n)
			if below := f.nodes[n].below; below >= 0 && state[below] == onPath {
				f.nodes[n].below, f.nodes[n].link = -1, loop
			}
		}
		for _, n := range path {
			state[n] = done
		}
	}
}

// elsewhere are the origins of a format that neither the overlay nor the XML has, so that libvirt does not
// know it: none, the header, the operator, and another guest's disk.
var elsewhere = []string{"", "probe", "trust", "libvirt"}

// unstatedLinks returns the pairs of an overlay and its backing image whose format a chain does not
// state.
func unstatedLinks(h *report.Host) map[[2]string]bool {
	all := make(map[[2]string]bool)
	for _, g := range h.Guests {
		for _, d := range g.Disks {
			for i := 1; i < len(d.Layers); i++ {
				if slices.Contains(elsewhere, d.Layers[i].From) {
					all[[2]string{d.Layers[i-1].Image, d.Layers[i].Image}] = true
				}
			}
		}
	}
	return all
}

// upwards returns all nodes, each after the one below it.
func (f *forest) upwards() []int {
	var order []int
	for i := range f.nodes {
		if f.nodes[i].below < 0 {
			order = append(order, i)
		}
	}
	for next := 0; next < len(order); next++ {
		order = append(order, f.nodes[order[next]].above...)
	}
	return order
}

func (f *forest) setShapes() {
	order := f.upwards()
	for _, i := range slices.Backward(order) {
		n := &f.nodes[i]
		n.images, n.troubled, n.uneasy = 1, f.own(n), f.own(n) || n.link != recorded
		look := []string{n.image.Format, strconv.Itoa(int(n.link)), f.stateOf(n).Text, strconv.FormatBool(f.writtenBelow(n)), strconv.FormatBool(n.image.DataFile != "")}
		text := cmp.Or(formatOf(n.image), f.stateOf(n).Text)
		var above []string
		for _, a := range n.above {
			up := &f.nodes[a]
			n.images += up.images
			n.troubled = n.troubled || up.troubled
			n.uneasy = n.uneasy || up.uneasy
			above = append(above, strconv.Itoa(up.shape))
		}
		slices.Sort(above)
		key := strings.Join(append(look, above...), "\x00")
		shape, known := f.shapes[key]
		if !known {
			shape = len(f.texts)
			f.shapes[key] = shape
			f.texts = append(f.texts, f.shapeText(n, text))
		}
		n.shape = shape
	}
}

// shapeText returns the formats of a tree, from the bottom.
func (f *forest) shapeText(n *node, text string) string {
	switch {
	case len(n.above) == 1:
		text += " ← " + f.texts[f.nodes[n.above[0]].shape]
	case len(n.above) > 1:
		text += " ← " + counted(n.images-1, "image")
	}
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// writtenBelow reports whether guests write to an image that has overlays.
func (f *forest) writtenBelow(n *node) bool { return len(n.above) > 0 && len(n.image.Writers) > 0 }

func (f *forest) stateOf(n *node) outcomeWord {
	switch {
	case missing(n.image):
		return outcomeWord{"does not exist", "error"}
	case n.image.Problem && n.image.Exists == nil:
		return outcomeWord{"cannot be read", "error"}
	case n.image.Problem:
		return outcomeWord{"format undecided", "error"}
	case n.link == loop:
		return outcomeWord{"backing loop", "error"}
	}
	if data := f.dataFile(n); data != nil && f.own(data) {
		return outcomeWord{"its data file " + f.stateOf(data).Text, "error"}
	}
	return outcomeWord{}
}

func formatOf(i *report.Image) string {
	switch {
	case i.Format != "":
		return plain(i.Format)
	case missing(i):
		return ""
	}
	return "format unknown"
}
