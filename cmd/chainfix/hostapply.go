//go:build !small

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/xmlfix"
)

func hostApplyCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "apply",
		Usage:       "make chains explicit where guests need it and it is safe, or those of the named guests",
		Description: applyDescription,
		ArgsUsage:   "[GUEST...]",
		Flags:       flagsOf(connectFlags(), applyFlags(), allFlag(), applyPredictFlags(), storedFlags(), askFlags(), outputFlags(), jobsFlags(), policyFlags()),
		Action:      func(c *cli.Context) error { return hostApply(c, std) },
	}
}

func hostApply(c *cli.Context, std streams) error {
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	stateDir, err := o.stateFolder()
	if err != nil {
		return err
	}
	s, w, err := o.scan(c.Context, c.Args().Slice(), std)
	if err != nil {
		return err
	}
	progress := startProgress(c.Context, std, w.requests)
	defer progress.end()
	progress.say("connecting to libvirt")
	d, err := connectTo(c.Context, o.connect)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := o.setInventory(s, d); err != nil {
		return err
	}
	reported := progress.ofScan(s)
	result := newApplyResult(d.Version().String(), o.dryRun)
	result.asksFor, result.all = o.asksFor, o.all
	if o.dryRun {
		return o.applyDryRun(c.Context, std, s, w, result, reported)
	}
	a := &host.Apply{Daemon: d, Scan: s, Connect: o.connect, Program: version(), StateDir: stateDir, All: o.all, Snapshots: o.snapshots, Saved: o.saved,
		OnOutcome: func(outcome host.Outcome) {
			result.done(outcome)
			if outcome.Err == nil && !o.json {
				fmt.Fprintf(std.out, "%s %s\n", outcome.Step, entryName(outcome.Guest, outcome.Stored))
			}
		},
		Progress: func(done, total int) { progress.say("%d of %d guests done", done, total) }}
	if !o.yes {
		askFirst(c.Context, a, std)
	}
	dir, err := a.Run(c.Context, func(r *host.Report) error {
		o.printReport(std, r)
		result.scanned(r)
		result.storedOf(r)
		reported()
		return nil
	})
	if err == nil || errors.Is(err, host.ErrLeftOut) || errors.Is(err, host.ErrLeft) {
		w.sayUnmet(std.err)
	}
	cause := interrupted(c.Context)
	switch {
	case cause != nil && dir != "":
		err = fmt.Errorf("%w; the same command continues, and %s undoes what it has done", cause, o.rollbackOf(dir))
	case cause != nil:
		err = fmt.Errorf("%w; nothing was changed", cause)
	}
	if result.Run = dir; dir != "" && cause == nil {
		result.Undo = o.rollbackOf(dir)
	}
	if err != nil && !errors.Is(err, host.ErrLeftOut) {
		result.Error = err.Error()
	}
	result.printText(std.err)
	if err := o.printApplied(std, result); err != nil {
		return err
	}
	switch {
	case errors.Is(err, host.ErrLeftOut):
		return ended(exitRefused)
	case errors.Is(err, errDeclined):
		return &statusError{exitRefused, err}
	case err != nil:
		return inputError(err)
	}
	return nil
}

// printApplied prints the end of standard output: the folder of the run, or the
// whole result as JSON.
func (o *options) printApplied(std streams, result *applyResult) error {
	switch {
	case o.json:
		return result.printJSON(std.out)
	case result.Run != "":
		return write(std.out, []byte(pathLine(result.Run)))
	}
	return nil
}

// rollbackOf returns the command that rolls a run back, ready to paste.
func (o *options) rollbackOf(dir string) string {
	return "chainfix host rollback " + o.connectFlag() + finding.ShellWord(dir)
}

// pathLine returns a path as a line for scripts: unchanged, and quoted only if
// it could control a terminal or break the line.
func pathLine(path string) string {
	if !utf8.ValidString(path) || strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) {
		path = strconv.Quote(path)
	}
	return path + "\n"
}

// applyDryRun prints the changes that apply would make, with at most one line
// of context, because definitions contain secrets. Its exit status is that of
// the apply.
func (o *options) applyDryRun(ctx context.Context, std streams, s *host.Scan, w *walkers, result *applyResult, reported func()) error {
	worst := exitDone
	err := eachReport(ctx, s, func(r *host.Report) error {
		o.printReport(std, r)
		reported()
		status, diff := result.dryRun(r)
		worst = max(worst, status)
		if o.json {
			result.scanned(r).Diff = diff
		} else if err := write(std.out, []byte(diff)); err != nil {
			return err
		}
		status, err := result.dryRunStored(std, o.json, r)
		worst = max(worst, status)
		return err
	})
	if err == nil {
		w.sayUnmet(std.err)
		if worst == exitInput {
			err = inputError(host.ErrLeft)
		}
	}
	if err != nil {
		result.Error = err.Error()
	}
	result.printText(std.err)
	if err := o.printApplied(std, result); err != nil {
		return err
	}
	return cmp.Or(err, ended(worst))
}

// dryRun records what would happen to a guest, and returns its exit status and its
// diff.
func (a *applyResult) dryRun(r *host.Report) (status int, diff string) {
	switch g := a.scanned(r); g.Outcome {
	case wasRefused, wasHeldBack:
		return exitRefused, ""
	case wouldChange:
		diff, err := diffOfGuest(r)
		if err != nil {
			// This concerns only this guest.
			g.Outcome, g.Reason = wasLeft, err.Error()
			return exitInput, ""
		}
		return exitDone, diff
	}
	return exitDone, ""
}

// diffOfGuest returns the change of one guest.
func diffOfGuest(r *host.Report) (string, error) {
	return diffOfEntry(r.Examination.Document, r.Guest.Name, r.Guest.Definition)
}

// diffOfEntry returns the change to the old text of a document, or an error if it
// cannot be made.
func diffOfEntry(doc *xmlfix.Document, name string, old []byte) (string, error) {
	if _, err := doc.Bytes(); err != nil {
		return "", err
	}
	shown, err := diffOf(doc, name, old, 1)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	err = shown.write(&text)
	return text.String(), err
}

// stateFolder returns the folder of the runs.
func (o *options) stateFolder() (string, error) {
	if o.stateDir != "" {
		return o.stateDir, nil
	}
	if os.Getuid() == 0 {
		return "/var/lib/chainfix", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "chainfix"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usageError("no folder for the old definitions: use --state-dir")
	}
	return filepath.Join(home, ".local/state/chainfix"), nil
}
