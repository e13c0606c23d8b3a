package finding_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/testdata/golden"
)

// docs/findings.md is generated from the tables that "chainfix explain" reads.
func TestFindingsAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Findings\n\n<!-- Generated: CHAINFIX_UPDATE=1 go test ./chain/finding -->\n\n" +
		"Every finding has a code, which is stable, and a severity: `info` is worth knowing, `warning` deserves a look,\n" +
		"and with `error` nothing is written. In JSON `level` has these words, and `severity` has info, warn and refuse.\n" +
		"`chainfix explain CODE` prints the same texts.\n")
	for _, e := range finding.Explanations() {
		fmt.Fprintf(&b, "\n## %s\n\n*%s*\n\n%s\n\n%s\n", e.Code, e.Summary, wrapped(markdown(e.Meaning)), wrapped(markdown(e.Remedy)))
	}
	golden.File(t, "../../docs/findings.md", b.String())
}

// markdown escapes element names, which Markdown would read as HTML.
func markdown(s string) string {
	return strings.NewReplacer("<", "\\<", "*", "\\*").Replace(s)
}

// wrapped breaks the lines of a paragraph.
func wrapped(paragraph string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(paragraph) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+n > 100:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// Every code is explained, and every explanation has a code.
func TestEveryCodeIsExplained(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[finding.Code]bool)
	ast.Inspect(parsed, func(n ast.Node) bool {
		if decl, ok := n.(*ast.GenDecl); ok && decl.Tok == token.VAR {
			return false // a table of explanations
		}
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, v := range spec.Values {
			code, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[finding.Code(code)] = true
			if _, ok := finding.Explain(finding.Code(code)); !ok {
				t.Errorf("nothing explains %q", code)
			}
		}
		return true
	})
	kebab := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := make(map[finding.Code]bool)
	for _, e := range finding.Explanations() {
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
