package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/ordered"
	"github.com/chainfix/chainfix/xmlfix"
)

func checkCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "check",
		Usage:       "report what fix would do to each disk and layer, and whether it is needed; changes nothing",
		ArgsUsage:   "[FILE...]",
		Description: checkDescription,
		Flags:       flagsOf(outputFlags(), outFlags(), jobsFlags(), policyFlags()),
		Action:      func(c *cli.Context) error { return toOut(c, std, check) },
	}
}

// reporter prints documents one by one.
type reporter interface {
	begin() error
	document(e *examined) error
	// end gets the warnings that are not about a document.
	end(warnings []string) error
}

func check(c *cli.Context, std streams) error {
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	w, err := o.walkers(c.Context)
	if err != nil {
		return err
	}
	var out reporter = &textReport{std.out}
	if o.json {
		out = &jsonReport{w: std.out}
	}
	args := c.Args().Slice()
	if len(args) == 0 {
		args = []string{"-"}
	}
	if err := out.begin(); err != nil {
		return err
	}
	progress := startProgress(c.Context, std, w.requests)
	defer progress.end()
	worst, read, done := exitDone, false, 0
	err = eachDocument(c.Context, std, w, args, true, func(e *examined) error {
		if done++; len(args) > 1 {
			progress.say("%d of %d documents", done, len(args))
		}
		read = read || e.Err == nil
		worst = max(worst, e.status())
		if !o.json {
			printFindings(std.err, e)
		}
		return out.document(e)
	})
	if err != nil {
		return err
	}
	var unmet []string
	if read {
		unmet = w.unmet()
	}
	if err := out.end(unmet); err != nil {
		return err
	}
	if !o.json {
		printWarnings(std.err, unmet)
	}
	return ended(worst)
}

// Bounds on the documents in progress, most of which wait for storage: their number,
// and their size in bytes. Examining one takes a multiple of its size.
const (
	maxDocuments = 1024
	maxBytes     = 16 << 20
)

// eachDocument examines the documents concurrently and passes them to use in the order
// of args. With needs it also finds out what their disks need.
func eachDocument(ctx context.Context, std streams, w *walkers, args []string, needs bool, use func(*examined) error) error {
	walker := w.walker()
	bounds := ordered.Bounds{AtOnce: w.requests.Jobs(), Items: maxDocuments, Bytes: maxBytes}
	type result struct {
		*examined
		err error
	}
	work := func(ctx context.Context, take ordered.Take, arg string) result {
		e, err := examineInput(ctx, reader{requests: w.requests, stdin: std.in, take: take}, walker, inputOf(arg), needs)
		return result{e, err}
	}
	results := ordered.Map(ctx, bounds, slices.Values(args), work)
	if len(args) == 1 {
		// Starting the machinery for many documents takes as long as reading an image.
		results = func(yield func(result) bool) { yield(work(ctx, nil, args[0])) }
	}
	for r := range results {
		if ctx.Err() != nil {
			break
		}
		if r.err != nil {
			return r.err
		}
		if err := use(r.examined); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return inputError(context.Cause(ctx))
	}
	return nil
}

// examineInput reads and examines one document. A document that cannot be read
// does not stop the others.
func examineInput(ctx context.Context, r reader, w *chain.Walker, in input, needs bool) (*examined, error) {
	data, err := r.read(ctx, in)
	if ctx.Err() != nil {
		return nil, inputError(context.Cause(ctx))
	}
	if err != nil {
		return unreadable(in, err), nil
	}
	e, err := xmlfix.Examine(ctx, w, in.name, data)
	if err != nil {
		return nil, inputError(err)
	}
	if e.Err != nil {
		e.Err = explainedInput(in, data, e.Err)
	}
	found := &examined{input: in, data: data, Examination: e}
	if needs {
		if found.needs, err = needsOf(ctx, w, e); err != nil {
			return nil, inputError(err)
		}
	}
	return found, nil
}

// textReport prints text: one line for each document, disk and layer.
type textReport struct{ w io.Writer }

func (r *textReport) begin() error       { return nil }
func (r *textReport) end([]string) error { return nil }

func (r *textReport) document(e *examined) error {
	if e.Err != nil {
		return nil // the findings say it
	}
	text := fmt.Appendf(nil, "%s: domain %s: %s%s\n", shownName(e.name), strconv.Quote(e.domain()), shownVerdict(e.Verdict()), shownNeed(e.Verdict(), e.need()))
	for i, d := range e.Disks {
		text = fmt.Appendf(text, "  %s: %s%s\n", strconv.Quote(d.Target), shownVerdict(d.Verdict()), shownNeed(d.Verdict(), e.needs[i]))
		if d.Chain == nil {
			continue
		}
		for _, layer := range d.Chain.Layers {
			format, from := string(layer.Format), layer.From.String()
			if layer.From == chain.Unstated {
				format, from = "?", "-"
			}
			text = fmt.Appendf(text, "    %-8s %-8s %s\n", format, from, storage.Describe(layer.Source))
		}
	}
	return write(r.w, text)
}
