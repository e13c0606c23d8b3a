package main

import (
	"github.com/urfave/cli/v2"
)

func fixCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:      "fix",
		Usage:     "rewrite one domain XML with every backing chain explicit",
		ArgsUsage: "[FILE]",
		Flags:     append(rewriteFlags(), policyFlags()...),
		Action:    func(c *cli.Context) error { return fix(c, std) },
	}
}

func fix(c *cli.Context, std streams) error {
	if err := atMost(c, 1, "one document"); err != nil {
		return err
	}
	how, err := rewriteOf(c)
	if err != nil {
		return err
	}
	w, err := walkersOf(c)
	if err != nil {
		return err
	}
	in := inputOf(c.Args().First())
	data, err := in.read(std.in)
	if err != nil {
		return inputError(err)
	}
	e, err := examine(c.Context, w.walker(), in.name, data)
	if err != nil {
		return inputError(err)
	}
	printFindings(std.err, e)
	if e.Err == nil {
		w.sayUnmet(std.err)
	}
	if status := e.status(); status == exitRefused || status == exitInput {
		return ended(status)
	}
	return how.deliver(std, in, e.Document, data)
}
