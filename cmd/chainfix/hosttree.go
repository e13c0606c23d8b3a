//go:build !small

package main

import (
	"errors"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/collect"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/tree"
)

func hostTreeCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "tree",
		Usage:       "draw the backing chains of all guests, each base once",
		ArgsUsage:   "[GUEST...]",
		Description: treeDescription,
		Flags:       flagsOf(connectFlags(), fromFlags(), predictFlags(), outFlags(), jobsFlags(), policyFlags()),
		Action:      func(c *cli.Context) error { return toOut(c, std, hostTree) },
	}
}

func hostTree(c *cli.Context, std streams) error {
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	run, err := o.beginScan(c, c.Args().Slice(), std)
	if err != nil {
		return err
	}
	defer run.end()
	collector := collect.NewCollector(o.run(run.scan), run.inventory.Version())
	reported := run.progress.ofScan(run.scan)
	var guests []report.Guest
	err = eachReport(c.Context, run.scan, func(r *host.Report) error {
		guests = append(guests, collector.Add(r))
		reported()
		return nil
	})
	if errors.Is(err, host.ErrNoDefinitions) {
		return withHint(err, emptyFolderHint(c.Context, o.from, run.requests))
	}
	if err != nil {
		return err
	}
	found := collector.End()
	found.Guests = guests
	run.sayUnmet(std.err)
	return writeError(tree.Draw(std.out, &found, tree.Options{Width: columnsOf(std.out), ASCII: !isUTF8()}))
}

// isUTF8 reports whether the locale has more than ASCII, as locale(7) says.
func isUTF8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(os.Getenv(name)); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}
