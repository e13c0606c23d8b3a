package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

func hostScanCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "scan",
		Usage:       "say of all guests whether their chains are explicit, or need to be, and what libvirt will make of them",
		ArgsUsage:   "[GUEST...]",
		Description: scanDescription,
		Flags:       flagsOf(connectFlags(), fromFlags(), predictFlags(), draftFlags(), rebaseFlags(), hostOutputFlags(), jobsFlags(), policyFlags()),
		Action:      func(c *cli.Context) error { return hostScan(c, std) },
	}
}

func hostScan(c *cli.Context, std streams) error {
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	s, w, err := o.scan(c.Context, c.Args().Slice(), std)
	if err != nil {
		return err
	}
	var unread []string // what could not be read and is about no guest of the report
	if o.json {
		s.Warn = func(name string, err error) { unread = append(unread, shownName(name)+": "+err.Error()) }
	}
	if err := o.checkDraftFree(c.Context, w.requests); err != nil {
		return err
	}
	progress := startProgress(c.Context, std, w.requests)
	defer progress.end()
	if o.from == "" {
		progress.say("connecting to libvirt")
	}
	inventory, end, err := o.inventory(c.Context, w.requests)
	if err != nil {
		return err
	}
	defer end()
	if err := o.setInventory(s, inventory); err != nil {
		return err
	}
	script := o.newRebase(w)
	collector := report.NewCollector(o.run(s), inventory.Version())
	out := o.hostOutput(std.out, collector.Head())
	reported := progress.ofScan(s)
	worst := exitDone
	err = eachReport(c.Context, s, func(r *host.Report) error {
		if !o.json {
			printReport(std, r)
			o.printStored(std, r)
		}
		script.add(r)
		worst = max(worst, scanStatus(r))
		reported()
		g := collector.Add(r)
		return out.guest(r, &g)
	})
	if errors.Is(err, host.ErrNoDefinitions) {
		return withHint(err, emptyFolderHint(c.Context, o.from, w.requests))
	}
	if err != nil {
		return err
	}
	found := collector.End()
	if o.json {
		found.Findings = report.Warnings(append(unread, w.unmet()...)...)
	}
	if err := out.end(&found); err != nil {
		return err
	}
	if !o.json {
		w.sayUnmet(std.err)
	}
	if err := o.writeDraft(c.Context, std, found.Decisions, w.requests); err != nil {
		return err
	}
	if err := script.write(c.Context, std); err != nil {
		return err
	}
	return ended(worst)
}

// run says how a scan comes about.
func (o *options) run(s *host.Scan) report.Run {
	r := report.Run{Source: o.connect, Chainfix: buildVersion(), Time: time.Now().UTC().Truncate(time.Second), Rule: s.Policy.Rule.String(), Targets: []string{}}
	r.Host, _ = os.Hostname()
	if o.from != "" {
		r.Source = o.from
	}
	if o.policyFile != nil {
		r.Policy = *o.policyFile
	}
	for _, target := range s.PredictedTargets() {
		r.Targets = append(r.Targets, target.String())
	}
	return r
}

// scanStatus is the exit status that a guest asks for: it is to be changed by an apply of
// the same guests, or is one that nobody changes without a decision.
func scanStatus(r *host.Report) int {
	switch {
	case r.Verdict() == chain.Refused, report.HeldBack(r) != "":
		return exitRefused
	case report.Changes(r):
		return exitChange
	}
	return exitDone
}

// hostText is for people: a line for each guest, and a summary.
type hostText struct {
	w       io.Writer
	summary *summary
}

func (t *hostText) guest(r *host.Report, g *report.Guest) error {
	t.summary.add(r)
	var line strings.Builder
	fmt.Fprintf(&line, "%-9s %q", r.Verdict(), r.Guest.Name)
	if r.Guest.Active {
		line.WriteString(" (running)")
	}
	line.WriteString(shownNeed(r.Verdict(), r.Need()))
	for _, o := range outcomes(r) {
		fmt.Fprintf(&line, "; %s", o)
	}
	if code := g.HeldBack; code != "" {
		fmt.Fprintf(&line, "; held back: %s", code)
	}
	line.WriteString("\n")
	return write(t.w, []byte(line.String()))
}

func (t *hostText) end(*report.Host) error { return write(t.w, []byte(t.summary.String())) }

// targetOutcome is what becomes of a guest as it is under one libvirt: it does
// not start if one of its disks is refused, and else sees wrong bytes if one of
// them is opened wrongly.
type targetOutcome struct {
	target  libvirt.Pair
	outcome predict.Outcome
	unknown bool // the definition, or one of the disks, cannot be looked at from here
}

// String says it for people.
func (o targetOutcome) String() string {
	switch {
	case o.outcome == predict.Refuses:
		return "libvirt " + o.target.String() + " refuses it as it is"
	case o.outcome == predict.Misopens:
		return "libvirt " + o.target.String() + " starts it as it is and opens something wrong"
	case o.unknown:
		return "what libvirt " + o.target.String() + " makes of it cannot be told from here"
	}
	return "libvirt " + o.target.String() + " starts it as it is"
}

func outcomes(r *host.Report) []targetOutcome {
	all := make([]targetOutcome, len(r.Targets))
	for i, target := range r.Targets {
		all[i] = targetOutcome{target: target, unknown: r.Err != nil || r.Examination.Err != nil}
	}
	for _, disk := range r.Predictions {
		for i, p := range disk {
			if p.Err != nil {
				all[i].unknown = true
				continue
			}
			all[i].outcome = worseOutcome(all[i].outcome, p.Outcome)
		}
	}
	return all
}

func worseOutcome(a, b predict.Outcome) predict.Outcome {
	for _, o := range []predict.Outcome{predict.Refuses, predict.Misopens} {
		if a == o || b == o {
			return o
		}
	}
	return predict.Starts
}

// summary counts guests.
type summary struct {
	guests   int
	verdicts map[chain.Verdict]int
	needs    needSummary
	targets  []libvirt.Pair
	outcomes map[targetOutcome]int
}

func newSummary() *summary {
	return &summary{verdicts: make(map[chain.Verdict]int), needs: make(needSummary), outcomes: make(map[targetOutcome]int)}
}

func (s *summary) add(r *host.Report) {
	s.guests++
	s.verdicts[r.Verdict()]++
	s.needs[r.Need()]++
	for i, o := range outcomes(r) {
		if i == len(s.targets) {
			s.targets = append(s.targets, o.target)
		}
		if o.outcome != predict.Starts {
			o.unknown = false
		}
		s.outcomes[o]++
	}
}

// String has a line for the verdicts, one for what the guests need and one for each target. The numbers of a line are
// all guests together.
func (s *summary) String() string {
	guests := "guests"
	if s.guests == 1 {
		guests = "guest"
	}
	text := fmt.Sprintf("%d %s: %d explicit, %d fixable, %d refused\n", s.guests, guests,
		s.verdicts[chain.Explicit], s.verdicts[chain.Fixable], s.verdicts[chain.Refused]) + s.needs.String()
	for _, target := range s.targets {
		count := func(o predict.Outcome) int { return s.outcomes[targetOutcome{target: target, outcome: o}] }
		text += fmt.Sprintf("as they are, libvirt %s starts %d, refuses %d, and opens something wrong for %d",
			target, count(predict.Starts), count(predict.Refuses), count(predict.Misopens))
		if unknown := s.outcomes[targetOutcome{target: target, unknown: true}]; unknown > 0 {
			text += fmt.Sprintf("; of %d it cannot be told from here", unknown)
		}
		text += "\n"
	}
	return text
}
