// Package metrics writes a report on a host in Prometheus' text format, for the textfile
// collector of node_exporter. It names no guest and no image: lists do not belong into
// time series.
package metrics

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// Write writes the metrics of a report. It ignores the report's Guests. All metrics are
// gauges, and every state, verdict and outcome has a sample, even if it is 0. It
// returns w's errors.
func Write(w io.Writer, h *report.Host) error {
	m := &text{w: bufio.NewWriter(w)}
	m.family("chainfix_build_info", "The chainfix that scanned the host.")
	m.sample(1, "version", h.Run.Chainfix)
	if h.Libvirt != "" {
		m.family("chainfix_libvirt_info", "The libvirt of the host.")
		m.sample(1, "version", h.Libvirt)
	}
	m.family("chainfix_scan_timestamp_seconds", "When the scan began, in seconds since 1970.")
	m.sample(h.Run.Time.Unix())

	m.family("chainfix_guests", "Guests by how they start if unchanged, on the worst of the targets.")
	for _, state := range report.States() {
		m.sample(int64(h.Summary.States[state]), "state", string(state))
	}
	m.family("chainfix_guest_verdicts", "Guests by what chainfix can do for them.")
	for _, verdict := range keys(h.Summary.Verdicts) {
		m.sample(int64(h.Summary.Verdicts[verdict]), "verdict", verdict)
	}
	m.family("chainfix_guest_outcomes", "Guests by how they start if unchanged, on a libvirt and its QEMU.")
	for _, target := range h.Run.Targets {
		outcomes := h.Summary.Outcomes[target]
		for _, outcome := range keys(outcomes) {
			m.sample(int64(outcomes[outcome]), "target", target, "outcome", outcome)
		}
	}
	m.family("chainfix_problem_guests", "Guests with a problem, by their state and the finding that says why.")
	for _, p := range problems(h.Problems) {
		m.sample(int64(p.guests), "state", string(p.state), "code", p.code)
	}
	m.family("chainfix_guests_held_back", "Guests that apply skips unless they are named.")
	m.sample(int64(h.Summary.HeldBack))
	m.family("chainfix_guests_to_change", "Guests that apply without names would change.")
	m.sample(int64(h.Summary.Change))
	m.family("chainfix_decisions", "Questions to answer before all guests can be fixed.")
	m.sample(int64(len(h.Questions())))
	return m.w.Flush()
}

// problem counts the guests of all problems with one state and code.
type problem struct {
	state  report.State
	code   string
	guests int
}

// problems sums up, in the order of states and codes. Problems that only libvirt
// reports have the code "none", because an empty label counts as absent.
func problems(all []report.Problem) (sums []problem) {
	for _, p := range all {
		code := cmp.Or(p.Code, "none")
		i := slices.IndexFunc(sums, func(s problem) bool { return s.state == p.State && s.code == code })
		if i < 0 {
			i, sums = len(sums), append(sums, problem{state: p.State, code: code})
		}
		sums[i].guests += len(p.Guests)
	}
	slices.SortFunc(sums, func(a, b problem) int {
		states := report.States()
		return cmp.Or(slices.Index(states, a.state)-slices.Index(states, b.state), strings.Compare(a.code, b.code))
	})
	return sums
}

func keys(counts map[string]int) (all []string) {
	for key := range counts {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// text is Prometheus' text format, version 0.0.4.
type text struct {
	w    *bufio.Writer // a writer that keeps its first error
	name string        // of the family
}

// family begins a family of gauges.
func (t *text) family(name, help string) {
	t.name = name
	fmt.Fprintf(t.w, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// escape escapes the values of labels.
var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// sample writes one sample of the family, with the names and values of its labels.
func (t *text) sample(value int64, labels ...string) {
	var pairs []string
	for i := 0; i < len(labels); i += 2 {
		pairs = append(pairs, labels[i]+`="`+escape.Replace(strings.ToValidUTF8(labels[i+1], "\ufffd"))+`"`)
	}
	name := t.name
	if len(pairs) > 0 {
		name += "{" + strings.Join(pairs, ",") + "}"
	}
	fmt.Fprintf(t.w, "%s %d\n", name, value)
}
