package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/xmlfix"
)

func fixCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "fix",
		Usage:       "rewrite one domain XML with every backing chain explicit",
		ArgsUsage:   "[FILE]",
		Description: fixDescription,
		Flags:       flagsOf(rewriteFlags(), policyFlags()),
		Action:      func(c *cli.Context) error { return fix(c, std) },
	}
}

func fix(c *cli.Context, std streams) error {
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	names, err := o.documents(c)
	if err != nil {
		return err
	}
	w, err := o.walkers(c.Context)
	if err != nil {
		return err
	}
	progress := startProgress(c.Context, std, w.requests)
	defer progress.end()
	r, read := deliveries{o: o, std: std, total: len(names)}, false
	err = eachDocument(c.Context, std, w, names, false, func(e *examined) error {
		if r.done++; r.total > 1 {
			progress.say("%d of %d documents", r.done, r.total)
		}
		read = read || e.Err == nil
		return r.rewrite(c.Context, e)
	})
	if read && (err == nil || r.total == 1) {
		w.sayUnmet(std.err)
	}
	return cmp.Or(err, ended(r.worst))
}

func stripCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "strip",
		Usage:       "remove the explicit chains from one domain XML",
		ArgsUsage:   "[FILE]",
		Description: stripDescription,
		Flags:       flagsOf(rewriteFlags()),
		Action:      func(c *cli.Context) error { return strip(c, std) },
	}
}

func strip(c *cli.Context, std streams) error {
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	names, err := o.documents(c)
	if err != nil {
		return err
	}
	r := deliveries{o: o, std: std, total: len(names)}
	for _, name := range names {
		e, err := stripInput(c.Context, reader{stdin: std.in}, inputOf(name))
		if err == nil {
			err = r.rewrite(c.Context, e)
		}
		if err != nil {
			return err
		}
	}
	return ended(r.worst)
}

// stripInput reads one document and removes its chains.
func stripInput(ctx context.Context, r reader, in input) (*examined, error) {
	data, err := r.read(ctx, in)
	if ctx.Err() != nil {
		return nil, inputError(context.Cause(ctx))
	}
	if err != nil {
		return unreadable(in, err), nil
	}
	doc, err := xmlfix.Parse(in.name, data)
	if err != nil {
		return unreadable(in, explainedInput(in, data, err)), nil
	}
	for _, disk := range doc.Disks() {
		disk.RemoveChain()
	}
	return &examined{input: in, data: data, Examination: &xmlfix.Examination{Document: doc}}, nil
}

// documents are the names of the documents to rewrite: several only where their new
// texts do not all go to standard output.
func (o *options) documents(c *cli.Context) ([]string, error) {
	names := c.Args().Slice()
	if len(names) == 0 {
		names = []string{"-"}
	}
	switch {
	case o.write && slices.ContainsFunc(names, func(name string) bool { return inputOf(name).path == "" }):
		return nil, usageError("-w needs a FILE to rewrite")
	case !o.write && !o.diff && !o.list:
		return names, atMost(c, 1, "one document, or several with -l, -d or -w")
	}
	return names, nil
}

// deliveries write documents one by one.
type deliveries struct {
	o           *options
	std         streams
	done, total int // documents
	worst       int // exit status
}

// rewrite prints the findings about a document, and writes it unless it is refused.
// An error about one document does not end a run over several.
func (r *deliveries) rewrite(ctx context.Context, e *examined) error {
	if r.total == 1 && e.unread() {
		return inputError(e.Err)
	}
	printFindings(r.std.err, e)
	if status := e.status(); status == exitRefused || status == exitInput {
		r.worst = max(r.worst, status)
		return nil
	}
	err := r.o.deliver(ctx, r.std, e)
	var failed *outputError
	if r.total == 1 || ctx.Err() != nil || errors.As(err, &failed) {
		return err
	}
	if err != nil {
		r.worst = max(r.worst, statusOf(err))
		if err.Error() != "" {
			printProblem(r.std.err, e.name, err)
		}
	}
	return nil
}

// deliver writes the edited document as --diff, --list and --write say, and
// returns the error that ends the program.
func (o *options) deliver(ctx context.Context, std streams, e *examined) error {
	after, err := e.Document.Bytes()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return inputError(err)
	}
	changed := string(e.data) != string(after)
	var shown *diff
	if changed && o.diff {
		if shown, err = diffOf(e.Document, e.name, e.data, diffContext); err != nil {
			return inputError(err)
		}
	}
	if changed && o.list {
		if err := write(std.out, []byte(shownName(e.name)+"\n")); err != nil {
			return err
		}
	}
	if changed && o.diff {
		if err := shown.write(std.out); err != nil {
			return err
		}
	}
	if changed && o.write {
		lost, err := replaceFile(ctx, e.path, after)
		if err != nil {
			return inputError(err)
		}
		if lost != "" {
			fmt.Fprintf(std.err, "%s: warning: the file was rewritten, but its %s could not be kept\n", shownName(e.name), lost)
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
