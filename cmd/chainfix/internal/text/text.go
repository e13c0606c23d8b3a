// Package text writes the report on a host as text: first the decisions, then how the
// guests start, each cause once, and on demand every guest in full.
//
// The output has no control characters except line feeds and, if colour is on, the
// sequences that set it.
package text

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// Detail is how much of a report is shown.
type Detail int

const (
	// Summary shows each cause once, in at most [Rows] rows.
	Summary Detail = iota
	// Problems is the same without guests that are fine: nothing at all if all are.
	Problems
	// Full shows all causes, and every guest.
	Full
)

// Rows is how many rows a summary takes at most, if no line takes more than one row.
const Rows = 40

// Options say how much of a report is shown, and how.
type Options struct {
	Detail Detail
	// Width is how many columns the terminal has; 0 without a terminal. Then lines are not
	// broken, and lists of names have the same width on any host.
	Width int
	Color bool
	// Some says that the report is about some of the host's guests.
	Some bool
}

// Printer writes one report.
type Printer struct {
	Options
	w       io.Writer
	targets []string
	columns int // of a line
	counted
	all     []report.Guest  // those to show in full
	waiting map[string]bool // the names of the guests that wait for a decision
	b       strings.Builder
}

// New returns a Printer for a report with predictions for these targets.
func New(w io.Writer, targets []string, o Options) *Printer {
	p := &Printer{Options: o, w: w, targets: targets, columns: o.Width, waiting: make(map[string]bool),
		counted: counted{make(map[report.State]int), make(map[string]int), make(map[string]map[string]int), make(map[string][]string), 0}}
	if p.columns <= 0 {
		p.columns = columnsInPipe
	}
	return p
}

// Guest adds a guest. Guests come in the order in which they are shown.
func (p *Printer) Guest(g *report.Guest) {
	p.count(g)
	if p.Detail == Full {
		p.all = append(p.all, *g)
	}
}

// End writes the report. It ignores the report's Guests.
func (p *Printer) End(h *report.Host) error {
	asked := h.Questions()
	for _, d := range asked {
		for _, name := range d.Guests {
			p.waiting[name] = true
		}
	}
	foot := p.foot(h)
	blocks := p.blocks(h, asked)
	if p.Detail == Full {
		p.writeBlocks(blocks, nil)
	} else {
		p.writeBlocks(blocks, p.fold(blocks, Rows-p.rows(foot)))
	}
	if p.Detail != Problems || len(blocks) > 0 {
		p.lines(foot...)
	}
	for i := range p.all {
		if i == 0 {
			p.lines("")
		}
		p.guest(&p.all[i])
	}
	_, err := io.WriteString(p.w, p.b.String())
	return err
}

// lines writes whole lines.
func (p *Printer) lines(lines ...string) {
	for _, line := range lines {
		p.b.WriteString(line)
		p.b.WriteByte('\n')
	}
}

// counted are the guests that are shown, by state.
type counted struct {
	states   map[report.State]int
	verdicts map[string]int
	outcomes map[string]map[string]int
	held     map[string][]string // names, by the code of the finding
	guests   int
}

func (c *counted) count(g *report.Guest) {
	c.guests++
	c.states[g.State]++
	if g.State != report.Unreadable {
		c.verdicts[g.Verdict]++
	}
	if g.HeldBack != "" {
		c.held[g.HeldBack] = append(c.held[g.HeldBack], g.Name)
	}
	for target, outcome := range g.Outcome {
		if c.outcomes[target] == nil {
			c.outcomes[target] = make(map[string]int)
		}
		c.outcomes[target][outcome]++
	}
}

// chainfix's words for programs.
var (
	explicit = chain.Explicit.String()
	fixable  = chain.Fixable.String()
	refused  = chain.Refused.String()
)

// verdictOf returns what chainfix can do about a guest, as text.
func (p *Printer) verdictOf(g *report.Guest) string {
	switch {
	case g.State == report.Unreadable:
		return "unreadable"
	case g.Verdict != refused:
		return g.Verdict
	case p.waiting[g.Name]:
		return NeedsDecision
	}
	return "cannot be fixed"
}

// NeedsDecision is the text for a refused chain: "refused" could be taken for libvirt's
// refusal.
const NeedsDecision = "needs a decision"

// maxTargets is how many libvirts get a line in a summary.
const maxTargets = 6

// foot ends the summary: the counts of all guests.
func (p *Printer) foot(h *report.Host) []string {
	var lines []string
	if p.Detail != Problems {
		need, waiting := "need", min(len(p.waiting), p.verdicts[refused])
		if waiting == 1 {
			need = "needs"
		}
		line := fmt.Sprintf("%s: %d explicit, %d fixable, %d %s a decision", guests(p.guests), p.verdicts[explicit], p.verdicts[fixable], waiting, need)
		if n := p.verdicts[refused] - waiting; n > 0 {
			line += fmt.Sprintf(", %d cannot be fixed", n)
		}
		if n := p.states[report.Unreadable]; n > 0 {
			line += fmt.Sprintf(", %d unreadable", n)
		}
		lines = append(lines, line)
	}
	if targets := p.targets; len(targets) > 1 {
		shown := targets
		if p.Detail != Full && len(targets) > maxTargets {
			shown = targets[:maxTargets-1]
		}
		for _, target := range shown {
			lines = append(lines, targetLine(target, p.outcomes[target]))
		}
		if more := len(targets) - len(shown); more > 0 {
			lines = append(lines, fmt.Sprintf("and %d more libvirts; -v shows them", more))
		}
	}
	switch {
	case p.Some:
		lines = append(lines, fmt.Sprintf("%d of %s shown", p.guests, guests(h.Summary.Guests)))
	case h.Summary.Change > 0:
		lines = append(lines, fmt.Sprintf("chainfix host apply would change %s", guests(h.Summary.Change)))
	}
	return p.wrapAll(lines)
}

// targetLine counts the guests by outcome on one libvirt. The numbers add up to all guests.
func targetLine(target string, n map[string]int) string {
	line := fmt.Sprintf("on libvirt %s: %d start, %d will not start, %d read the wrong data", target, n[predict.Starts.String()], n[predict.Refuses.String()], n[predict.Misopens.String()])
	if n["unknown"] > 0 {
		line += fmt.Sprintf(", %d unknown", n["unknown"])
	}
	return line
}

// guests returns a number of guests in words.
func guests(n int) string {
	if n == 1 {
		return "1 guest"
	}
	return fmt.Sprintf("%d guests", n)
}

// together returns the names of several lists, in order, each once.
func together(lists ...[]string) []string {
	var all []string
	known := make(map[string]bool)
	for _, name := range slices.Concat(lists...) {
		if !known[name] {
			known[name] = true
			all = append(all, name)
		}
	}
	return all
}

// without returns the names that are in none of the other lists.
func without(names []string, lists ...[]string) (left []string) {
	known := make(map[string]bool)
	for _, name := range slices.Concat(lists...) {
		known[name] = true
	}
	for _, name := range names {
		if !known[name] {
			left = append(left, name)
		}
	}
	return left
}
