package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

func hostApplyCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:      "apply",
		Usage:     "make the chains of the guests explicit that need it, where that is safe, or of those that are named; the last line printed is the folder that takes it back",
		ArgsUsage: "[GUEST...]",
		Flags:     flagsOf(connectFlags(), applyFlags(), predictFlags(), jobsFlags(), policyFlags()),
		Action:    func(c *cli.Context) error { return hostApply(c, std) },
	}
}

func hostRollbackCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:      "rollback",
		Usage:     "give the guests of a run of apply their old definitions again",
		ArgsUsage: "RUN",
		Flags:     flagsOf(connectFlags()),
		Action:    func(c *cli.Context) error { return hostRollback(c, std) },
	}
}

func hostApply(c *cli.Context, std streams) error {
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	stateDir := o.stateDir
	if stateDir == "" {
		if stateDir, err = defaultStateDir(); err != nil {
			return err
		}
	}
	s, w, err := o.scan(c.Context, c.Args().Slice(), std)
	if err != nil {
		return err
	}
	progress := startProgress(c.Context, std, w.requests)
	defer progress.end()
	progress.say("connecting to libvirt")
	d, err := host.Connect(c.Context, o.connect)
	if err != nil {
		return inputError(err)
	}
	defer d.Close()
	if err := o.setInventory(s, d); err != nil {
		return err
	}
	reported := progress.ofScan(s)
	if o.dryRun {
		return hostDryRun(c, std, s, w, o, reported)
	}
	a := &host.Apply{Daemon: d, Scan: s, Connect: o.connect, StateDir: stateDir, All: o.all,
		OnOutcome: func(outcome host.Outcome) { printOutcome(std, outcome) },
		Progress:  func(done, total int) { progress.say("%d of %d guests done", done, total) }}
	dir, err := a.Run(c.Context, func(r *host.Report) error {
		printReport(std, r)
		reported()
		return nil
	})
	if err == nil || errors.Is(err, host.ErrLeftOut) || errors.Is(err, host.ErrLeft) {
		w.sayUnmet(std.err)
	}
	if dir != "" {
		if err := write(std.out, []byte(pathLine(dir))); err != nil {
			return err
		}
	}
	switch cause := interrupted(c.Context); {
	case cause != nil && dir != "":
		return inputError(fmt.Errorf("%w; the same command carries on, and %s takes back what it has done", cause, o.rollbackOf(dir)))
	case errors.Is(err, host.ErrLeftOut):
		return ended(exitRefused)
	case err != nil:
		return inputError(err)
	}
	return nil
}

// rollbackOf is the command that takes a run back, to be pasted.
func (o *options) rollbackOf(dir string) string {
	connect := ""
	if o.connect != defaultConnect() {
		connect = "--connect " + finding.ShellWord(o.connect) + " "
	}
	return "chainfix host rollback " + connect + finding.ShellWord(dir)
}

// pathLine is a path as scripts take it, a line: as it is, and quoted only if it
// could drive a terminal or be more than a line.
func pathLine(path string) string {
	if !utf8.ValidString(path) || strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) {
		path = strconv.Quote(path)
	}
	return path + "\n"
}

// hostDryRun prints the changes that apply would make. Around them no more
// than a line is shown: definitions hold secrets.
func hostDryRun(c *cli.Context, std streams, s *host.Scan, w *walkers, o *options, reported func()) error {
	worst := exitDone
	err := eachReport(c.Context, s, func(r *host.Report) error {
		printReport(std, r)
		reported()
		if !r.Wanted(o.all) {
			return nil
		}
		status, err := dryRunGuest(std, r)
		worst = max(worst, status)
		return err
	})
	if err != nil {
		return err
	}
	w.sayUnmet(std.err)
	return ended(worst)
}

// dryRunGuest prints the change of one guest and returns the exit status that it
// asks for. A definition that cannot be written is a matter of this guest alone.
func dryRunGuest(std streams, r *host.Report) (status int, err error) {
	_, busy := r.HeldBack()
	switch {
	case r.Verdict() == chain.Refused:
		return exitRefused, nil
	case r.Verdict() != chain.Fixable:
		return exitDone, nil
	case busy != nil:
		return exitRefused, nil
	}
	// That it can be done is a part of the answer.
	_, err = r.Examination.Document.Bytes()
	var shown *diff
	if err == nil {
		shown, err = diffOf(r.Examination.Document, r.Guest.Name, r.Guest.Definition, 1)
	}
	if err != nil {
		printOutcome(std, host.Outcome{Guest: r.Guest.Name, Step: host.Left, Err: err})
		return exitInput, nil
	}
	return exitDone, shown.write(std.out)
}

func hostRollback(c *cli.Context, std streams) error {
	if c.NArg() != 1 {
		return usageError("rollback takes the folder of one run")
	}
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	d, err := host.Connect(c.Context, o.connect)
	if err != nil {
		return inputError(err)
	}
	defer d.Close()
	b := &host.Rollback{Daemon: d, Connect: o.connect, OnOutcome: func(outcome host.Outcome) { printOutcome(std, outcome) }}
	err = b.Run(c.Context, c.Args().First())
	switch cause := interrupted(c.Context); {
	case cause != nil:
		return inputError(fmt.Errorf("%w; the same command carries on", cause))
	case errors.Is(err, host.ErrLeft):
		return ended(exitRefused)
	case err != nil:
		return inputError(err)
	}
	return nil
}

// printOutcome says what has become of a guest: on standard output that it was
// changed, as an error that it was not.
func printOutcome(std streams, o host.Outcome) {
	if o.Err != nil {
		fmt.Fprintf(std.err, "%s: warn: left as it is: %s\n", shownName(o.Guest), o.Err)
		return
	}
	fmt.Fprintf(std.out, "%s %s\n", o.Step, strconv.Quote(o.Guest))
}

// defaultStateDir returns the folder of the runs where no flag names one.
func defaultStateDir() (string, error) {
	if os.Getuid() == 0 {
		return "/var/lib/chainfix", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "chainfix"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usageError("no folder for the old definitions: give --state-dir")
	}
	return filepath.Join(home, ".local/state/chainfix"), nil
}
