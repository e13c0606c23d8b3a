package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strconv"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/xmlfix"
)

func checkCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "say what fix would do, per disk and per layer; writes nothing",
		ArgsUsage: "[FILE...]",
		Flags:     flagsOf(outputFlags(), policyFlags()),
		Action:    func(c *cli.Context) error { return check(c, std) },
	}
}

// reporter prints one document after the other.
type reporter interface {
	begin() error
	document(e *examined) error
	end() error
}

func check(c *cli.Context, std streams) error {
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	w, err := o.walkers()
	if err != nil {
		return err
	}
	var report reporter = &textReport{std.out}
	if o.json {
		report = &jsonReport{w: std.out}
	}
	args := c.Args().Slice()
	if len(args) == 0 {
		args = []string{"-"}
	}
	if err := report.begin(); err != nil {
		return err
	}
	worst, read := exitDone, false
	err = eachDocument(c.Context, std, w.walker(), args, func(e *examined) error {
		read = read || e.Err == nil
		worst = max(worst, e.status())
		printFindings(std.err, e)
		return report.document(e)
	})
	if err != nil {
		return err
	}
	if err := report.end(); err != nil {
		return err
	}
	if read {
		w.sayUnmet(std.err)
	}
	return ended(worst)
}

// eachDocument examines the documents on every processor and hands them to use
// in the order of args. Only as many as there are workers are held at a time.
func eachDocument(ctx context.Context, std streams, w *chain.Walker, args []string, use func(*examined) error) error {
	workers := min(runtime.GOMAXPROCS(0), len(args))
	type job struct {
		in   input
		done chan *examined
	}
	jobs := make(chan job)
	ordered := make(chan chan *examined, workers)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(jobs)
		defer close(ordered)
		for _, arg := range args {
			j := job{inputOf(arg), make(chan *examined, 1)}
			select {
			case ordered <- j.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case jobs <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range workers {
		group.Go(func() error {
			for j := range jobs {
				e, err := examineInput(ctx, w, std, j.in)
				if err != nil {
					return err
				}
				j.done <- e
			}
			return nil
		})
	}
	group.Go(func() error {
		for done := range ordered {
			select {
			case e := <-done:
				if err := use(e); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

// examineInput reads and examines one document. That it cannot be read is a
// problem of this document alone.
func examineInput(ctx context.Context, w *chain.Walker, std streams, in input) (*examined, error) {
	data, err := in.read(std.in)
	if err != nil {
		return unreadable(in.name, err), nil
	}
	e, err := xmlfix.Examine(ctx, w, in.name, data)
	if err != nil {
		return nil, inputError(err)
	}
	return &examined{in.name, e}, nil
}

// textReport is for people: a line a document, a disk, a layer.
type textReport struct{ w io.Writer }

func (r *textReport) begin() error { return nil }
func (r *textReport) end() error   { return nil }

func (r *textReport) document(e *examined) error {
	if e.Err != nil {
		return nil // the findings say it
	}
	text := fmt.Appendf(nil, "%s: domain %s: %s\n", shownName(e.name), strconv.Quote(e.domain()), e.Verdict())
	for _, d := range e.Disks {
		text = fmt.Appendf(text, "  %s: %s\n", strconv.Quote(d.Target), d.Verdict())
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
