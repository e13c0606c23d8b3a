package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// outFlags name a file for what is printed otherwise.
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

// toOut runs a command, the output of which goes to the file of --out, if there is one. Where
// the command fails the file stays as it was. That guests are refused is no failure, nor is
// any other status of which the output says why.
func toOut(c *cli.Context, std streams, command func(*cli.Context, streams) error) error {
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
