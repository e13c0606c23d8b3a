package text

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// columnsInPipe is the width of lists of names without a terminal.
	columnsInPipe = 100
	// leastNames is the least width of a list of guests on the line of its cause; with less
	// room it gets its own line.
	leastNames = 36
	// leastColumns is the least width that lines are laid out for.
	leastColumns = 20
)

// The margins of an entry and of the lines below it.
const (
	margin = 2
	below  = 4
)

// layout returns the lines of an entry, with its guests in the column of the block.
func (p *Printer) layout(e entry, column int) []string {
	var lines []string
	switch {
	case len(e.guests) == 0:
		lines = p.wrap(e.text, margin)
	case p.beside(e):
		pad := strings.Repeat(" ", max(column-width(e.text), 0))
		before := strings.Repeat(" ", margin) + e.text + pad + "  "
		lines = []string{before + p.names(e.guests, p.columns-width(before))}
	default:
		indent := strings.Repeat(" ", below)
		lines = append(p.wrap(e.text, margin), indent+p.names(e.guests, p.columns-below))
	}
	if e.known != "" {
		lines = append(lines, p.wrap(e.known, below)...)
	}
	if e.todo != "" {
		lines = append(lines, strings.Repeat(" ", below)+e.todo)
	}
	return lines
}

// beside reports whether the guests of an entry fit on the line of its text.
func (p *Printer) beside(e entry) bool {
	return len(e.guests) > 0 && margin+width(e.text)+2+leastNames <= p.columns
}

// column returns where the guests of a block's entries begin.
func (p *Printer) column(entries []entry) int {
	column := 0
	for _, e := range entries {
		if p.beside(e) {
			column = max(column, width(e.text))
		}
	}
	return column
}

// names returns the number of guests, and as many of their names as fit.
func (p *Printer) names(names []string, columns int) string {
	line := guests(len(names)) + ":"
	left := max(columns, leastColumns) - width(line)
	for i, name := range names {
		rest := ""
		if more := len(names) - i - 1; more > 0 {
			rest = fmt.Sprintf(" ... and %d more", more)
		}
		shown := " " + Name(name)
		if width(shown)+width(rest) <= left {
			line += shown
			left -= width(shown)
			continue
		}
		if i == 0 {
			return line + cut(shown, left-width(rest)) + rest
		}
		return line + fmt.Sprintf(" ... and %d more", len(names)-i)
	}
	return line
}

// cut returns the beginning of a name that is too long, with a mark.
func cut(name string, columns int) string {
	const end = "..."
	for i := range name {
		if i > 1 && width(name[:i])+len(end) >= max(columns, 8) {
			return name[:i] + end
		}
	}
	return name
}

// wrap breaks a line at spaces where a terminal would, and indents it.
func (p *Printer) wrap(line string, indent int) []string {
	space := strings.Repeat(" ", indent)
	if p.Width <= 0 {
		return []string{space + line}
	}
	var lines []string
	now := space
	for i, word := range strings.Split(line, " ") {
		switch {
		case i == 0:
			now += word
		case width(now)+1+width(word) > p.Width:
			lines = append(lines, now)
			now = space + "  " + word
		default:
			now += " " + word
		}
	}
	return append(lines, now)
}

func (p *Printer) wrapAll(lines []string) []string {
	var all []string
	for _, line := range lines {
		all = append(all, p.wrap(line, 0)...)
	}
	return all
}

// rows returns how many rows lines take: a terminal wraps lines that are too long.
func (p *Printer) rows(lines []string) int {
	n := 0
	for _, line := range lines {
		n++
		if p.Width > 0 {
			n += max(width(line)-1, 0) / p.Width
		}
	}
	return n
}

// fold chooses how many entries each block shows in so many rows: first the first ones of all blocks, then
// the second ones, and so on. Each block has a line for the rest. It returns nil if all entries fit.
func (p *Printer) fold(blocks []block, rows int) (shown []int) {
	room := rows
	shown = make([]int, len(blocks))
	for _, b := range blocks {
		rows -= p.rows(p.wrap(b.title, 0))
		if len(b.entries) > 0 {
			rows-- // for the line that says how many more there are
		}
	}
	if p.takes(blocks) <= room {
		return nil
	}
	full := make([]bool, len(blocks))
	for i, going := 0, true; going; i++ {
		going = false
		for j, b := range blocks {
			if full[j] || i >= len(b.entries) {
				continue
			}
			// The last one may take the row of the line for the rest.
			takes := p.rows(p.layout(b.entries[i], p.column(b.entries)))
			if last := i == len(b.entries)-1; takes > rows && !(last && takes <= rows+1) {
				full[j] = true
				continue
			}
			rows -= takes
			shown[j]++
			going = true
		}
	}
	return shown
}

// takes returns how many rows sections take with all their entries.
func (p *Printer) takes(blocks []block) (rows int) {
	for _, b := range blocks {
		rows += p.rows(p.wrap(b.title, 0))
		column := p.column(b.entries)
		for _, e := range b.entries {
			rows += p.rows(p.layout(e, column))
		}
	}
	return rows
}

// writeBlocks writes sections, with shown entries of each, or all if shown is nil.
func (p *Printer) writeBlocks(blocks []block, shown []int) {
	for i, b := range blocks {
		for _, line := range p.wrap(b.title, 0) {
			p.lines(p.paint(b.style, line))
		}
		entries := b.entries
		if shown != nil {
			entries = entries[:shown[i]]
		}
		column := p.column(entries)
		for _, e := range entries {
			p.lines(p.layout(e, column)...)
		}
		if left := b.entries[len(entries):]; len(left) > 0 {
			var lists [][]string
			for _, e := range left {
				lists = append(lists, e.guests)
			}
			what := b.what
			if len(left) == 1 {
				what = strings.TrimSuffix(what, "s")
			}
			p.lines(p.wrap(fmt.Sprintf("and %d more %s (%s); -v shows them", len(left), what, guests(len(together(lists...)))), margin)...)
		}
	}
}

// Name quotes a name that could control a terminal or be mistaken for other text.
func Name(name string) string {
	if q := strconv.Quote(name); q[1:len(q)-1] != name || strings.ContainsAny(name, ": ") {
		return q
	}
	return name
}

// width returns how many columns a text takes at most: every rune from the first wide
// script on counts as two.
func width(text string) int {
	const firstWide = '\u1100' // Hangul; see UAX #11
	n := 0
	for _, r := range text {
		n++
		if r >= firstWide {
			n++
		}
	}
	return n
}
