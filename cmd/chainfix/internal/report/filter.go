package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
)

// Filter selects the guests of a report that are shown, and their findings. The zero
// Filter shows all.
type Filter struct {
	kinds []string
	level string
}

// Kinds of guests besides the states.
const (
	needsDecision = "needs-decision" // a chain is refused until a decision is made
	heldBack      = "held-back"      // apply holds it back
	fixable       = "fixable"
	explicit      = "explicit"
	running       = "running"
)

// Kinds are the words that [NewFilter] takes for guests: the states, and others.
func Kinds() []string {
	var all []string
	for _, state := range States() {
		all = append(all, string(state))
	}
	return append(all, needsDecision, heldBack, fixable, explicit, running)
}

// levels are the words for findings, the gravest last.
var levels = []string{finding.Info.Level(), finding.Warn.Level(), finding.Refuse.Level()}

// NewFilter returns a filter for guests of any of these kinds (all if none are given)
// that have a finding of this level or a higher one (all if it is ""). An unknown word is
// an error.
func NewFilter(kinds []string, level string) (Filter, error) {
	for _, kind := range kinds {
		if !slices.Contains(Kinds(), kind) {
			return Filter{}, fmt.Errorf("unknown kind of guests %q (want some of %s)", kind, strings.Join(Kinds(), ","))
		}
	}
	if level != "" && !slices.Contains(levels, level) {
		return Filter{}, fmt.Errorf("unknown severity %q (want one of %s)", level, strings.Join(levels, ", "))
	}
	return Filter{kinds, level}, nil
}

// Active reports whether the filter may hide anything.
func (f Filter) Active() bool { return len(f.kinds) > 0 || f.level != "" }

// shows reports whether a guest is shown.
func (f Filter) shows(g *Guest) bool {
	is := map[string]bool{
		string(g.State): true,
		needsDecision:   g.Verdict == chain.Refused.String() && g.State != Unreadable,
		heldBack:        g.HeldBack != "",
		fixable:         g.Verdict == chain.Fixable.String(),
		explicit:        g.Verdict == chain.Explicit.String(),
		running:         g.Active,
	}
	if len(f.kinds) > 0 && !slices.ContainsFunc(f.kinds, func(kind string) bool { return is[kind] }) {
		return false
	}
	return f.grave(levelOf(g))
}

func (f Filter) grave(level string) bool {
	return f.level == "" || slices.Index(levels, level) >= slices.Index(levels, f.level)
}

// levelOf returns the highest level of a guest's findings; "" for none. Its state counts,
// whether a finding explains it or not.
func levelOf(g *Guest) string {
	gravest := slices.Index(levels, map[State]string{
		WillNotStart: finding.Refuse.Level(), WrongData: finding.Refuse.Level(), Unreadable: finding.Refuse.Level(),
		Unknown: finding.Warn.Level(), Guessed: finding.Info.Level(),
	}[g.State])
	look := func(all []Finding) {
		for _, one := range all {
			gravest = max(gravest, slices.Index(levels, one.Level))
		}
	}
	look(g.Findings)
	for _, d := range g.Disks {
		look(d.Findings)
	}
	for _, s := range g.Stored {
		look(s.Findings)
	}
	if gravest < 0 {
		return ""
	}
	return levels[gravest]
}

// reduced returns the guest with only the findings that are shown.
func (f Filter) reduced(g Guest) Guest {
	if f.level == "" {
		return g
	}
	g.Findings = f.findings(g.Findings)
	g.Disks, g.Stored = slices.Clone(g.Disks), slices.Clone(g.Stored)
	for i := range g.Disks {
		g.Disks[i].Findings = f.findings(g.Disks[i].Findings)
	}
	for i := range g.Stored {
		g.Stored[i].Findings = f.findings(g.Stored[i].Findings)
	}
	return g
}

func (f Filter) findings(all []Finding) []Finding {
	shown := []Finding{}
	for _, one := range all {
		if f.grave(one.Level) {
			shown = append(shown, one)
		}
	}
	return shown
}

// Selection is what a [Filter] shows of one report.
type Selection struct {
	filter Filter
	names  map[string]bool // of the guests that are shown
}

// Selection returns an empty selection of a report by f.
func (f Filter) Selection() *Selection { return &Selection{f, make(map[string]bool)} }

// Guest returns a guest with its findings that are shown, or false if the guest is not
// shown.
func (s *Selection) Guest(g Guest) (Guest, bool) {
	if !s.filter.Active() {
		return g, true
	}
	if !s.filter.shows(&g) {
		return Guest{}, false
	}
	s.names[g.Name] = true
	return s.filter.reduced(g), true
}

// Host returns a report with the decisions and problems of the guests that Guest
// returned. The summary still counts all guests.
func (s *Selection) Host(h Host) Host {
	if !s.filter.Active() {
		return h
	}
	those := func(all []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !s.names[name] })
	}
	decisions, problems := h.Decisions, h.Problems
	h.Decisions, h.Problems = []Decision{}, []Problem{}
	for _, d := range decisions {
		if d.Guests = those(d.Guests); len(d.Guests) > 0 {
			h.Decisions = append(h.Decisions, d)
		}
	}
	for _, p := range problems {
		if p.Guests = those(p.Guests); len(p.Guests) > 0 {
			h.Problems = append(h.Problems, p)
		}
	}
	return h
}

// Questions returns the decisions to ask for: all except those that no flag answers (such as
// about a missing image), if a problem says the same about their guests.
func (h *Host) Questions() []Decision {
	affected := make(map[[2]string]map[string]bool) // guests, by image and code
	for _, p := range h.Problems {
		about := [2]string{p.Image, p.Code}
		if affected[about] == nil {
			affected[about] = make(map[string]bool)
		}
		for _, name := range p.Guests {
			affected[about][name] = true
		}
	}
	var asked []Decision
	for _, d := range h.Decisions {
		these := affected[[2]string{d.Image, d.Code}]
		states := slices.ContainsFunc(d.Answers, func(a Answer) bool { return a.Flag != "" })
		if states || slices.ContainsFunc(d.Guests, func(name string) bool { return !these[name] }) {
			asked = append(asked, d)
		}
	}
	return asked
}
