package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain/finding"
)

func explainCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "explain",
		Usage:       "explain a finding and what to do about it",
		ArgsUsage:   "[CODE]",
		Description: explainDescription,
		Action:      func(c *cli.Context) error { return explain(c, std) },
	}
}

func explain(c *cli.Context, std streams) error {
	if err := atMost(c, 1, "one code"); err != nil {
		return err
	}
	var text strings.Builder
	if c.NArg() == 0 {
		table := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
		for _, e := range finding.Explanations() {
			fmt.Fprintf(table, "%s\t%s\n", e.Code, e.Summary)
		}
		table.Flush()
		return write(std.out, []byte(text.String()))
	}
	code := c.Args().First()
	// As it is printed.
	if inner, ok := strings.CutPrefix(code, "["); ok {
		code = strings.TrimSuffix(inner, "]")
	}
	e, ok := finding.Explain(finding.Code(code))
	if !ok {
		return noFinding(code)
	}
	fmt.Fprintf(&text, "%s: %s\n\n%s\n\n%s\n", e.Code, e.Summary, e.Meaning, e.Remedy)
	return write(std.out, []byte(text.String()))
}

func noFinding(code string) error {
	var codes []string
	for _, e := range finding.Explanations() {
		codes = append(codes, string(e.Code))
	}
	if near := nearest(code, codes); near != "" {
		return usageError("no finding is called %q; did you mean %q?", code, near)
	}
	return usageError("no finding is called %q (chainfix explain lists them all)", code)
}
