package page

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
)

// How much is drawn without unfolding.
const (
	mostAlike    = 3 // images that look alike
	mostTroubled = 8 // such images with their own problem
	mostInARow   = 6 // layers in a row without findings
	mostDeep     = 5 // nested branches; deeper ones are drawn apart
	mostNames    = 3 // guests of an image by name
)

// pictureView is the chains of a host.
type pictureView struct {
	Trees  []strand // trees with problems
	Fine   []strand
	Images int // in Fine
	legend
}

// legend records which kinds of links and images are drawn, so that only they are
// explained.
type legend struct{ Recorded, Guessed, Broken, Folded bool }

// A strand is a run of images, each an overlay of the one before, and the branches on the last one.
type strand struct {
	Above    string // the anchor of its backing image, if that is drawn elsewhere
	On       path   // its name
	on       int    // its node
	Link     string // the class of the link to the image below
	Steps    []step
	Branches []strand
	Fold     *fold  // instead of all that: similar trees
	Goes     string // the anchor of the last image, if its overlays are drawn elsewhere
	GoesOn   int    // and how many images those are
}

// A step is an image, or several in a row without findings.
type step struct {
	Box  *box
	Row  *fold
	Link string // the class of the link to the image below
}

// A fold lists images by name only.
type fold struct {
	Count   string
	What    string
	State   outcomeWord
	Guessed bool
	Dir     string // of all names
	Lines   []names
}

// names are some names, and the number of the others.
type names struct {
	Names []string
	More  int
}

// box is one image in full.
type box struct {
	ID      string
	Name    path
	Class   string
	Format  string
	Size    string
	Claims  string
	State   outcomeWord
	Ask     string // the anchor of the decision about it
	AskN    int
	Guessed bool
	Names   []string // its other names
	Guests  names
	Count   string // how many guests, if they are not named
	Writers names
	Data    string // its data file
	Backing string // the backing image that it names, if that is not drawn
}

// painter draws a forest.
type painter struct {
	*forest
	prefix    string            // of anchors
	decisions map[string]int    // by the key of the image
	drawn     map[string]string // the anchors of boxes, by the key of the image
	legend    legend
	beside    []strand
}

func (p *painter) id(n int) string { return fmt.Sprintf("%si%d", p.prefix, n+1) }

// picture draws everything: trees with problems first, and of these the largest.
func (p *painter) picture() pictureView {
	var uneasy, fine []int
	for i := range p.nodes {
		n := &p.nodes[i]
		switch {
		case n.below >= 0, p.data[n.image.Key] != "" && len(n.above) == 0:
		case n.uneasy:
			uneasy = append(uneasy, i)
		default:
			fine = append(fine, i)
		}
	}
	rank := func(a, b int) int {
		x, y := &p.nodes[a], &p.nodes[b]
		if x.troubled != y.troubled {
			return cmp.Compare(b2i(y.troubled), b2i(x.troubled))
		}
		return cmp.Compare(y.images, x.images)
	}
	slices.SortStableFunc(uneasy, rank)
	slices.SortStableFunc(fine, rank)
	v := pictureView{Trees: p.all(p.strands(uneasy, 0)), Fine: p.all(p.strands(fine, 0))}
	for _, i := range fine {
		v.Images += p.nodes[i].images
	}
	v.legend = p.legend
	return v
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// all returns these strands and those to be drawn apart.
func (p *painter) all(drawn []strand) []strand {
	for len(p.beside) > 0 {
		later := p.beside
		p.beside = nil
		for _, s := range later {
			s.Branches = p.strands(p.nodes[s.on].above, 0)
			drawn = append(drawn, s)
		}
	}
	return drawn
}

// strands draws the trees above one image, or above none: similar ones once.
func (p *painter) strands(nodes []int, deep int) []strand {
	var shapes []int
	alike := make(map[int][]int)
	for _, n := range nodes {
		shape := p.nodes[n].shape
		if alike[shape] == nil {
			shapes = append(shapes, shape)
		}
		alike[shape] = append(alike[shape], n)
	}
	var all []strand
	for _, shape := range shapes {
		group := alike[shape]
		draw := len(group)
		switch {
		case p.nodes[group[0]].troubled && draw > mostTroubled:
			draw = mostTroubled
		case !p.nodes[group[0]].troubled && draw > mostAlike:
			draw = 0
		}
		for _, n := range group[:draw] {
			all = append(all, p.strand(n, deep))
		}
		if draw < len(group) {
			all = append(all, p.folded(group[draw:], draw > 0))
		}
	}
	return all
}

func (p *painter) strand(n, deep int) strand {
	s := strand{Link: p.linkClass(n)}
	run := []int{n}
	for len(p.nodes[n].above) == 1 {
		n = p.nodes[n].above[0]
		run = append(run, n)
	}
	s.Steps = p.steps(run)
	above := p.nodes[n].above
	switch {
	case len(above) == 0:
	case deep == mostDeep:
		s.Goes, s.GoesOn = p.id(n), p.nodes[n].images-1
		p.beside = append(p.beside, strand{Above: p.id(n), On: pathOf(p.nodes[n].image.Name), on: n})
	default:
		s.Branches = p.strands(above, deep+1)
	}
	return s
}

// steps draws images in a row. Of those without findings only the first and the last are drawn.
func (p *painter) steps(run []int) []step {
	var all []step
	for i := 0; i < len(run); {
		quiet := i
		for quiet < len(run) && p.quiet(run[quiet]) {
			quiet++
		}
		if n := quiet - i; n > mostInARow {
			all = append(all, p.step(run[i]), p.row(run[i+1:quiet-1]), p.step(run[quiet-1]))
			i = quiet
			continue
		}
		all = append(all, p.step(run[i]))
		i++
	}
	return all
}

func (p *painter) quiet(i int) bool {
	n := &p.nodes[i]
	return !p.own(n) && n.link == recorded && n.image.Format != "" && !p.writtenBelow(n) && n.image.DataFile == ""
}

func (p *painter) step(n int) step { return step{Box: p.box(n), Link: p.linkClass(n)} }

func (p *painter) row(run []int) step {
	p.legend.Folded = true
	f := &fold{Count: thousands(len(run)), What: "more layers in a row"}
	var trees []names
	for _, n := range run {
		trees = append(trees, names{Names: []string{p.nodes[n].image.Name}})
	}
	f.setNames(trees)
	return step{Row: f, Link: p.linkClass(run[0])}
}

func (p *painter) linkClass(i int) string {
	n := &p.nodes[i]
	switch {
	case n.link == guessed:
		p.legend.Guessed = true
		return "guessed"
	case n.link == broken || n.link == loop:
		p.legend.Broken = true
		return "broken"
	case n.below >= 0:
		p.legend.Recorded = true
	}
	return "recorded"
}

// folded draws similar trees as one.
func (p *painter) folded(group []int, others bool) strand {
	p.legend.Folded = true
	first := &p.nodes[group[0]]
	f := &fold{Count: thousands(len(group)), What: "× " + p.texts[first.shape], State: p.stateOf(first), Guessed: first.link == guessed}
	if first.images == 1 {
		f.What = p.texts[first.shape] + " images"
		if first.below >= 0 {
			f.What = p.texts[first.shape] + " overlays"
		}
	}
	if others {
		f.What = "more " + f.What
	}
	var trees []names
	for _, n := range group {
		trees = append(trees, p.treeNames(n))
	}
	f.setNames(trees)
	return strand{Link: p.linkClass(group[0]), Fold: f}
}

// treeNames returns the names of a tree, from the bottom, up to as many as anybody reads.
func (p *painter) treeNames(n int) names {
	const most = 12
	var all []string
	queue := []int{n}
	for len(queue) > 0 && len(all) < most {
		all = append(all, p.nodes[queue[0]].image.Name)
		queue = append(queue[1:], p.nodes[queue[0]].above...)
	}
	return names{all, p.nodes[n].images - len(all)}
}

// setNames writes each tree as a line. A folder that all images share is written once.
func (f *fold) setNames(trees []names) {
	dir, same := pathOf(trees[0].Names[0]).Dir, true
	for _, tree := range trees {
		for _, name := range tree.Names {
			same = same && pathOf(name).Dir == dir
		}
	}
	if same {
		f.Dir = dir
	}
	for _, tree := range trees {
		for i, name := range tree.Names {
			tree.Names[i] = text.Name(name)
			if same {
				tree.Names[i] = pathOf(name).Base
			}
		}
		f.Lines = append(f.Lines, tree)
	}
}

func (p *painter) box(i int) *box {
	n := &p.nodes[i]
	im := n.image
	b := &box{ID: p.id(i), Name: pathOf(im.Name), State: p.stateOf(n), Guessed: n.link == guessed, Format: formatOf(im)}
	if b.Guests = some(im.Guests, mostNames); b.Guests.More > 0 {
		b.Guests, b.Count = names{}, counted(len(im.Guests), "guest")
	}
	p.drawn[im.Key] = b.ID
	b.Class = b.State.Class
	if im.VirtualSize != nil {
		b.Size = bytesOf(*im.VirtualSize)
	}
	if im.Claims != "" && im.Claims != im.QEMUFormat {
		b.Claims = plain(im.Claims)
	}
	for _, name := range im.Names {
		if name != im.Name {
			b.Names = append(b.Names, text.Name(name))
		}
	}
	if d, ok := p.decisions[im.Key]; ok {
		b.Ask, b.AskN = fmt.Sprintf("%sd%d", p.prefix, d), d
		b.State.Text = cmp.Or(b.State.Text, "format undecided")
	}
	if p.writtenBelow(n) {
		var writers []string
		for _, w := range im.Writers {
			writers = append(writers, w.Guest+" ("+w.Target+")")
		}
		b.Writers = some(writers, mostNames)
	}
	if data := p.dataFile(n); data != nil {
		b.Data = text.Name(data.image.Name)
	}
	if n.below < 0 && im.Backing != "" {
		b.Backing = plain(im.Backing)
	}
	return b
}

// some returns the first of some names.
func some(all []string, most int) names {
	var n names
	for _, name := range all[:min(len(all), most)] {
		n.Names = append(n.Names, text.Name(name))
	}
	n.More = len(all) - len(n.Names)
	return n
}
