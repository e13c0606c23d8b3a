package libvirt_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/testdata/golden"
)

// TestHolds: a fact is true from its first version on, until the one of which it
// is not true any more.
func TestHolds(t *testing.T) {
	version := func(s string) libvirt.Version {
		v, err := libvirt.ParseVersion(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		fact    libvirt.Fact
		version string
		want    bool
	}{
		{libvirt.ExplicitChains, "5.9", false},
		{libvirt.ExplicitChains, "5.10", true},
		{libvirt.ExplicitChains, "12.9", true},
		{libvirt.UnrecordedIsRaw, "1.0", true},
		{libvirt.UnrecordedIsRaw, "5.10.9", true},
		{libvirt.UnrecordedIsRaw, "6.0", false},
		{libvirt.NestingIsBounded, "10.7", false},
		{libvirt.NestingIsBounded, "11.10.9", true},
		{libvirt.NestingIsBounded, "12.0", false},
	} {
		if got := c.fact.Holds(version(c.version)); got != c.want {
			t.Errorf("libvirt %s %s: %v", c.version, c.fact.What, got)
		}
	}
}

// TestDetectors: they come from the facts alone, each once, the oldest first.
func TestDetectors(t *testing.T) {
	var got []string
	for _, v := range libvirt.Detectors() {
		got = append(got, v.String())
	}
	if diff := cmp.Diff([]string{"6.1.0", "9.10.0", "10.10.0", "11.3.0"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestEveryFactIsListed: a fact that facts.go declares and does not list would
// be missing in the documents, and no detector would know it.
func TestEveryFactIsListed(t *testing.T) {
	source, err := parser.ParseFile(token.NewFileSet(), "facts.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(source, func(n ast.Node) bool {
		if lit, ok := n.(*ast.CompositeLit); ok {
			if name, ok := lit.Type.(*ast.Ident); ok && name.Name == "Fact" {
				declared++
			}
		}
		return true
	})
	if listed := len(libvirt.Facts()); declared != listed {
		t.Errorf("facts.go declares %d facts and lists %d", declared, listed)
	}
}

// TestFactsAreDocumented: docs/prediction.md has the table of all of them.
func TestFactsAreDocumented(t *testing.T) {
	const path, begin, end = "../../docs/prediction.md",
		"<!-- Generated: CHAINFIX_UPDATE=1 go test ./chain/libvirt -run TestFactsAreDocumented -->\n",
		"<!-- End of what is generated. -->\n"
	var table strings.Builder
	table.WriteString("\n| libvirt | since | until | known by |\n| --- | --- | --- | --- |\n")
	for _, f := range libvirt.Facts() {
		since, until := f.Since.String(), f.Until.String()
		if !f.Since.Known() {
			since = "ever"
		}
		if !f.Until.Known() {
			until = ""
		}
		what := strings.NewReplacer("<", "\\<").Replace(f.What)
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", what, since, until, f.Known)
	}
	table.WriteString("\n")
	golden.Part(t, path, begin, table.String(), end)
}
