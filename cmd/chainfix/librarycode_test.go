package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// documentedPackages are what the code of docs/library.md may use without importing it.
var documentedPackages = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "os": "os", "libvirtxml": "libvirt.org/go/libvirtxml",
	"chain": modulePath + "/chain", "predict": modulePath + "/chain/predict",
	"probe": modulePath + "/probe", "xmlfix": modulePath + "/xmlfix",
}

// TestDocumentedCodeCompiles: what people copy from docs/library.md compiles, given
// a context and the bytes of a document.
func TestDocumentedCodeCompiles(t *testing.T) {
	page, err := os.ReadFile("../../docs/library.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "\n```go\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("the page has no Go code")
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "\n```")
		file := filepath.Join(t.TempDir(), "example.go")
		if err := os.WriteFile(file, []byte(wholeFile(t, code)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
			t.Errorf("go vet: %v\n%s\n%s", err, out, code)
		}
	}
}

// wholeFile makes a file of statements: it imports the packages that they use,
// and uses the variables that they leave to the reader.
func wholeFile(t *testing.T, code string) string {
	t.Helper()
	const begin = "func _(ctx context.Context, data []byte) {\n"
	parsed, err := parser.ParseFile(token.NewFileSet(), "example.go", "package example\n"+begin+code+"\n}", 0)
	if err != nil {
		t.Fatalf("%v\n%s", err, code)
	}
	used := []string{"context"}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if name, ok := s.X.(*ast.Ident); ok && name.Obj == nil && documentedPackages[name.Name] != "" {
				used = append(used, name.Name)
			}
		}
		return true
	})
	slices.Sort(used)
	var b strings.Builder
	b.WriteString("package example\n")
	for _, name := range slices.Compact(used) {
		b.WriteString("import \"" + documentedPackages[name] + "\"\n")
	}
	b.WriteString(begin + code + "\n")
	for _, statement := range parsed.Decls[0].(*ast.FuncDecl).Body.List {
		if assign, ok := statement.(*ast.AssignStmt); ok && assign.Tok == token.DEFINE {
			for _, left := range assign.Lhs {
				b.WriteString("_ = " + left.(*ast.Ident).Name + "\n")
			}
		}
	}
	return b.String() + "}\n"
}
