//go:build !small

package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
)

// shownFlags select how much of the report on a host is shown, and how. None changes the
// exit status.
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
		{&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show only what is wrong"},
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
		{&cli.StringFlag{Name: "severity", Usage: "show only findings of this severity or higher, and the guests that have them: `info|warning|error`"},
			func(o *options, c *cli.Context) (err error) {
				o.severity = c.String("severity")
				if o.filter, err = report.NewFilter(o.only, o.severity); err != nil {
					return usageError("--severity: %w", err)
				}
				return nil
			}},
		{&cli.StringFlag{Name: "color", Value: string(colorAuto), Usage: "colour the text: `auto|always|never`; auto colours it on a terminal if NO_COLOR is not set"},
			func(o *options, c *cli.Context) error {
				o.color = colorWhen(c.String("color"))
				if !slices.Contains([]colorWhen{colorAuto, colorAlways, colorNever}, o.color) {
					return usageError("unknown color %q (want one of auto, always, never)", o.color)
				}
				return nil
			}},
	}
}

// forText returns an error if the output is not text, for flags that only text has.
func forText(c *cli.Context, flag string) error {
	if form := c.String("output"); form != "text" {
		return usageError("--%s works with --output text, not with %s", flag, form)
	}
	return nil
}
