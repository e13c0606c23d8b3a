package page

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"time"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
)

// hostView is the part of the page about one host.
type hostView struct {
	Prefix string // of its anchors
	Nested bool   // the page has several hosts
	Name   string
	Error  string
	Report *report.Host

	Libvirt, Source, Chainfix, Rule, Policy, Time, Moment string

	Targets   []string
	Counts    []count
	Guests    string
	Fine      int
	Outcomes  []outcomeRow
	Change    string
	Decisions []decisionView
	// Asked is the number of decisions, including MoreDecisions.
	Asked   int
	waiting map[string]bool // guests, for decisions, by name
	// Others are refusals that no answer can resolve.
	Others []decisionView
	// MoreDecisions are those of both that get only a line.
	MoreDecisions []decisionView
	Picture       pictureView
	Images        string
	Groups        []groupView
	Warnings      []warningView
	Findings      []findingView // about no guest

	drawn map[string]string // the anchors of the drawn images, by key
}

// count is the number of guests in a state, and their part of the bar, in thousandths of its length.
type count struct {
	N        int
	Text     string
	Word     stateWord
	Anchor   string
	From, To int
}

// Width returns the width of the part of the bar, without the gap to the next one.
func (c count) Width() int { return max(c.To-c.From-2, 2) }

// outcomeRow counts the guests by outcome on one libvirt.
type outcomeRow struct {
	Target                             string
	Starts, Refuses, Misopens, Unknown int
}

func newHostView(h Host, number int, nested bool) *hostView {
	v := &hostView{Nested: nested, Error: plain(h.Error), Report: h.Report, Name: text.Name(h.Name)}
	if nested {
		v.Prefix = fmt.Sprintf("h%d-", number+1)
	}
	r := h.Report
	if r == nil {
		return v
	}
	if h.Name == "" {
		v.Name = cmp.Or(text.Name(r.Run.Host), "this host")
	}
	v.Libvirt, v.Source, v.Chainfix = plain(r.Libvirt), plain(r.Run.Source), plain(r.Run.Chainfix)
	v.Rule, v.Policy = plain(r.Run.Rule), text.Name(r.Run.Policy)
	if !r.Run.Time.IsZero() {
		v.Time = r.Run.Time.UTC().Format("2 January 2006, 15:04 UTC")
		v.Moment = r.Run.Time.UTC().Format(time.RFC3339)
	}
	for _, target := range r.Run.Targets {
		v.Targets = append(v.Targets, targetName(target))
	}
	questions := r.Questions()
	asked := make(map[string]int)
	for i, d := range questions {
		if d.Image != "" && asked[d.Image] == 0 {
			asked[d.Image] = i + 1
		}
	}
	v.drawn = make(map[string]string)
	v.Picture = (&painter{forest: newForest(r), prefix: v.Prefix, decisions: asked, drawn: v.drawn}).picture()
	v.setDecisions(questions)
	v.Images = counted(len(r.Images), "image")
	v.setGroups(asked)
	v.setWarnings()
	for _, f := range r.Findings {
		v.Findings = append(v.Findings, findingView{plain(f.Level), plain(f.Text), plain(f.Hint)})
	}
	v.count()
	return v
}

// Open and Close return the tags of a heading, which is a level lower if there are several hosts.
func (v *hostView) Open(level int) template.HTML { return v.tag("<h", level) }

// Close ends the heading that [hostView.Open] begins.
func (v *hostView) Close(level int) template.HTML { return v.tag("</h", level) }

func (v *hostView) tag(start string, level int) template.HTML {
	if v.Nested {
		level++
	}
	return template.HTML(start + strconv.Itoa(level) + ">")
}

// within is a part of the page with its host.
type within[V any] struct {
	Host *hostView
	V    V
}

// Columns returns how many columns the table of guests has.
func (w within[V]) Columns() int { return len(w.Host.Targets) + 3 }

func allWithin[V any](h *hostView, parts []V) []within[V] {
	all := make([]within[V], len(parts))
	for i, part := range parts {
		all[i] = within[V]{h, part}
	}
	return all
}

// DecisionsOf returns the decisions with their host.
func (v *hostView) DecisionsOf() []within[decisionView] { return allWithin(v, v.Decisions) }

// GroupsOf returns the groups of guests with their host.
func (v *hostView) GroupsOf() []within[groupView] { return allWithin(v, v.Groups) }

// FineImages counts the images in the chains without problems.
func (v *hostView) FineImages() string { return counted(v.Picture.Images, "image") }

// Attention returns how many guests need attention.
func (v *hostView) Attention() int {
	n := 0
	for _, c := range v.Counts {
		if c.Word.Class != "fine" {
			n += c.N
		}
	}
	return n
}

// count takes the numbers of the summary, which add up to all guests.
func (v *hostView) count() {
	s := v.Report.Summary
	v.Guests = counted(s.Guests, "guest")
	states := report.States()
	for state := range s.States {
		if !slices.Contains(states, state) {
			states = append(states, state)
		}
	}
	slices.Sort(states[len(report.States()):])
	total := 0
	for _, state := range states {
		total += s.States[state]
	}
	shownGroups := make(map[report.State]string)
	for _, g := range v.Groups {
		shownGroups[g.state] = g.Anchor
	}
	sum := 0
	for _, state := range states {
		n := s.States[state]
		if n <= 0 {
			continue
		}
		word := wordOf(state)
		v.Counts = append(v.Counts, count{N: n, Text: thousands(n), Word: word, Anchor: shownGroups[state], From: sum * 1000 / total, To: (sum + n) * 1000 / total})
		sum += n
		if state == report.Fine {
			v.Fine = n
		}
	}
	for _, target := range v.Report.Run.Targets {
		n := s.Outcomes[target]
		v.Outcomes = append(v.Outcomes, outcomeRow{targetName(target), n["starts"], n["refuses"], n["misopens"], n["unknown"]})
	}
	v.Change = changeText(s)
}

func (v *hostView) groupAnchor(s report.State) string {
	if i := slices.Index(report.States(), s); i >= 0 {
		return v.Prefix + string(s)
	}
	return v.Prefix + "other"
}

// changeText returns what an apply would change.
func changeText(s report.Summary) string {
	text := "nothing"
	if s.Change > 0 {
		text = counted(s.Change, "guest")
	}
	if n := s.Verdicts["refused"]; n > 0 {
		text += "; " + counted(n, "guest") + " cannot be made explicit"
	}
	if s.HeldBack > 0 {
		text += "; " + thousands(s.HeldBack) + " held back"
	}
	return text + "."
}

// decisionView is a question.
type decisionView struct {
	ID            string
	N             int
	Question      string
	Code          string
	Image         string // the anchor of the image in the picture
	Name          path
	Claims, Hint  string
	For, Against  []string
	Answers       []answerView
	MoreAnswers   []answerView
	Waiting       string
	First, Others []string // the guests that wait
}

type answerView struct{ Format, Command string }

// mostDecisions is how many decisions get a card.
const mostDecisions = 100

// mostFirst is how many guests are shown without unfolding.
const mostFirst = 12

// setDecisions sets the decisions, with their numbers in the text, followed by the other
// refusals.
func (v *hostView) setDecisions(questions []report.Decision) {
	v.Asked, v.waiting = len(questions), make(map[string]bool)
	for _, d := range questions {
		for _, name := range d.Guests {
			v.waiting[name] = true
		}
	}
	for i, d := range append(questions, notAsked(v.Report.Decisions, questions)...) {
		view := decisionView{
			ID: fmt.Sprintf("%sd%d", v.Prefix, i+1), N: i + 1, Question: plain(d.Question), Code: plain(d.Code), Image: v.drawn[d.Image], Name: pathOf(d.Name),
			Claims: plain(d.Claims), Hint: plain(d.Hint), For: plains(d.For), Against: plains(d.Against), Waiting: counted(len(d.Guests), "guest"),
		}
		for i, a := range d.Answers {
			answer := answerView{plain(a.Format), plain(cmp.Or(a.Command, a.Flag))}
			if a.Command == "" || i < mostAlike {
				view.Answers = append(view.Answers, answer)
			} else {
				view.MoreAnswers = append(view.MoreAnswers, answer)
			}
		}
		view.First, view.Others = firsts(d.Guests)
		switch {
		case i >= mostDecisions:
			v.MoreDecisions = append(v.MoreDecisions, view)
		case i < v.Asked:
			v.Decisions = append(v.Decisions, view)
		default:
			v.Others = append(v.Others, view)
		}
	}
}

// notAsked returns the decisions that are not among the questions, which are in the same
// order.
func notAsked(all, questions []report.Decision) (others []report.Decision) {
	for _, d := range all {
		if len(questions) > 0 && questions[0].Code == d.Code && questions[0].Image == d.Image && questions[0].Question == d.Question {
			questions = questions[1:]
		} else {
			others = append(others, d)
		}
	}
	return others
}

// FirstMore returns the number of the first decision of MoreDecisions.
func (v *hostView) FirstMore() int { return mostDecisions + 1 }

// OthersOf returns the others with their host.
func (v *hostView) OthersOf() []within[decisionView] { return allWithin(v, v.Others) }

func plains(all []string) []string {
	var texts []string
	for _, s := range all {
		texts = append(texts, plain(s))
	}
	return texts
}

// firsts splits names into those shown and those folded.
func firsts(all []string) (first, others []string) {
	for i, name := range all {
		if i < mostFirst || len(all) <= mostFirst+3 {
			first = append(first, text.Name(name))
		} else {
			others = append(others, text.Name(name))
		}
	}
	return first, others
}

// fleetView is the hosts in a table.
type fleetView struct {
	Hosts   []fleetRow
	Columns []stateWord
}

type fleetRow struct {
	*hostView
	Anchor string
	Counts []int
	Open   int // decisions
}

// newFleetView returns a table with a column for each state that any host has.
func newFleetView(hosts []*hostView) *fleetView {
	f := &fleetView{}
	var states []report.State
	for _, state := range report.States() {
		if slices.ContainsFunc(hosts, func(h *hostView) bool { return h.counted(state) > 0 }) {
			states = append(states, state)
			f.Columns = append(f.Columns, wordOf(state))
		}
	}
	for _, h := range hosts {
		row := fleetRow{hostView: h, Anchor: h.Prefix + "host", Open: h.Asked}
		for _, state := range states {
			row.Counts = append(row.Counts, h.counted(state))
		}
		f.Hosts = append(f.Hosts, row)
	}
	return f
}

// counted returns how many guests of the host are in a state.
func (v *hostView) counted(state report.State) int {
	if v.Report == nil {
		return 0
	}
	return v.Report.Summary.States[state]
}

// Span returns how many columns there are besides the hosts.
func (f *fleetView) Span() int { return len(f.Columns) + 1 }
