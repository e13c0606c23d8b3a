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

// block is a section of the summary: a title, and what stands below it.
type block struct {
	title   string
	style   style
	entries []entry
	// what the entries are, for the line that says how many are left out
	what string
}

// entry is a decision or a cause, with the guests that it concerns.
type entry struct {
	text   string
	guests []string
	known  string // what is known of it, on lines of their own
	todo   string // what to do, on one: it may have a command, which is to be pasted as it is
}

// titles are those of the guests that are not fine.
var titles = map[report.State]struct {
	title string
	style style
}{
	report.WillNotStart: {"WILL NOT START", bad},
	report.WrongData:    {"READS THE WRONG DATA", bad},
	report.Guessed:      {"STARTS BY A GUESS", doubtful},
	report.Unreadable:   {"CANNOT BE READ", bad},
	report.Unknown:      {"CANNOT BE TOLD", doubtful},
}

// blocks are the sections of the summary, what is to be decided first. The guests of those
// with states are all guests together.
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

// causes are the entries of a section. Those that a decision is about are one entry, which
// refers to the decisions: nothing is said twice.
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
	return append([]entry{{text: "for want of " + numbered(slices.Compact(asked)), guests: together(waiting...)}}, entries...)
}

// maxNumbers is how many decisions are referred to by their numbers.
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

// decisionAbout is the index of the decision that all guests of a problem wait for, about the
// same image or where there is none for the same reason; -1 if there is none.
func decisionAbout(problem report.Problem, all []report.Decision) int {
	waits := func(d report.Decision) bool { return len(without(problem.Guests, d.Guests)) == 0 }
	same := func(d report.Decision) bool { return d.Image == problem.Image && d.Code == problem.Code && waits(d) }
	if i := slices.IndexFunc(all, same); i >= 0 || problem.Image == "" {
		return i
	}
	return slices.IndexFunc(all, func(d report.Decision) bool { return d.Image == problem.Image && waits(d) })
}

// heldBack is the section of the guests that apply leaves alone, by the findings that say so.
// They are in one of the other sections, too.
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

// decisions is the section of what somebody has to decide.
func (p *Printer) decisions(all []report.Decision) block {
	var waiting [][]string
	b := block{style: asking, what: "decisions"}
	for i, d := range all {
		waiting = append(waiting, d.Guests)
		e := entry{text: fmt.Sprintf("%d. %s", i+1, d.Question), guests: d.Guests, todo: cmp.Or(p.answers(d.Answers), d.Hint)}
		var known []string
		if d.Claims != "" {
			known = append(known, "it claims "+d.Claims)
		}
		if len(d.For) > 0 {
			known = append(known, "for that: "+p.some(d.For, ", "))
		}
		if len(d.Against) > 0 {
			known = append(known, "against that: "+p.some(d.Against, ", "))
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

// some are the first words of a list, or with -v all of them.
func (p *Printer) some(words []string, separator string) string {
	more := ""
	if n := len(words); p.Detail != Full && n > maxReasons {
		words = words[:maxReasons-1]
		more = fmt.Sprintf(", and %d more", n-len(words))
	}
	return strings.Join(words, separator) + more
}

// answers are the ways to answer a decision: flags, of which only the ends differ if they
// state one format or another, and a command. Several commands are the same for one overlay
// after the other: one of them would be no answer.
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
