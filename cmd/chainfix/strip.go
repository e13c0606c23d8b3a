package main

import (
	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/xmlfix"
)

func stripCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:      "strip",
		Usage:     "remove the explicit chains of one domain XML again",
		ArgsUsage: "[FILE]",
		Flags:     rewriteFlags(),
		Action:    func(c *cli.Context) error { return strip(c, std) },
	}
}

func strip(c *cli.Context, std streams) error {
	if err := atMost(c, 1, "one document"); err != nil {
		return err
	}
	how, err := rewriteOf(c)
	if err != nil {
		return err
	}
	in := inputOf(c.Args().First())
	data, err := in.read(std.in)
	if err != nil {
		return inputError(err)
	}
	doc, err := xmlfix.Parse(in.name, data)
	if err != nil {
		e := unreadable(in.name, err)
		printFindings(std.err, e)
		return ended(e.status())
	}
	for _, disk := range doc.Disks() {
		disk.RemoveChain()
	}
	return how.deliver(std, in, doc, data)
}
