package tree

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// Options select how a tree is drawn.
type Options struct {
	// Width is how many columns a line may have; 0 for no limit. The prefix of a name and some
	// of the name are always drawn.
	Width int
	// ASCII draws the lines with ASCII characters only.
	ASCII bool
}

// marks are what the lines are drawn with.
type marks struct{ branch, last, down, none, on string }

var (
	lines      = marks{"├─ ", "└─ ", "│  ", "   ", "↑ "}
	asciiLines = marks{"|- ", "`- ", "|  ", "   ", "^ "}
)

// Draw writes the tree of a host. It returns w's error.
func Draw(w io.Writer, h *report.Host, o Options) error {
	d := &drawing{options: o, marks: lines}
	if o.ASCII {
		d.marks = asciiLines
	}
	roots := newForest(h).roots()
	for _, root := range roots {
		d.node(root, "", "", false)
	}
	d.others(h)
	_, err := io.WriteString(w, d.text.String())
	return err
}

type drawing struct {
	options Options
	marks   marks
	text    strings.Builder
}

// node draws a node; its own line begins with first, the lines below it with rest. The margin
// does not grow in a run of images that have only one overlay each (only: this is one): chains
// may have two hundred of them.
func (d *drawing) node(n *node, first, rest string, only bool) {
	d.line(first, rest, n)
	if only && len(n.children) == 1 && !n.children[0].disk {
		d.node(n.children[0], rest+d.marks.on, rest, true)
		return
	}
	for i, c := range n.children {
		if i == len(n.children)-1 {
			d.node(c, rest+d.marks.last, rest+d.marks.none, i == 0 && !c.disk)
		} else {
			d.node(c, rest+d.marks.branch, rest+d.marks.down, false)
		}
	}
}

// someNames is how many names of a folded node are drawn if the width has no limit.
const someNames = 8

// line draws the line of a node. On a narrow terminal it drops the beginnings of names, which
// differ least, and all but some names, and moves the remarks to lines of their own, which
// begin with rest.
func (d *drawing) line(first, rest string, n *node) {
	remarks := ""
	if n.remarks != "" {
		remarks = "  (" + n.remarks + ")"
	}
	width := d.options.Width
	if len(n.names) > 1 {
		what := "images: "
		if n.disk {
			what = "disks: "
		}
		if !strings.HasSuffix(first, ": ") {
			first += strconv.Itoa(len(n.names)) + " " + what
		}
	}
	names, more := n.names[:min(len(n.names), someNames)], ""
	for {
		if len(names) < len(n.names) {
			more = ", ..."
		}
		if len(names) == 1 || width == 0 || columns(first+strings.Join(names, ", ")+more+remarks) <= width {
			break
		}
		names = names[:len(names)-1]
	}
	text := strings.Join(names, ", ")
	if line := first + text + more + remarks; width == 0 || columns(line) <= width {
		d.text.WriteString(line + "\n")
		return
	}
	d.text.WriteString(cut(first+shortened(text, width-columns(first+more))+more, width) + "\n")
	d.wrapped(rest+strings.Repeat(" ", len("   ")), n.remarks)
}

// wrapped draws a text in lines that begin with a margin.
func (d *drawing) wrapped(margin, text string) {
	line := margin
	for i, word := range strings.Fields(text) {
		if i > 0 && columns(line+" "+word) > d.options.Width {
			d.text.WriteString(cut(line, d.options.Width) + "\n")
			line = margin
		}
		if line != margin {
			line += " "
		}
		line += word
	}
	if line != margin {
		d.text.WriteString(cut(line, d.options.Width) + "\n")
	}
}

const (
	left      = "..."
	leastName = 16 // how much of a name is always drawn, in columns
)

// shortened drops the beginning of a name that does not fit.
func shortened(name string, width int) string {
	runes := []rune(name)
	if keep := max(width-len(left), leastName); keep+len(left) < len(runes) {
		return left + string(runes[len(runes)-keep:])
	}
	return name
}

// cut drops the end of a line that does not fit.
func cut(line string, width int) string {
	runes := []rune(line)
	if len(runes) <= width {
		return line
	}
	return string(runes[:max(width-len(left), 0)]) + left[:min(len(left), width)]
}

// columns returns how many columns a text takes. Wide characters count as one.
func columns(text string) int { return utf8.RuneCountInString(text) }

// others names the guests without an image in the tree.
func (d *drawing) others(h *report.Host) {
	var unread, broken, without []string
	for _, g := range h.Guests {
		drawn := slices.ContainsFunc(g.Disks, func(disk report.Disk) bool { return len(disk.Layers) > 0 && disk.Layers[0].Image != "" })
		switch {
		case g.State == report.Unreadable:
			unread = append(unread, shown(g.Name))
		case !drawn && slices.ContainsFunc(g.Disks, func(disk report.Disk) bool { return disk.Verdict == "refused" }):
			broken = append(broken, shown(g.Name))
		case !drawn:
			without = append(without, shown(g.Name))
		}
	}
	for _, of := range []struct {
		title string
		names []string
	}{{"guests whose definition cannot be read", unread}, {"guests whose disks cannot be read", broken}, {"guests without images", without}} {
		if len(of.names) > 0 {
			d.line(of.title+": ", "", &node{names: of.names, disk: true})
		}
	}
}

// shown returns a name that is safe to print: quoted unless it is plain.
func shown(name string) string {
	quoted := strconv.Quote(name)
	if quoted != `"`+name+`"` || name == "" || strings.ContainsAny(name, " ()") {
		return quoted
	}
	return name
}
