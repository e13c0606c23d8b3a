package main

import (
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/policyfile"
	"github.com/chainfix/chainfix/probe"
)

// policyFlags are the same on every command that walks a chain.
func policyFlags() []cli.Flag {
	return slices.Concat(statementFlags(), []cli.Flag{
		&cli.BoolFlag{Name: "refresh", Usage: "where the XML's chain disagrees with the images, rebuild it from their headers"},
		&cli.BoolFlag{Name: "keep-xml", Usage: "where they disagree, keep what the XML says"},
	}, networkFlags())
}

// statementFlags are those of them with what the operator knows. A hook has no
// others.
func statementFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "rule", Value: chain.Leaf.String(),
			Usage: "when to take a format that nobody recorded from the image: `leaf|strict|declared`"},
		&cli.StringSliceFlag{Name: "trust", Usage: "state the format of an image, by its absolute path or URI: `PATH=FORMAT` (repeatable)"},
		&cli.StringFlag{Name: "policy", Usage: "read such statements, and more, from the YAML `FILE`"},
		&cli.StringSliceFlag{Name: "target-libvirt", Usage: "the libvirt that will read the result: `X.Y[.Z]`"},
		&cli.StringFlag{Name: "pools", Usage: "the `DIR` with the definitions of libvirt's storage pools"},
	}
}

// decisions are what the policy file and the flags say.
type decisions struct {
	policyfile.File
	flags int // of the policy's statements the first so many are --trust flags
}

// decisionsOf returns what the policy file and the flags say. The flags have
// the last word, but for the rules of the file's folders, which stay.
func decisionsOf(c *cli.Context) (decisions, error) {
	statements, err := statementsOf(c)
	if err != nil {
		return decisions{}, err
	}
	rule, err := chain.ParseRule(c.String("rule"))
	if err != nil {
		return decisions{}, usageError("--rule: %w", err)
	}
	targets, err := targetsOf(c)
	if err != nil {
		return decisions{}, err
	}
	disagreement, err := disagreementOf(c)
	if err != nil {
		return decisions{}, err
	}

	decided := decisions{flags: len(statements)}
	if c.IsSet("policy") {
		file, err := policyfile.Read(c.String("policy"))
		if err != nil {
			return decisions{}, inputError(err)
		}
		decided.File = *file
	}
	policy := &decided.Policy
	policy.Disagreement = disagreement
	policy.Trust = append(statements, policy.Trust...)
	if c.IsSet("rule") {
		policy.Rule = rule
	}
	if len(targets) > 0 {
		policy.Target = targets[0]
	}
	if c.IsSet("pools") {
		decided.Pools = c.String("pools")
	}
	return decided, nil
}

// disagreementOf reads --refresh and --keep-xml.
func disagreementOf(c *cli.Context) (chain.Disagreement, error) {
	switch refresh, keep := c.Bool("refresh"), c.Bool("keep-xml"); {
	case refresh && keep:
		return 0, usageError("--refresh and --keep-xml contradict each other")
	case refresh:
		return chain.HeadersWin, nil
	case keep:
		return chain.XMLWins, nil
	}
	return chain.RefuseDisagreement, nil
}

// targetsOf reads the --target-libvirt flags, of which only a scan of a host
// takes several.
func targetsOf(c *cli.Context) ([]libvirt.Version, error) {
	var targets []libvirt.Version
	for _, word := range c.StringSlice("target-libvirt") {
		target, err := libvirt.ParseVersion(word)
		if err != nil {
			return nil, usageError("--target-libvirt: %w", err)
		}
		targets = append(targets, target)
	}
	if len(targets) > 1 && c.Command.Name != "scan" {
		return nil, usageError("--target-libvirt is given twice")
	}
	return targets, nil
}

// statementsOf reads the --trust flags. One that is given twice is one.
func statementsOf(c *cli.Context) ([]chain.Statement, error) {
	words := c.StringSlice("trust")
	if len(words) == 0 {
		return nil, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = "" // only the hint about a relative path is poorer for it
	}
	var statements []chain.Statement
	stated := make(map[string]probe.Format)
	for _, word := range words {
		s, err := chain.ParseStatement(word, dir)
		if err != nil {
			return nil, usageError("--trust: %w", err)
		}
		switch before, ok := stated[s.Path]; {
		case ok && before != s.Format:
			return nil, usageError("--trust: %q is stated to be both %s and %s", s.Shown(), before, s.Format)
		case !ok:
			stated[s.Path] = s.Format
			statements = append(statements, s)
		}
	}
	return statements, nil
}
