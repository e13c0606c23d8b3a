package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
)

// policyFlags are the same on every command that walks a chain.
func policyFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "rule", Value: chain.Leaf.String(),
			Usage: "when to take a format that nobody recorded from the image: `leaf|strict|declared`"},
		&cli.StringSliceFlag{Name: "trust", Usage: "state the format of an image: `PATH=FORMAT` (repeatable)"},
		&cli.BoolFlag{Name: "refresh", Usage: "where the XML's chain disagrees with the images, rebuild it from their headers"},
		&cli.BoolFlag{Name: "keep-xml", Usage: "where they disagree, keep what the XML says"},
	}
}

func policyOf(c *cli.Context) (chain.Policy, error) {
	rule, err := chain.ParseRule(c.String("rule"))
	if err != nil {
		return chain.Policy{}, usageError("--rule: %w", err)
	}
	policy := chain.Policy{Rule: rule, Refresh: c.Bool("refresh"), KeepXML: c.Bool("keep-xml")}
	if policy.Refresh && policy.KeepXML {
		return chain.Policy{}, usageError("--refresh and --keep-xml contradict each other")
	}
	stated := make(map[string]probe.Format)
	for _, word := range c.StringSlice("trust") {
		s, err := parseTrust(word)
		if err != nil {
			return chain.Policy{}, usageError("--trust: %w", err)
		}
		if before, ok := stated[s.Path]; ok && before != s.Format {
			return chain.Policy{}, usageError("--trust: %q is stated to be both %s and %s", s.Path, before, s.Format)
		}
		stated[s.Path] = s.Format
		policy.Trust = append(policy.Trust, s)
	}
	return policy, nil
}

// parseTrust reads PATH=FORMAT; the path may hold further equals signs. The
// format is QEMU's name or libvirt's.
func parseTrust(word string) (chain.Statement, error) {
	i := strings.LastIndexByte(word, '=')
	if i <= 0 {
		return chain.Statement{}, fmt.Errorf("%q is not PATH=FORMAT", word)
	}
	path, name := word[:i], word[i+1:]
	if f, ok := probe.FromLibvirt(name); ok {
		return chain.Statement{Path: path, Format: f}, nil
	}
	f := probe.Format(name)
	if f.LibvirtName() == "" {
		return chain.Statement{}, fmt.Errorf("%q is no format that a libvirt disk can have", name)
	}
	return chain.Statement{Path: path, Format: f}, nil
}
