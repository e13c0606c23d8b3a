//go:build !small

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/collect"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/xmlfix"
)

// applySchema is the name and version of the JSON output of host apply.
const applySchema = "chainfix/apply/v1"

// The outcomes of a guest in the JSON output of apply.
const (
	wasChanged  = "changed"
	wouldChange = "would-change" // of a dry run
	wasPlanned  = "planned"      // the run ended before its turn
	wasLeft     = "left"         // it should have been changed and could not be
	wasHeldBack = "held-back"
	wasRefused  = "refused"
	wasExplicit = "explicit" // nothing to do
	wasNoNeed   = "not-needed"
)

// appliedGuest is the outcome of one guest, and the reason.
type appliedGuest struct {
	Name    string `json:"name"`
	UUID    string `json:"uuid"`
	Outcome string `json:"outcome"`          // the outcome
	Code    string `json:"code,omitempty"`   // the code of the finding that says why
	Reason  string `json:"reason,omitempty"` // why, where it was not changed
	Diff    string `json:"diff,omitempty"`   // in a dry run: what would change, as a unified diff
}

// applyResult is the result of an apply or of a dry run.
type applyResult struct {
	Schema  string          `json:"schema"`
	Libvirt string          `json:"libvirt"` // the version that was asked
	DryRun  bool            `json:"dry-run"` // nothing was changed
	Run     string          `json:"run"`     // the run's folder; "" if there is none
	Undo    string          `json:"undo"`    // the command that rolls it back; "" if there is nothing to roll back
	Guests  []*appliedGuest `json:"guests"`
	// Stored are the outcomes of snapshots, checkpoints and saved states.
	Stored []*appliedStored `json:"stored,omitempty"`
	Error  string           `json:"error,omitempty"` // why it could not finish, or that guests were left

	byName  map[string]*appliedGuest
	byEntry map[storedEntry]*appliedStored
	asksFor func(host.MetadataKind) bool // whether a kind is fixed; nil for none
	all     bool                         // make every chain explicit
}

func newApplyResult(libvirt string, dryRun bool) *applyResult {
	return &applyResult{Schema: applySchema, Libvirt: libvirt, DryRun: dryRun, Guests: []*appliedGuest{}, byName: make(map[string]*appliedGuest), byEntry: make(map[storedEntry]*appliedStored)}
}

// guest returns a guest of the result, creating it if needed.
func (a *applyResult) guest(name, uuid string) *appliedGuest {
	g := a.byName[name]
	if g == nil {
		g = &appliedGuest{Name: name, UUID: uuid}
		a.byName[name] = g
		a.Guests = append(a.Guests, g)
	}
	return g
}

// scanned records what to do with a guest, unless it was already done.
func (a *applyResult) scanned(r *host.Report) *appliedGuest {
	g := a.guest(r.Guest.Name, r.Guest.UUID)
	if g.Outcome != "" {
		return g
	}
	switch held, why := r.HeldBack(); {
	case r.Verdict() == chain.Explicit:
		g.Outcome = wasExplicit
	case !r.Wanted(a.all):
		g.Outcome = wasNoNeed
	case r.Verdict() == chain.Refused:
		g.Outcome = wasRefused
		f := whyRefused(collect.ExaminationOf(r))
		g.Code, g.Reason = string(f.Code), f.Text
	case why != nil:
		g.Outcome, g.Code, g.Reason = wasHeldBack, string(held.Code), why.Error()
	case a.DryRun:
		g.Outcome = wouldChange
	default:
		g.Outcome = wasPlanned
	}
	return g
}

// whyRefused returns the first finding that refuses a document.
func whyRefused(e *xmlfix.Examination) finding.Finding {
	if e.Err != nil {
		f, _ := report.FindingOf(e.Err)
		return f
	}
	for _, d := range e.Disks {
		if d.Err != nil {
			f, _ := report.FindingOf(d.Err)
			return f
		}
		if d.Chain == nil {
			continue
		}
		for _, f := range d.Chain.Findings {
			if f.Severity == finding.Refuse {
				return f
			}
		}
	}
	return finding.Finding{}
}

// done records the outcome of a guest.
func (a *applyResult) done(o host.Outcome) {
	var g *appliedGuest
	if o.Stored == (host.Stored{}) {
		g = a.guest(o.Guest, o.UUID)
	} else {
		g = &a.entry(o.Guest, o.UUID, o.Stored).appliedGuest
	}
	switch {
	case o.Err == nil:
		g.Outcome = wasChanged
	case errors.Is(o.Err, host.ErrGuestBusy), errors.Is(o.Err, host.ErrByName):
		g.Outcome, g.Reason = wasHeldBack, o.Err.Error()
	default:
		g.Outcome, g.Reason = wasLeft, o.Err.Error()
	}
}

// printText prints to standard error why guests were left or held back, how many
// were changed, and how to undo that.
func (a *applyResult) printText(w io.Writer) {
	if len(a.Guests) == 0 && a.Error != "" {
		return // the error says it all
	}
	count := make(map[string]int)
	for _, g := range a.Guests {
		count[g.Outcome]++
		switch g.Outcome {
		case wasLeft:
			printLeft(w, g.Name, g.Reason)
		case wasHeldBack:
			fmt.Fprintf(w, "%s: warning: held back: %s\n", shownName(g.Name), g.Reason)
		}
	}
	stored := a.printStored(w)
	said := counted(count)
	if a.Error == "" && count[wasChanged]+count[wouldChange]+stored == 0 {
		said = strings.TrimSuffix("nothing to change, "+said, ", ")
	}
	fmt.Fprintln(w, said)
	if a.Undo != "" {
		fmt.Fprintln(w, "to undo this: "+a.Undo)
	}
}

// counted returns how many there are of each outcome.
func counted(count map[string]int) string {
	var parts []string
	for _, part := range []struct{ outcome, words string }{
		{wasChanged, "changed"}, {wouldChange, "would be changed"}, {wasPlanned, "still to be changed"}, {wasLeft, "left unchanged"},
		{wasHeldBack, "held back"}, {wasRefused, "waiting for a decision"}, {wasNoNeed, "not needed"}, {wasExplicit, "already explicit"},
	} {
		if n := count[part.outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, part.words))
		}
	}
	return strings.Join(parts, ", ")
}

func printLeft(w io.Writer, guest, reason string) {
	fmt.Fprintf(w, "%s: warning: left unchanged: %s\n", shownName(guest), reason)
}

// printJSON is for programs.
func (a *applyResult) printJSON(w io.Writer) error { return printJSON(w, a) }

// printJSON writes a document of one line.
func printJSON(w io.Writer, document any) error {
	text, err := encodeJSON(document)
	if err != nil {
		return err
	}
	return write(w, append(text, '\n'))
}
