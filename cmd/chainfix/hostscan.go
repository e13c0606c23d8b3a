//go:build !small

package main

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/collect"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
)

func hostScanCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "scan",
		Usage:       "report what you have to decide, and which guests will not start, read the wrong data or start by a guess",
		ArgsUsage:   "[GUEST...]",
		Description: scanDescription,
		Flags:       flagsOf(connectFlags(), fromFlags(), predictFlags(), draftFlags(), rebaseFlags(), hostOutputFlags(), outFlags(), shownFlags(), jobsFlags(), policyFlags()),
		Action:      func(c *cli.Context) error { return toOut(c, std, hostScan) },
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
	var unread []string // warnings about what could not be read and is no guest of the report
	if o.json {
		s.Warn = func(name string, err error) { unread = append(unread, shownName(name)+": "+host.Reason(err)) }
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
	collector := collect.NewCollector(o.run(s), inventory.Version())
	selection := o.filter.Selection()
	out := o.hostOutput(std.out, collector.Head())
	reported := progress.ofScan(s)
	worst := exitDone
	err = eachReport(c.Context, s, func(r *host.Report) error {
		script.add(r)
		worst = max(worst, scanStatus(r))
		reported()
		g, shown := selection.Guest(collector.Add(r))
		if !shown {
			return nil
		}
		return out.guest(&g)
	})
	if errors.Is(err, host.ErrNoDefinitions) {
		return withHint(err, emptyFolderHint(c.Context, o.from, w.requests))
	}
	if err != nil {
		return err
	}
	found := collector.End()
	if o.json || o.form == "html" {
		found.Findings = report.Warnings(append(unread, w.unmet()...)...)
	}
	shown := selection.Host(found)
	if err := out.end(&shown); err != nil {
		return err
	}
	if o.json {
		std.err = io.Discard // errors are returned
	}
	w.sayUnmet(std.err)
	if err := o.writeDraft(c.Context, std, found.Decisions, w.requests); err != nil {
		return err
	}
	if err := script.write(c.Context, std); err != nil {
		return err
	}
	return ended(worst)
}

// run describes how a scan is made.
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

// scanStatus returns the exit status for a guest: whether an apply of the same guests
// would change it, or needs a decision first.
func scanStatus(r *host.Report) int {
	switch {
	case r.Verdict() == chain.Refused, collect.HeldBack(r) != "":
		return exitRefused
	case collect.Changes(r):
		return exitChange
	}
	return exitDone
}
