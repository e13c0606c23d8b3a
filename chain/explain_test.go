package chain_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/chain"
)

var update = flag.Bool("update", os.Getenv("CHAINFIX_UPDATE") == "1", "rewrite the generated documents")

// docs/findings.md is the table that "chainfix explain" reads.
func TestFindingsAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Findings\n\n<!-- Generated: go test ./chain -run TestFindingsAreDocumented -update -->\n\n" +
		"Every finding has a code, which is stable, and a severity: `info` is worth knowing, `warn` wants a look, `refuse` means\n" +
		"that nothing is written. `chainfix explain CODE` prints what stands here.\n")
	for _, e := range chain.Explanations() {
		fmt.Fprintf(&b, "\n## %s\n\n*%s*\n\n%s\n\n%s\n", e.Code, e.Summary, markdown(e.Meaning), markdown(e.Remedy))
	}
	wantDocument(t, "../docs/findings.md", b.String())
}

// wantDocument compares a generated document with the file, or writes it.
func wantDocument(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), text); diff != "" {
		t.Errorf("%s is out of date; run the command in its third line\n-file +now\n%s", path, diff)
	}
}

// markdown keeps element names from being taken for HTML.
func markdown(s string) string {
	return strings.NewReplacer("<", "\\<", "*", "\\*").Replace(s)
}

// Every code is explained, and every explanation has a code.
func TestEveryCodeIsExplained(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[chain.Code]bool)
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, v := range spec.Values {
			code, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[chain.Code(code)] = true
			if _, ok := chain.Explain(chain.Code(code)); !ok {
				t.Errorf("nothing explains %q", code)
			}
		}
		return true
	})
	kebab := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := make(map[chain.Code]bool)
	for _, e := range chain.Explanations() {
		if !codes[e.Code] || seen[e.Code] || !kebab.MatchString(string(e.Code)) {
			t.Errorf("%q is explained, but is no code, twice, or no kebab-case word", e.Code)
		}
		seen[e.Code] = true
		if e.Summary == "" || e.Meaning == "" || e.Remedy == "" {
			t.Errorf("%q is not explained in full", e.Code)
		}
	}
	if len(codes) == 0 {
		t.Error("no codes were found")
	}
}
