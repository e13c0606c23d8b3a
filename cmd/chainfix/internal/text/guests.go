package text

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// guest writes everything about one guest.
func (p *Printer) guest(g *report.Guest) {
	p.lines(p.guestLine(g))
	p.b.WriteString(Findings(g, p.Color))
	for i := range g.Disks {
		d := &g.Disks[i]
		for _, target := range p.targets {
			if reason := d.Reason[target]; reason != "" && d.Prediction[target] != predict.Starts.String() {
				p.lines(fmt.Sprintf("%s: %s: %s", place(g, d), outcome(d.Prediction[target], target), reason))
			}
		}
	}
}

// place names a disk of a guest.
func place(g *report.Guest, d *report.Disk) string { return Name(g.Name) + " " + Name(d.Target) }

// outcome says what a libvirt does with an unchanged guest or disk.
func outcome(word, target string) string {
	switch word {
	case predict.Starts.String():
		return "libvirt " + target + " starts it"
	case predict.Refuses.String():
		return "libvirt " + target + " will not start it"
	case predict.Misopens.String():
		return "libvirt " + target + " starts it with the wrong data"
	}
	return "unknown on libvirt " + target + ": not readable here"
}

// guestLine describes a guest in one line: what chainfix can do, whether it is needed,
// and how the guest starts if unchanged.
func (p *Printer) guestLine(g *report.Guest) string {
	var b strings.Builder
	verdict := p.verdictOf(g)
	fmt.Fprintf(&b, "%s %s", p.paint(styleOf(g), fmt.Sprintf("%-*s", len(NeedsDecision), verdict)), strconv.Quote(g.Name))
	if g.Active {
		b.WriteString(" (running)")
	}
	b.WriteString(need(g))
	for _, target := range p.targets {
		b.WriteString("; " + outcome(g.Outcome[target], target))
	}
	if g.HeldBack != "" {
		fmt.Fprintf(&b, "; held back: %s", g.HeldBack)
	}
	return b.String()
}

// need says whether the guest needs an explicit chain. For a guest that has one it says
// something only if that is wrong.
func need(g *report.Guest) string {
	switch {
	case g.State == report.Unreadable:
		return ""
	case g.Needed == nil:
		return "; unknown whether it is needed"
	case *g.Needed:
		return "; needed: " + Because(g.Because)
	case g.Verdict == explicit:
		return ""
	}
	return "; not needed"
}

// Because returns the text for the word of a [predict.Need]: why an explicit chain is
// needed.
func Because(word string) string {
	switch word {
	case predict.Guessed.String():
		return "it starts by a guess"
	case predict.Refused.String():
		return "it will not start"
	case predict.Misopened.String():
		return "it reads the wrong data"
	}
	return word
}

// styleOf returns the colour of a guest's line.
func styleOf(g *report.Guest) style {
	if g.State == report.Fine {
		return plain
	}
	return titles[g.State].style
}

// Findings returns the findings about a guest, one line for each and one for its hint,
// with the names of the guest and the disk.
func Findings(g *report.Guest, color bool) string {
	var b strings.Builder
	say := func(place string, all []report.Finding) {
		for _, f := range all {
			code := ""
			if f.Code != "" {
				code = "[" + f.Code + "] "
			}
			fmt.Fprintf(&b, "%s: %s: %s%s\n", place, Level(f.Level, color), code, f.Text)
			if f.Hint != "" {
				fmt.Fprintf(&b, "hint: %s\n", f.Hint)
			}
		}
	}
	say(Name(g.Name), g.Findings)
	for i := range g.Disks {
		say(place(g, &g.Disks[i]), g.Disks[i].Findings)
	}
	for _, s := range g.Stored {
		say(Name(g.Name), s.Findings)
	}
	return b.String()
}
