//go:build !small

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

// rollbackSchema is the name and version of the JSON output of host rollback.
const rollbackSchema = "chainfix/rollback/v1"

// The outcomes of a guest in the JSON output of rollback, besides wasLeft.
const (
	wasRestored     = "restored"
	wouldRestore    = "would-restore" // of a dry run
	restoredAlready = "already-restored"
)

func hostRollbackCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "rollback",
		Usage:       "restore the definitions that guests had before a run of apply",
		Description: rollbackDescription,
		ArgsUsage:   "[RUN]",
		Flags:       flagsOf(connectFlags(), applyFlags(), outputFlags()),
		Action:      func(c *cli.Context) error { return hostRollback(c, std) },
	}
}

// rollbackResult is the result of a rollback or of a dry run.
type rollbackResult struct {
	Schema string           `json:"schema"`
	DryRun bool             `json:"dry-run"` // nothing was changed
	Run    string           `json:"run"`     // the run's folder; "" if there is none to roll back
	Guests []*restoredGuest `json:"guests"`
	Error  string           `json:"error,omitempty"` // why it could not finish, or that guests were left
}

// restoredGuest is the outcome of one guest, and the reason.
type restoredGuest struct {
	Name    string `json:"name"`
	UUID    string `json:"uuid"`
	Kind    string `json:"kind,omitempty"`   // of a snapshot, checkpoint or saved state, if it is about one
	Stored  string `json:"stored,omitempty"` // and its name
	Outcome string `json:"outcome"`          // the outcome
	Reason  string `json:"reason,omitempty"` // why, where it was left
	Hint    string `json:"hint,omitempty"`   // what would help

	entry host.Stored
}

func hostRollback(c *cli.Context, std streams) error {
	if err := atMost(c, 1, "one run"); err != nil {
		return err
	}
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	stateDir, err := o.stateFolder()
	if err != nil {
		return err
	}
	d, err := connectTo(c.Context, o.connect)
	if err != nil {
		return err
	}
	defer d.Close()
	result := &rollbackResult{Schema: rollbackSchema, DryRun: o.dryRun, Guests: []*restoredGuest{}}
	b := &host.Rollback{Daemon: d, Connect: o.virshConnect(), DryRun: o.dryRun, OnOutcome: func(outcome host.Outcome) {
		g := result.add(outcome)
		if !o.json {
			g.printText(std)
		}
	}}
	if c.NArg() > 0 {
		result.Run = runFolder(stateDir, c.Args().First())
		if err = b.Run(c.Context, result.Run); errors.Is(err, fs.ErrNotExist) {
			if _, missing := os.Stat(result.Run); missing != nil {
				err = withHint(fmt.Errorf("there is no run %q", result.Run), o.listRuns())
			}
		}
	} else {
		result.Run, err = b.RunNewest(c.Context, stateDir)
		o.sayRun(std, result.Run, stateDir, err)
	}
	return o.endRollback(c.Context, std, result, err)
}

// runFolder returns the folder that an argument names: a bare name is in the state folder.
func runFolder(stateDir, word string) string {
	if word == "" || strings.ContainsRune(word, filepath.Separator) {
		return word
	}
	return filepath.Join(stateDir, word)
}

// listRuns is the command that shows the names of the runs.
func (o *options) listRuns() finding.Remedy {
	command := "chainfix host runs"
	if o.stateDir != "" {
		command += " --state-dir " + finding.ShellWord(o.stateDir)
	}
	return finding.Say("all runs: %s", finding.Command(command))
}

// sayRun prints which run was chosen if none was named.
func (o *options) sayRun(std streams, run, stateDir string, err error) {
	switch {
	case errors.Is(err, host.ErrNoRun):
		fmt.Fprintf(std.err, "nothing to roll back: no run in %q changed a guest of this libvirt, or all are rolled back already\n", stateDir)
	case run != "":
		fmt.Fprintf(std.err, "newest run to roll back: %s", pathLine(run))
		if errors.Is(err, host.ErrLeft) { // without a name the next rollback chooses the same run
			printHint(std.err, finding.Say("to roll back an older run, name it; %s", o.listRuns()))
		}
	}
}

// endRollback prints the JSON result, and turns the error into an exit status.
func (o *options) endRollback(ctx context.Context, std streams, result *rollbackResult, err error) error {
	cause := interrupted(ctx)
	switch {
	case cause != nil:
		err = fmt.Errorf("%w; the same command continues", cause)
	case errors.Is(err, host.ErrNoRun):
		err = nil
	}
	if o.json {
		if err != nil {
			result.Error = err.Error()
		}
		if err := printJSON(std.out, result); err != nil {
			return err
		}
	}
	switch {
	case cause == nil && errors.Is(err, host.ErrLeft):
		return ended(exitRefused)
	case err != nil:
		return inputError(err)
	}
	return nil
}

// add records the outcome of a guest.
func (r *rollbackResult) add(o host.Outcome) *restoredGuest {
	g := &restoredGuest{Name: o.Guest, UUID: o.UUID, Kind: string(o.Stored.Kind), Stored: o.Stored.Name, entry: o.Stored, Outcome: wasRestored, Hint: o.Remedy.String()}
	switch {
	case o.Err != nil:
		g.Outcome, g.Reason = wasLeft, o.Err.Error()
	case o.Already:
		g.Outcome = restoredAlready
	case r.DryRun:
		g.Outcome = wouldRestore
	}
	r.Guests = append(r.Guests, g)
	return g
}

// printText prints the outcome of a guest: to standard output that its definition is
// restored, to standard error that it was left.
func (g *restoredGuest) printText(std streams) {
	if g.Outcome != wasLeft {
		fmt.Fprintf(std.out, "%s %s\n", strings.ReplaceAll(g.Outcome, "-", " "), entryName(g.Name, g.entry))
		return
	}
	if g.entry == (host.Stored{}) {
		printLeft(std.err, g.Name, g.Reason)
	} else {
		fmt.Fprintf(std.err, "%s: warning: %s is left unchanged: %s\n", shownName(g.Name), g.entry, g.Reason)
	}
	if g.Hint != "" {
		fmt.Fprintf(std.err, "hint: %s\n", g.Hint)
	}
}

// virshConnect returns the URI to pass to virsh, or "" if virsh connects there by default.
func (o *options) virshConnect() string {
	if env := os.Getenv("LIBVIRT_DEFAULT_URI"); o.connect == env || env == "" && os.Getuid() == 0 && o.connect == "qemu:///system" {
		return ""
	}
	return o.connect
}
