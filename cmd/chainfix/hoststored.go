package main

import (
	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

// storedFlags say what host apply changes besides definitions.
func storedFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "snapshots", Usage: "mend what libvirt keeps of the guests' snapshots and checkpoints, too"},
			func(o *options, c *cli.Context) error { o.snapshots = c.Bool("snapshots"); return nil }},
		{&cli.BoolFlag{Name: "saved", Usage: "mend the XML in the guests' managed save images, too"},
			func(o *options, c *cli.Context) error { o.saved = c.Bool("saved"); return nil }},
	}
}

// printStored says what there is to mend of what libvirt keeps of a guest, but not
// what apply mends.
func (o *options) printStored(std streams, r *host.Report) {
	for _, s := range r.Stored {
		if s.Verdict() == chain.Fixable && host.AsksFor(s.Kind, o.snapshots, o.saved) {
			continue
		}
		for _, f := range s.Findings {
			printFinding(std.err, shownName(guestPlace(r.Guest)), f)
		}
	}
}

// dryRunStored prints the changes of what libvirt keeps of a guest, and returns the
// exit status that they ask for.
func (o *options) dryRunStored(std streams, r *host.Report) (worst int, err error) {
	for _, s := range r.Stored {
		status := exitDone
		outcome := host.Outcome{Guest: r.Guest.Name, Stored: s.Stored}
		switch why := s.HeldBack(r); {
		case !host.AsksFor(s.Kind, o.snapshots, o.saved):
		case s.Verdict() == chain.Refused:
			status = exitRefused
		case why != nil:
			status, outcome.Step, outcome.Err = exitRefused, host.Left, why
			printOutcome(std, outcome)
		default:
			status, err = dryRunChange(std, outcome, r.Guest.Name+"/"+s.Name, s.Examination.Document, s.Text)
		}
		if worst = max(worst, status); err != nil {
			break
		}
	}
	return worst, err
}

type storedJSON struct {
	Kind     string        `json:"kind"`
	Name     string        `json:"name"`
	Verdict  string        `json:"verdict"`
	Findings []findingJSON `json:"findings"`
}

// storedOf is what there is to mend of what libvirt keeps of a guest; nil for nothing.
func storedOf(r *host.Report) (all []storedJSON) {
	for _, s := range r.Stored {
		all = append(all, storedJSON{string(s.Kind), s.Name, s.Verdict().String(), findingsOf(s.Findings)})
	}
	return all
}
