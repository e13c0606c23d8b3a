package text

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// block is a section of the summary: a title and its entries.
type block struct {
	title   string
	style   style
	entries []entry
	// what the entries are called, for the line that counts those not shown
	what string
}

// entry is a decision or a cause, with its guests.
type entry struct {
	text   string
	guests []string
	known  string // what is known about it, on lines of their own
	todo   string // what to do, on one line: a command in it must be ready to paste
}

// titles are the titles of the sections of guests that are not fine.
var titles = map[report.State]struct {
	title string
	style style
}{
	report.WillNotStart: {"WILL NOT START", bad},
	report.WrongData:    {"READS THE WRONG DATA", bad},
	report.Guessed:      {"STARTS BY A GUESS", doubtful},
	report.Unreadable:   {"CANNOT BE READ", bad},
	report.Unknown:      {"UNKNOWN", doubtful},
}

// blocks returns the sections of the summary, decisions first. The sections with states
// together contain all guests.
func (p *Printer) blocks(h *report.Host, asked []report.Decision) []block {
	var blocks []block
	if len(asked) > 0 {
		blocks = append(blocks, p.decisions(asked))
	}
	for _, state := range report.States() {
		n := p.states[state]
		if n == 0 || state == report.Fine {
			continue
		}
		t := titles[state]
		title := t.title
		switch {
		case state == report.Unreadable:
		case len(p.targets) == 1:
			title += " on libvirt " + p.targets[0]
		case len(p.targets) == 0:
			title += " on some libvirt"
		}
		b := block{title: fmt.Sprintf("%s (%s)", title, guests(n)), style: t.style, what: "causes"}
		var problems []report.Problem
		for _, problem := range h.Problems {
			if problem.State == state {
				problems = append(problems, problem)
				n -= len(problem.Guests)
			}
		}
		b.entries = causes(problems, asked)
		if n > 0 && len(b.entries) > 0 {
			b.entries = append(b.entries, entry{text: "for other reasons: " + guests(n)})
		}
		blocks = append(blocks, b)
	}
	if len(p.held) > 0 {
		blocks = append(blocks, p.heldBack())
	}
	if n := p.states[report.Fine]; n > 0 && p.Detail != Problems {
		blocks = append(blocks, block{title: fmt.Sprintf("NOTHING TO DO (%s)", guests(n)), style: good})
	}
	return blocks
}

// causes returns the entries of a section. Those with a decision are one entry that refers
// to the decisions, so that nothing is printed twice.
func causes(problems []report.Problem, all []report.Decision) []entry {
	var entries []entry
	var asked []int
	var waiting [][]string
	for _, problem := range problems {
		if i := decisionAbout(problem, all); i >= 0 {
			asked, waiting = append(asked, i+1), append(waiting, problem.Guests)
			continue
		}
		entries = append(entries, entry{text: problem.Text, guests: problem.Guests, todo: problem.Hint})
	}
	if len(asked) == 0 {
		return entries
	}
	slices.Sort(asked)
	return append([]entry{{text: "see " + numbered(slices.Compact(asked)), guests: together(waiting...)}}, entries...)
}

// maxNumbers is how many decisions are listed by number.
const maxNumbers = 5

// numbered names decisions by their numbers.
func numbered(numbers []int) string {
	if len(numbers) == 1 {
		return fmt.Sprintf("decision %d", numbers[0])
	}
	more := ""
	if n := len(numbers); n > maxNumbers {
		numbers = numbers[:maxNumbers-1]
		more = fmt.Sprintf(" and %d more", n-len(numbers))
	}
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	if more == "" {
		last := len(words) - 1
		return "decisions " + strings.Join(words[:last], ", ") + " and " + words[last]
	}
	return "decisions " + strings.Join(words, ", ") + more
}

// decisionAbout returns the index of the decision that all guests of a problem wait for,
// about the same image or, without an image, for the same reason; -1 if none matches.
func decisionAbout(problem report.Problem, all []report.Decision) int {
	waits := func(d report.Decision) bool { return len(without(problem.Guests, d.Guests)) == 0 }
	same := func(d report.Decision) bool { return d.Image == problem.Image && d.Code == problem.Code && waits(d) }
	if i := slices.IndexFunc(all, same); i >= 0 || problem.Image == "" {
		return i
	}
	return slices.IndexFunc(all, func(d report.Decision) bool { return d.Image == problem.Image && waits(d) })
}

// heldBack returns the section of the guests that apply skips, by finding. They are in one of
// the other sections, too.
func (p *Printer) heldBack() block {
	var all [][]string
	b := block{style: doubtful, what: "reasons"}
	for _, code := range slices.Sorted(maps.Keys(p.held)) {
		names := p.held[code]
		all = append(all, names)
		b.entries = append(b.entries, entry{text: fmt.Sprintf("%s (see chainfix explain %s)", code, code), guests: names})
	}
	b.title = fmt.Sprintf("HELD BACK by chainfix host apply (%d of these guests)", len(together(all...)))
	return b
}

// decisions returns the section of the decisions.
func (p *Printer) decisions(all []report.Decision) block {
	var waiting [][]string
	b := block{style: asking, what: "decisions"}
	for i, d := range all {
		waiting = append(waiting, d.Guests)
		e := entry{text: fmt.Sprintf("%d. %s", i+1, d.Question), guests: d.Guests, todo: cmp.Or(p.answers(d.Answers), d.Hint)}
		var known []string
		if d.Claims != "" {
			known = append(known, "its header claims "+d.Claims)
		}
		if len(d.For) > 0 {
			known = append(known, "evidence for: "+p.some(d.For, ", "))
		}
		if len(d.Against) > 0 {
			known = append(known, "evidence against: "+p.some(d.Against, ", "))
		}
		if len(known) > 0 {
			e.known = strings.Join(known, "; ")
		}
		b.entries = append(b.entries, e)
	}
	b.title = fmt.Sprintf("NEEDS A DECISION (%s)", guests(len(together(waiting...))))
	return b
}

// maxReasons is how many reasons and answers of a decision a summary has.
const maxReasons = 3

// some returns the first words of a list, or with -v all.
func (p *Printer) some(words []string, separator string) string {
	more := ""
	if n := len(words); p.Detail != Full && n > maxReasons {
		words = words[:maxReasons-1]
		more = fmt.Sprintf(", and %d more", n-len(words))
	}
	return strings.Join(words, separator) + more
}

// answers returns the ways to answer a decision: flags, which differ only in the format at
// their end, and a command. Several commands would be one per overlay, and none of them
// alone an answer.
func (p *Printer) answers(all []report.Answer) string {
	var words, formats, commands []string
	begin := ""
	for _, a := range all {
		before, state := strings.CutSuffix(a.Flag, "="+a.Format)
		switch state = state && a.Format != ""; {
		case a.Flag == "":
			commands = append(commands, a.Command)
		case state && begin == "":
			begin, words = before, append(words, a.Flag)
		case state && begin == before:
			formats = append(formats, "="+a.Format)
		default:
			words = append(words, a.Flag)
		}
	}
	for i, word := range words {
		if len(formats) > 0 && strings.HasPrefix(word, begin+"=") {
			words[i] += " (or " + strings.Join(formats, ", ") + ")"
		}
	}
	if len(commands) == 1 || p.Detail == Full {
		words = append(words, commands...)
	}
	if len(words) == 0 {
		return ""
	}
	return "answer: " + p.some(words, ", or ")
}
