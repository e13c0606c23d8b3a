package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
)

// groupView is the guests of one state.
type groupView struct {
	state  report.State
	Anchor string
	Word   stateWord
	N      string
	Folded bool
	Causes within[[]causeView]
	More   within[[]causeView] // which are folded
}

// causeView is the guests of one problem, or those without one.
type causeView struct {
	Text, Hint string
	Image      string // the anchor of its image
	Ask        string // the anchor of the decision about it
	AskN       int
	Says       []saying
	Rows       []row
}

// saying is a libvirt's message about one guest, as an example for its cause.
type saying struct{ Target, Disk, Guest, Words string }

// row is a guest in the table, or several that have the same cells.
type row struct {
	First, Others []string // their names
	Count         string   // of many
	Running       bool
	Disks         string
	Outcomes      []outcomeWord
	Does          string
}

// mostCauses is how many causes of a state are shown in full, without unfolding.
const mostCauses = 100

func (v *hostView) setGroups(asked map[string]int) {
	byName := make(map[string]*report.Guest)
	byState := make(map[report.State][]*report.Guest)
	for i := range v.Report.Guests {
		g := &v.Report.Guests[i]
		byName[g.Name] = g
		byState[g.State] = append(byState[g.State], g)
	}
	states := report.States()
	for state := range byState {
		if !slices.Contains(states, state) {
			states = append(states, state)
		}
	}
	slices.Sort(states[len(report.States()):])
	for _, state := range states {
		guests := byState[state]
		if len(guests) == 0 {
			continue
		}
		g := groupView{state: state, Anchor: v.groupAnchor(state), Word: wordOf(state), N: counted(len(guests), "guest"), Folded: state == report.Fine}
		var causes []causeView
		listed := make(map[string]bool)
		for _, p := range v.Report.Problems {
			if p.State != state {
				continue
			}
			var concerned []*report.Guest
			cause := causeView{Text: plain(p.Text), Image: v.drawn[p.Image]}
			if n := asked[p.Image]; n > 0 {
				cause.Ask, cause.AskN = fmt.Sprintf("%sd%d", v.Prefix, n), n
			}
			for _, name := range p.Guests {
				if guest := byName[name]; guest != nil && guest.State == state && !listed[name] {
					listed[name] = true
					concerned = append(concerned, guest)
				}
			}
			if len(concerned) > 0 {
				cause.Rows = v.rows(concerned)
				if len(causes) < mostCauses {
					cause.Hint, cause.Says = plain(p.Hint), v.says(concerned[0])
				}
				causes = append(causes, cause)
			}
		}
		var others []*report.Guest
		for _, guest := range guests {
			if !listed[guest.Name] {
				others = append(others, guest)
			}
		}
		if len(others) > 0 {
			rest := causeView{Rows: v.rows(others)}
			if len(causes) > 0 {
				rest.Text = "another cause"
			}
			causes = append(causes, rest)
		}
		first := min(len(causes), mostCauses)
		g.Causes, g.More = within[[]causeView]{v, causes[:first]}, within[[]causeView]{v, causes[first:]}
		v.Groups = append(v.Groups, g)
	}
}

// rows returns the rows of guests. Many guests with the same cells share one.
func (v *hostView) rows(guests []*report.Guest) []row {
	var keys []string
	alike := make(map[string][]*report.Guest)
	for _, g := range guests {
		key := fmt.Sprint(v.row(g))
		if alike[key] == nil {
			keys = append(keys, key)
		}
		alike[key] = append(alike[key], g)
	}
	var all []row
	for _, key := range keys {
		group := alike[key]
		var names []string
		for _, g := range group {
			names = append(names, g.Name)
		}
		if len(group) > mostAlike {
			r := v.row(group[0])
			r.First, r.Others = firsts(names)
			r.Count = counted(len(names), "guest")
			if r.Running {
				r.Count += ", running"
			}
			all = append(all, r)
			continue
		}
		for _, g := range group {
			r := v.row(g)
			r.First = []string{text.Name(g.Name)}
			all = append(all, r)
		}
	}
	return all
}

// row returns the row of a guest.
func (v *hostView) row(g *report.Guest) row {
	r := row{Running: g.Active, Does: v.does(g)}
	var worst []string
	for _, d := range g.Disks {
		if d.Needed == nil && g.State != report.Fine && d.Verdict != "skipped" || d.Needed != nil && *d.Needed || d.Verdict == "refused" {
			worst = append(worst, text.Name(d.Target))
		}
	}
	const most = 4
	if len(worst) > most {
		worst = append(worst[:most], fmt.Sprintf("%d more", len(worst)-most))
	}
	r.Disks = strings.Join(worst, ", ")
	for _, target := range v.Report.Run.Targets {
		r.Outcomes = append(r.Outcomes, outcomeOf(g.Outcome[target]))
	}
	return r
}

// does returns what chainfix does about a guest.
func (v *hostView) does(g *report.Guest) string {
	needed := g.Needed != nil && *g.Needed
	switch {
	case g.HeldBack != "":
		return "holds it back: " + plain(g.HeldBack)
	case g.Verdict == "refused" && g.State == report.Fine:
		return "leaves it unchanged"
	case g.State == report.Unreadable:
		return "cannot read it"
	case g.Verdict == "refused" && v.waiting[g.Name]:
		return text.NeedsDecision
	case g.Verdict == "refused":
		return "cannot fix it"
	case g.Verdict == "fixable" && needed:
		return "fixes it"
	case g.Verdict == "fixable":
		return "can make it explicit"
	case g.Verdict == "explicit":
		return "nothing to do"
	}
	return cmp.Or(plain(g.Verdict), "nothing")
}

// says returns each libvirt's message about a guest: that about the first disk which has
// one.
func (v *hostView) says(g *report.Guest) []saying {
	var all []saying
	for _, target := range v.Report.Run.Targets {
		for _, d := range g.Disks {
			words := d.Reason[target]
			if words == "" || d.Prediction[target] == "starts" && g.State != report.Guessed {
				continue
			}
			all = append(all, saying{targetName(target), text.Name(d.Target), text.Name(g.Name), plain(words)})
			break
		}
	}
	return all
}

// warningView is one kind of warning.
type warningView struct {
	Code, N, Example, Guest string
	Guests                  names
}

// findingView is a finding that is about no guest.
type findingView struct{ Level, Text, Hint string }

// setWarnings collects the other findings: warnings, by code.
func (v *hostView) setWarnings() {
	type found struct {
		text   string
		guests []string
	}
	all := make(map[string]*found)
	var codes []string
	add := func(guest string, findings []report.Finding) {
		for _, f := range findings {
			if f.Level != "warning" {
				continue
			}
			w := all[f.Code]
			if w == nil {
				w = &found{text: f.Text}
				all[f.Code] = w
				codes = append(codes, f.Code)
			}
			if len(w.guests) == 0 || w.guests[len(w.guests)-1] != guest {
				w.guests = append(w.guests, guest)
			}
		}
	}
	for _, g := range v.Report.Guests {
		add(g.Name, g.Findings)
		for _, d := range g.Disks {
			add(g.Name, d.Findings)
		}
		for _, s := range g.Stored {
			add(g.Name, s.Findings)
		}
	}
	slices.SortStableFunc(codes, func(a, b string) int { return cmp.Compare(len(all[b].guests), len(all[a].guests)) })
	for _, code := range codes {
		w := all[code]
		v.Warnings = append(v.Warnings, warningView{plain(code), counted(len(w.guests), "guest"), plain(w.text), text.Name(w.guests[0]), some(w.guests, mostFirst)})
	}
}
