// Package collect makes the report on a host from the reports of a scan: it identifies the images
// of all guests, and collects problems and decisions by cause and image.
package collect

import (
	"slices"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

// Collector makes the report on a host from the reports of its guests. It keeps only the names of
// guests; Add returns the rest of a guest's report, to be written at once. So memory grows with
// the images of the host, by less than a KiB for each.
type Collector struct {
	host      report.Host
	guests    []string // names, by number
	images    images
	problems  map[problemKey]*problem
	decisions decisions
}

// NewCollector returns a Collector for a run of the libvirt of this version.
func NewCollector(run report.Run, version libvirt.Version) *Collector {
	c := &Collector{problems: make(map[problemKey]*problem)}
	c.host = report.Host{Schema: report.HostSchema, Run: run, Guests: []report.Guest{}, Summary: newSummary(run.Targets)}
	if version.Known() {
		c.host.Libvirt = version.String()
	}
	c.images.init()
	return c
}

// Head returns the report without anything that comes from guests.
func (c *Collector) Head() report.Host { return c.host }

// Add adds the report on a guest and returns it as in JSON. Guests are added in the order of
// the inventory.
func (c *Collector) Add(r *host.Report) report.Guest {
	number := len(c.guests)
	c.guests = append(c.guests, r.Guest.Name)
	g := GuestOf(r)
	worst := worstOf(r)
	g.State = worst.state
	e := ExaminationOf(r)
	chains := make([][]*imageRecord, len(e.Disks))
	for i, d := range e.Disks {
		chains[i] = c.images.addDisk(number, d, r.Images)
		for j, image := range chains[i] {
			g.Disks[i].Layers[j].Image = image.key()
		}
	}
	c.decisions.add(r, c.images.keyOf)
	c.addProblem(number, r, worst, chains)
	count(&c.host.Summary, &g, Changes(r))
	return g
}

// End returns the report on the host, without its Guests.
func (c *Collector) End() report.Host {
	h := c.host
	h.Images = c.images.list(c.guests)
	h.Problems = c.listProblems()
	h.Decisions = c.decisions.list()
	return h
}

// names returns the names of the guests with these numbers.
func names(all []string, numbers []int32) []string {
	these := make([]string, len(numbers))
	for i, n := range numbers {
		these[i] = all[n]
	}
	return these
}

// addOnce appends the number of a guest, unless it is already the last: guests come one by one.
func addOnce(numbers []int32, guest int) []int32 {
	if n := len(numbers); n > 0 && numbers[n-1] == int32(guest) {
		return numbers
	}
	return append(numbers, int32(guest))
}

// at returns the image of a layer, or nil.
func at(images []*imageRecord, layer int) *imageRecord {
	if layer < 0 || layer >= len(images) {
		return nil
	}
	return images[layer]
}

// newSummary returns a summary of no guests.
func newSummary(targets []string) report.Summary {
	s := report.Summary{States: make(map[report.State]int), Verdicts: make(map[string]int), Outcomes: make(map[string]map[string]int)}
	for _, state := range report.States() {
		s.States[state] = 0
	}
	for _, verdict := range []string{"explicit", "fixable", "refused"} {
		s.Verdicts[verdict] = 0
	}
	for _, target := range targets {
		outcomesIn(&s, target)
	}
	return s
}

// outcomesIn returns the outcomes under a target.
func outcomesIn(s *report.Summary, target string) map[string]int {
	if s.Outcomes[target] == nil {
		s.Outcomes[target] = map[string]int{"starts": 0, "refuses": 0, "misopens": 0, unknownOutcome: 0}
	}
	return s.Outcomes[target]
}

// count counts a guest.
func count(s *report.Summary, g *report.Guest, changes bool) {
	s.Guests++
	s.States[g.State]++
	s.Verdicts[g.Verdict]++
	for target, outcome := range g.Outcome {
		outcomesIn(s, target)[outcome]++
	}
	if g.HeldBack != "" {
		s.HeldBack++
	}
	if changes {
		s.Change++
	}
}

// rank returns the rank of a state, the worst first.
func rank(s report.State) int { return slices.Index(report.States(), s) }
