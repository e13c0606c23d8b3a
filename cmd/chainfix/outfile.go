package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"
)

// outFlags redirect the output to a file.
func outFlags() []flagRow {
	return []flagRow{
		{&cli.StringFlag{Name: "out", Usage: "write to `FILE` instead, atomically: readers see the old content or all of the new"},
			func(_ *options, c *cli.Context) error {
				if c.String("out") == "" {
					return usageError("--out needs a file")
				}
				return nil
			}},
	}
}

// toOut runs a command with its output going to the file of --out, if given. If the command
// fails, the file stays unchanged. Refused guests are not a failure, nor is any other status
// that the output explains.
func toOut(c *cli.Context, std streams, command func(*cli.Context, streams) error) error {
	if err := distinctFiles(c); err != nil {
		return err
	}
	if !c.IsSet("out") {
		return command(c, std)
	}
	if _, err := optionsOf(c); err != nil {
		return err
	}
	file, err := beginReplacement(c.Context, c.String("out"))
	if err != nil {
		return inputError(err)
	}
	defer file.abandon()
	std.out = file
	status := command(c, std)
	if status != nil && status.Error() != "" {
		return status
	}
	lost, err := file.commit(c.Context)
	switch {
	case err != nil:
		return inputError(err)
	case lost != "":
		fmt.Fprintf(std.err, "%s: warning: the file was rewritten, but its %s could not be kept\n", shownName(file.path), lost)
	}
	return status
}

// distinctFiles returns an error if the command would write a file that it also reads or
// writes otherwise: one of the two would be lost.
func distinctFiles(c *cli.Context) error {
	type named struct{ what, path string }
	var all []named
	add := func(what, path string) {
		if path, err := filepath.Abs(path); err == nil {
			all = append(all, named{what, path})
		}
	}
	for _, flag := range []string{"out", "draft-policy", "rebase-script", "policy"} {
		if path := c.String(flag); path != "" {
			add("--"+flag, path)
		}
	}
	if script := c.String("rebase-script"); script != "" {
		add("the undo script of --rebase-script", script+".undo")
	}
	if slices.Contains([]string{"check", "probe", "who", "page"}, c.Command.Name) {
		for _, name := range c.Args().Slice() {
			add("what the command reads", name)
		}
	}
	for i, a := range all {
		for _, b := range all[:i] {
			if a.path == b.path && (b.what == "--out" || c.IsSet("draft-policy") || c.IsSet("rebase-script")) {
				return usageError("%s and %s are one file: name another", b.what, a.what)
			}
		}
	}
	return nil
}
