//go:build !small

package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/collect"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
)

// storedFlags select what host apply changes besides definitions.
func storedFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "snapshots", Usage: "also fix the chains that libvirt keeps for the guests' snapshots and checkpoints"},
			func(o *options, c *cli.Context) error { o.snapshots = c.Bool("snapshots"); return nil }},
		{&cli.BoolFlag{Name: "saved", Usage: "also fix the XML in the guests' managed save images"},
			func(o *options, c *cli.Context) error { o.saved = c.Bool("saved"); return nil }},
	}
}

func (o *options) asksFor(kind host.MetadataKind) bool {
	return host.AsksFor(kind, o.snapshots, o.saved)
}

// printReport prints the findings about a guest, except about the snapshots, checkpoints and
// saved states that the apply will change.
func (o *options) printReport(std streams, r *host.Report) {
	g := collect.GuestOf(r)
	g.Stored = slices.DeleteFunc(g.Stored, func(s report.Stored) bool {
		return s.Verdict == chain.Fixable.String() && o.asksFor(host.MetadataKind(s.Kind))
	})
	fmt.Fprint(std.err, text.Findings(&g, o.color.on(std.err)))
}

// entryName names a guest, or one of its snapshots, checkpoints or saved states.
func entryName(guest string, s host.Stored) string {
	if stored := s.String(); stored != "" {
		return stored + " of " + strconv.Quote(guest)
	}
	return strconv.Quote(guest)
}

// appliedStored is the outcome of one snapshot, checkpoint or saved state of a guest.
type appliedStored struct {
	appliedGuest        // of its guest
	Kind         string `json:"kind"`
	Stored       string `json:"stored"` // its name

	shown string
}

// storedEntry identifies an entry.
type storedEntry struct {
	guest  string
	stored host.Stored
}

// entry returns an entry of the result, creating it if needed.
func (a *applyResult) entry(guest, uuid string, s host.Stored) *appliedStored {
	e := a.byEntry[storedEntry{guest, s}]
	if e == nil {
		e = &appliedStored{appliedGuest: appliedGuest{Name: guest, UUID: uuid}, Kind: string(s.Kind), Stored: s.Name, shown: s.String()}
		a.byEntry[storedEntry{guest, s}] = e
		a.Stored = append(a.Stored, e)
	}
	return e
}

// storedOf records what to do with a guest's snapshots, checkpoints and saved states,
// and returns those not yet done.
func (a *applyResult) storedOf(r *host.Report) map[*host.StoredReport]*appliedStored {
	open := make(map[*host.StoredReport]*appliedStored)
	for _, s := range r.Stored {
		if a.asksFor == nil || !a.asksFor(s.Kind) || !s.Wanted(r, a.all) {
			continue
		}
		e := a.entry(r.Guest.Name, r.Guest.UUID, s.Stored)
		if e.Outcome != "" {
			continue
		}
		open[s] = e
		switch code, why := s.HeldBack(r); {
		case s.Verdict() == chain.Refused:
			f := whyRefused(s.Examination) // s.Findings may lack it, such as for a missing image
			e.Outcome, e.Code, e.Reason = wasRefused, string(f.Code), f.Text
		case why != nil:
			e.Outcome, e.Code, e.Reason = wasHeldBack, string(code), why.Error()
		case a.DryRun:
			e.Outcome = wouldChange
		default:
			e.Outcome = wasPlanned
		}
	}
	return open
}

// dryRunStored records what would happen to a guest's snapshots, checkpoints and saved
// states, prints the diffs unless the output is JSON, and returns the exit status.
func (a *applyResult) dryRunStored(std streams, json bool, r *host.Report) (worst int, err error) {
	open := a.storedOf(r)
	for _, s := range r.Stored {
		e := open[s]
		switch {
		case e == nil:
			continue
		case e.Outcome != wouldChange:
			worst = max(worst, exitRefused)
			continue
		}
		diff, err := diffOfEntry(s.Examination.Document, r.Guest.Name+"/"+s.Name, s.Text)
		switch {
		case err != nil:
			e.Outcome, e.Reason = wasLeft, err.Error()
			worst = max(worst, exitInput)
		case json:
			e.Diff = diff
		default:
			if err := write(std.out, []byte(diff)); err != nil {
				return worst, err
			}
		}
	}
	return worst, nil
}

// printStored prints why entries were left or held back, and returns how many were
// changed.
func (a *applyResult) printStored(w io.Writer) (changed int) {
	count := make(map[string]int)
	for _, e := range a.Stored {
		count[e.Outcome]++
		switch e.Outcome {
		case wasLeft:
			fmt.Fprintf(w, "%s: warning: %s is left unchanged: %s\n", shownName(e.Name), e.shown, e.Reason)
		case wasHeldBack:
			fmt.Fprintf(w, "%s: warning: %s is held back: %s\n", shownName(e.Name), e.shown, e.Reason)
		}
	}
	changed = count[wasChanged] + count[wouldChange]
	if len(a.Stored) > 0 {
		fmt.Fprintf(w, "of %d snapshots, checkpoints and saved states: %s\n", len(a.Stored), counted(count))
	}
	return changed
}
