//go:build !small

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/rebase"
)

// rebaseFlags are for the other remedy: recording the formats in the headers.
func rebaseFlags() []flagRow {
	return []flagRow{
		{&cli.StringFlag{Name: "rebase-script", Usage: "write a shell script to `FILE` that records the stated formats in the overlays, and its undo script to FILE.undo"},
			func(o *options, c *cli.Context) error {
				o.rebaseScript = c.String("rebase-script")
				switch {
				case o.rebaseScript == "":
					return usageError("--rebase-script needs a file")
				case c.IsSet("from"):
					return usageError("--rebase-script needs libvirt to know which guests run, and --from asks none")
				}
				if err := rebase.CheckFree(o.rebaseScript); err != nil {
					return inputError(err)
				}
				return nil
			}},
	}
}

// rebaseScript collects the script of --rebase-script during a scan; nil without the flag.
type rebaseScript struct {
	plan *rebase.Plan
	file string
}

func (o *options) newRebase(w *walkers) *rebaseScript {
	if o.rebaseScript == "" {
		return nil
	}
	return &rebaseScript{rebase.NewPlan(o.connect, w.requests), o.rebaseScript}
}

func (s *rebaseScript) add(r *host.Report) {
	if s != nil {
		s.plan.Add(r)
	}
}

// write writes the scripts, and reports what they contain.
func (s *rebaseScript) write(ctx context.Context, std streams) error {
	if s == nil {
		return nil
	}
	sum, err := s.plan.Write(ctx, s.file)
	if err != nil {
		return inputError(fmt.Errorf("cannot write %s: %w", shownName(s.file), unwrapPath(err)))
	}
	fmt.Fprintf(std.err, "chainfix: wrote %s. Formats to record: %d. In its comments: questions: %d, images left out: %d\n",
		shownName(s.file), sum.Recorded, sum.Questions, sum.LeftOut)
	return nil
}
