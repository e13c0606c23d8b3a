// Package tree draws the backing chains of a host for a terminal: each base once, its overlays
// below it, and the guests' disks at the ends.
//
// It uses only the report on the host. Names are untrusted: they are quoted unless they are plain.
package tree

import (
	"cmp"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// fold is how many equal nodes are drawn as one.
const fold = 3

// node is an image, or several similar ones with similar overlays, or without an image disks.
type node struct {
	names    []string // of the images or disks, the first one first
	remarks  string   // remarks on each
	disk     bool
	children []*node
	shape    string // equal for nodes that are drawn as one
}

// forest makes the nodes of a report.
type forest struct {
	host       *report.Host
	images     map[string]*report.Image
	codes      map[string][]string // the refusals that are about an image, by its key
	asked      map[[2]string]bool  // refusals that an answer can resolve, by image and code
	taken      map[string][]string // the formats of an image in the chains, by its key
	above      map[string][]string // the keys of an image's overlays
	hasBacking map[string]bool     // an image hasBacking on another
	disks      map[string][]*node  // the disks whose top image it is
	order      []string            // keys, in the order found
	met        map[string]bool     // the same
	edges      map[[2]string]bool  // the pairs in above: lower, upper
	made       map[string]bool     // images that have a node
}

// newForest collects the overlays of each image, over all chains.
func newForest(h *report.Host) *forest {
	f := &forest{host: h, images: make(map[string]*report.Image), codes: make(map[string][]string), asked: make(map[[2]string]bool), taken: make(map[string][]string),
		above:      make(map[string][]string),
		hasBacking: make(map[string]bool), disks: make(map[string][]*node), met: make(map[string]bool), edges: make(map[[2]string]bool), made: make(map[string]bool)}
	for i := range h.Images {
		f.images[h.Images[i].Key] = &h.Images[i]
	}
	for _, d := range h.Questions() {
		f.asked[[2]string{d.Image, d.Code}] = true
		if len(d.Answers) > 0 && d.Answers[0].Format != "" {
			f.asked[[2]string{d.Image, ""}] = true // whatever the code is
		}
	}
	for i := range h.Guests {
		for j := range h.Guests[i].Disks {
			f.addDisk(&h.Guests[i], &h.Guests[i].Disks[j])
		}
	}
	return f
}

func (f *forest) addDisk(g *report.Guest, d *report.Disk) {
	var keys []string
	for _, layer := range d.Layers {
		if f.images[layer.Image] == nil || slices.Contains(keys, layer.Image) {
			continue // a loop, or an image without a name
		}
		keys = append(keys, layer.Image)
		if taken := f.taken[layer.Image]; layer.QEMUFormat != "" && !slices.Contains(taken, layer.QEMUFormat) {
			f.taken[layer.Image] = append(taken, layer.QEMUFormat)
		}
		if !f.met[layer.Image] {
			f.met[layer.Image] = true
			f.order = append(f.order, layer.Image)
		}
	}
	if len(keys) == 0 {
		return
	}
	for i, key := range keys[1:] {
		edge := [2]string{key, keys[i]}
		if f.edges[edge] {
			continue
		}
		if f.reaches(keys[i], key, make(map[string]bool)) {
			break // another chain has them in reverse order
		}
		f.edges[edge], f.hasBacking[keys[i]] = true, true
		f.above[key] = append(f.above[key], keys[i])
	}
	leaf := &node{disk: true, names: []string{shown(g.Name) + " " + shown(d.Target)}, remarks: becauseOf(g, d)}
	for _, finding := range d.Findings {
		switch {
		case finding.Level != "error":
		case finding.Layer != nil && *finding.Layer >= 0 && *finding.Layer < len(d.Layers):
			key := d.Layers[*finding.Layer].Image
			if !slices.Contains(f.codes[key], finding.Code) {
				f.codes[key] = append(f.codes[key], finding.Code)
			}
		default:
			leaf.remarks = join(leaf.remarks, f.refusal("", finding.Code))
		}
	}
	f.disks[keys[0]] = append(f.disks[keys[0]], leaf)
}

// reaches reports whether another image is above this one, at any distance.
func (f *forest) reaches(lower, upper string, seen map[string]bool) bool {
	if seen[lower] {
		return false
	}
	seen[lower] = true
	return lower == upper || slices.ContainsFunc(f.above[lower], func(next string) bool { return f.reaches(next, upper, seen) })
}

// states are the needs of a disk in words.
var states = map[string]string{"refused": "will not start", "misopened": "reads the wrong data", "guessed": "starts by a guess", "unknown": "unknown: not readable here"}

func becauseOf(g *report.Guest, d *report.Disk) string {
	text := ""
	if g.Active {
		text = "running"
	}
	return join(text, states[d.Because])
}

// roots returns the nodes of the images at the bottom, folded.
func (f *forest) roots() []*node {
	var all []*node
	for _, key := range f.order {
		if !f.hasBacking[key] {
			all = append(all, f.node(key))
		}
	}
	return folded(all)
}

// node returns the node of an image, with everything above it. If an image has two backing
// images in different chains, what is above it is drawn once.
func (f *forest) node(key string) *node {
	image := f.images[key]
	n := &node{names: []string{shown(image.Name)}}
	if f.made[key] {
		n.remarks = "its overlays are drawn elsewhere"
		return n.shaped()
	}
	f.made[key] = true
	for _, upper := range f.above[key] {
		n.children = append(n.children, f.node(upper))
	}
	n.remarks = f.remarks(image)
	n.children = folded(append(n.children, f.disks[key]...))
	return n.shaped()
}

// origins are the sources of a format other than the XML and headers.
var origins = map[string]string{"probe": "guessed from its header", "trust": "stated by the operator", "libvirt": "stated by another guest's disk"}

func (f *forest) remarks(i *report.Image) string {
	text := cmp.Or(i.QEMUFormat, "format not known")
	if taken := f.taken[i.Key]; len(taken) > 1 {
		text = "as " + strings.Join(taken, " and as ")
	}
	text = join(text, origins[i.From])
	if i.Exists != nil && !*i.Exists {
		text = join(text, "DOES NOT EXIST")
	}
	for _, code := range f.codes[i.Key] {
		if code != "image-missing" {
			text = join(text, f.refusal(i.Key, code))
		}
	}
	if i.Backing != "" && !f.hasBacking[i.Key] {
		text = join(text, "its header names "+i.Backing+", which is not followed")
	}
	if data := f.images[i.DataFile]; data != nil {
		text = join(text, "data in "+shown(data.Name))
	}
	if len(i.Writers) > 0 && len(f.above[i.Key]) > 0 {
		text = join(text, "WRITTEN TO by "+shown(i.Writers[0].Guest)+" "+shown(i.Writers[0].Target))
	}
	return text
}

// refusal returns a refusal in the words of the summary.
func (f *forest) refusal(key, code string) string {
	if f.asked[[2]string{key, code}] || f.asked[[2]string{key, ""}] {
		return "NEEDS A DECISION: " + code
	}
	return "CANNOT BE FIXED: " + code
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", " + b
}

// shaped sets the shape of a node whose children are folded.
func (n *node) shaped() *node {
	var b strings.Builder
	b.WriteString(n.remarks)
	if n.disk {
		b.WriteString("\x00d")
	}
	b.WriteString("\x00(")
	for _, c := range n.children {
		b.WriteString(c.shape)
		if len(c.names) >= fold {
			b.WriteString("*") // whatever their number
		}
	}
	b.WriteString(")")
	n.shape = b.String()
	return n
}

// folded merges equal nodes, if there are enough, in the order of the first.
func folded(all []*node) []*node {
	groups := make(map[string][]*node)
	for _, n := range all {
		n.shaped()
		groups[n.shape] = append(groups[n.shape], n)
	}
	var out []*node
	for _, n := range all {
		group := groups[n.shape]
		switch {
		case len(group) < fold:
			out = append(out, n)
		case group[0] == n:
			out = append(out, merged(group))
		}
	}
	return out
}

// merged merges nodes of one shape, which have children of the same shapes in the same order.
func merged(group []*node) *node {
	one := &node{remarks: group[0].remarks, disk: group[0].disk, shape: group[0].shape}
	for _, n := range group {
		one.names = append(one.names, n.names...)
	}
	for i := range group[0].children {
		var children []*node
		for _, n := range group {
			children = append(children, n.children[i])
		}
		one.children = append(one.children, merged(children))
	}
	return one
}
