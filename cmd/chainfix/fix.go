package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/xmlfix"
)

func fixCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:      "fix",
		Usage:     "rewrite one domain XML with every backing chain explicit",
		ArgsUsage: "[FILE]",
		Flags:     flagsOf(rewriteFlags(), policyFlags()),
		Action:    func(c *cli.Context) error { return fix(c, std) },
	}
}

func fix(c *cli.Context, std streams) error {
	if err := atMost(c, 1, "one document"); err != nil {
		return err
	}
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	w, err := o.walkers(c.Context)
	if err != nil {
		return err
	}
	progress := startProgress(c.Context, std, w.requests)
	defer progress.end()
	in := inputOf(c.Args().First())
	data, err := reader{requests: w.requests, stdin: std.in}.read(c.Context, in)
	if err != nil {
		return inputError(err)
	}
	examination, err := xmlfix.Examine(c.Context, w.walker(), in.name, data)
	if err != nil {
		return inputError(err)
	}
	e := &examined{name: in.name, Examination: examination}
	printFindings(std.err, e)
	if e.Err == nil {
		w.sayUnmet(std.err)
	}
	if status := e.status(); status == exitRefused || status == exitInput {
		return ended(status)
	}
	return o.deliver(c.Context, std, in, e.Document, data)
}

func stripCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:      "strip",
		Usage:     "remove the explicit chains of one domain XML again",
		ArgsUsage: "[FILE]",
		Flags:     flagsOf(rewriteFlags()),
		Action:    func(c *cli.Context) error { return strip(c, std) },
	}
}

func strip(c *cli.Context, std streams) error {
	if err := atMost(c, 1, "one document"); err != nil {
		return err
	}
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	in := inputOf(c.Args().First())
	data, err := reader{stdin: std.in}.read(c.Context, in)
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
	return o.deliver(c.Context, std, in, doc, data)
}

// deliver hands over the document as its edits have made it, as --diff, --list and
// --write ask for, and returns the error that ends the program.
func (o *options) deliver(ctx context.Context, std streams, in input, doc *xmlfix.Document, before []byte) error {
	after, err := doc.Bytes()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return inputError(err)
	}
	changed := string(before) != string(after)
	var shown *diff
	if changed && o.diff {
		if shown, err = diffOf(doc, in.name, before, diffContext); err != nil {
			return inputError(err)
		}
	}
	if changed && o.list {
		if err := write(std.out, []byte(shownName(in.name)+"\n")); err != nil {
			return err
		}
	}
	if changed && o.diff {
		if err := shown.write(std.out); err != nil {
			return err
		}
	}
	if changed && o.write {
		lost, err := replaceFile(ctx, in.path, after)
		if err != nil {
			return inputError(err)
		}
		if lost != "" {
			fmt.Fprintf(std.err, "%s: warn: the file was rewritten, but its %s could not be kept\n", shownName(in.name), lost)
		}
	}
	switch {
	case changed && (o.diff || o.list):
		return ended(exitChange)
	case o.diff || o.list || o.write:
		return nil
	}
	return write(std.out, after)
}
