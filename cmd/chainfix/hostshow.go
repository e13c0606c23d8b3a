//go:build !small

package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
)

// shownFlags say how much of the report on a host is shown, and how. None of them changes
// the exit status.
func shownFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show every cause, and each guest in full"},
			func(o *options, c *cli.Context) error {
				if !c.Bool("verbose") {
					return nil
				}
				o.detail = text.Full
				if c.Bool("quiet") {
					return usageError("--verbose and --quiet contradict each other")
				}
				return forText(c, "verbose")
			}},
		{&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show nothing but what is wrong"},
			func(o *options, c *cli.Context) error {
				if !c.Bool("quiet") {
					return nil
				}
				o.detail = text.Problems
				return forText(c, "quiet")
			}},
		{&cli.StringSliceFlag{Name: "only", Usage: "show only guests of these `KINDS`, separated by commas: " + strings.Join(report.Kinds(), ", ")},
			func(o *options, c *cli.Context) (err error) {
				for _, words := range c.StringSlice("only") {
					for word := range strings.SplitSeq(words, ",") {
						o.only = append(o.only, strings.TrimSpace(word))
					}
				}
				if o.filter, err = report.NewFilter(o.only, o.severity); err != nil {
					return usageError("--only: %w", err)
				}
				return nil
			}},
		{&cli.StringFlag{Name: "severity", Usage: "show only findings at least as grave as this, and the guests that have them: `info|warning|error`"},
			func(o *options, c *cli.Context) (err error) {
				o.severity = c.String("severity")
				if o.filter, err = report.NewFilter(o.only, o.severity); err != nil {
					return usageError("--severity: %w", err)
				}
				return nil
			}},
		{&cli.StringFlag{Name: "color", Value: string(colorAuto), Usage: "colour the text `auto|always|never`; auto is on a terminal, without NO_COLOR in the environment"},
			func(o *options, c *cli.Context) error {
				o.color = colorWhen(c.String("color"))
				if !slices.Contains([]colorWhen{colorAuto, colorAlways, colorNever}, o.color) {
					return usageError("unknown color %q (want one of auto, always, never)", o.color)
				}
				return nil
			}},
	}
}

// forText is an error where a flag is given that is for the text alone, with another form.
func forText(c *cli.Context, flag string) error {
	if form := c.String("output"); form != "text" {
		return usageError("--%s is for --output text, and not for %s", flag, form)
	}
	return nil
}
