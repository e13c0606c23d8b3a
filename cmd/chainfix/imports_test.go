package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/chainfix/chainfix"

// allowedImports has for each package of the module which others of the module
// it may import, outside its tests. docs/dev/architecture.md says why.
var allowedImports = map[string][]string{
	"probe":                         {},
	"probe/mkimage":                 {"probe"},
	"chain/finding":                 {},
	"chain/libvirt":                 {},
	"chain/limit":                   {},
	"chain/storage":                 {"probe"},
	"chain/strictxml":               {},
	"chain/pools":                   {"chain/limit", "chain/storage", "chain/strictxml"},
	"chain/remote":                  {"chain/remote/nbd", "chain/storage"},
	"chain/remote/nbd":              {},
	"chain/image":                   {"chain/limit", "chain/storage", "probe"},
	"chain":                         {"chain/finding", "chain/image", "chain/libvirt", "chain/limit", "chain/storage", "probe"},
	"chain/predict":                 {"chain", "chain/finding", "chain/image", "chain/libvirt", "chain/storage", "probe"},
	"chain/policyfile":              {"chain", "chain/libvirt", "probe"},
	"docs":                          {},
	"docs/schema":                   {},
	"xmlfix":                        {"chain", "chain/finding", "chain/libvirt", "chain/storage", "chain/strictxml", "probe"},
	"cmd/chainfix/internal/ordered": {},
	"cmd/chainfix/internal/need":    {"chain", "chain/finding", "chain/libvirt", "chain/predict", "xmlfix"},
	"cmd/chainfix/internal/host":    {"chain", "chain/finding", "chain/image", "chain/libvirt", "chain/limit", "chain/pools", "chain/predict", "chain/storage", "chain/strictxml", "cmd/chainfix/internal/need", "cmd/chainfix/internal/ordered", "probe", "xmlfix"},
	"cmd/chainfix/internal/page":    {"cmd/chainfix/internal/report", "cmd/chainfix/internal/text"},
	"cmd/chainfix/internal/metrics": {"cmd/chainfix/internal/report"},
	"cmd/chainfix/internal/rebase":  {"chain", "chain/finding", "chain/limit", "chain/storage", "cmd/chainfix/internal/host", "cmd/chainfix/internal/ordered", "probe"},
	"cmd/chainfix/internal/draft":   {"chain", "chain/policyfile", "cmd/chainfix/internal/report", "probe"},
	"cmd/chainfix/internal/report":  {"chain", "chain/finding", "chain/predict", "chain/storage", "xmlfix"},
	"cmd/chainfix/internal/collect": {"chain", "chain/finding", "chain/image", "chain/libvirt", "chain/predict", "chain/storage", "cmd/chainfix/internal/host", "cmd/chainfix/internal/need", "cmd/chainfix/internal/report", "probe", "xmlfix"},
	"cmd/chainfix/internal/tree":    {"cmd/chainfix/internal/report"},
	"cmd/chainfix/internal/text":    {"chain", "chain/finding", "chain/predict", "cmd/chainfix/internal/report"},
	"cmd/chainfix":                  {"*"},

	"cmd/chainfix/internal/completion": {},
}

type listedPackage struct {
	path, dir      string
	imports, files []string
}

// listPackages asks the go command, which knows what a system builds.
func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	list := exec.Command("go", "list", "-f", `{{.ImportPath}}|{{.Dir}}|{{join .Imports " "}}|{{join .GoFiles " "}}`, modulePath+"/...")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listedPackage
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		all = append(all, listedPackage{
			path: strings.TrimPrefix(fields[0], modulePath+"/"), dir: fields[1],
			imports: strings.Fields(fields[2]), files: strings.Fields(fields[3])})
	}
	if len(all) < 10 {
		t.Fatalf("go list names only %d packages", len(all))
	}
	return all
}

// TestImportsPointOneWay: within the module a package imports what the table
// names, and no helper of the tests; probe imports the standard library alone.
func TestImportsPointOneWay(t *testing.T) {
	for _, p := range listPackages(t) {
		allowed, known := allowedImports[p.path]
		if !known {
			t.Errorf("%s is not in the table of allowed imports", p.path)
			continue
		}
		for _, imported := range p.imports {
			if why := whyNotImported(p.path, imported, allowed); why != "" {
				t.Errorf("%s imports %s: %s", p.path, imported, why)
			}
		}
	}
}

func whyNotImported(importer, imported string, allowed []string) string {
	inside, own := strings.CutPrefix(imported, modulePath+"/")
	first, _, _ := strings.Cut(imported, "/")
	switch {
	case !own && strings.Contains(first, ".") && (importer == "probe" || strings.HasPrefix(importer, "probe/")):
		return "probe uses the standard library alone"
	case !own:
		return ""
	case strings.HasPrefix(inside, "testdata/"):
		return "only tests use the helpers of the tests"
	case !slices.Contains(allowed, inside) && !slices.Contains(allowed, "*"):
		return "the table of allowed imports does not have it"
	}
	return ""
}

// TestWhyNotImported: the test above catches a forbidden import.
func TestWhyNotImported(t *testing.T) {
	for _, tt := range []struct {
		importer, imported string
		want               bool // a reason
	}{
		{"probe", "encoding/binary", false},
		{"probe", "golang.org/x/sys/unix", true},
		{"probe", modulePath + "/chain", true},
		{"chain", modulePath + "/xmlfix", true},
		{"chain", modulePath + "/probe", false},
		{"chain", "golang.org/x/sys/unix", false},
		{"cmd/chainfix", modulePath + "/xmlfix", false},
		{"cmd/chainfix", modulePath + "/testdata/peers", true},
	} {
		if why := whyNotImported(tt.importer, tt.imported, allowedImports[tt.importer]); (why != "") != tt.want {
			t.Errorf("%s imports %s: %q", tt.importer, tt.imported, why)
		}
	}
}

// TestOnlyTheCommandPrints: libraries return errors and findings, and print nothing.
func TestOnlyTheCommandPrints(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.path == "cmd/chainfix" {
			continue
		}
		for _, name := range p.files {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, filepath.Join(p.dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if what := printing(n); what != "" {
					t.Errorf("%s uses %s, at %s", p.path, what, set.Position(n.Pos()))
				}
				return true
			})
		}
	}
}

func printing(n ast.Node) string {
	switch n := n.(type) {
	case *ast.ImportSpec:
		if n.Path.Value == `"log"` {
			return "package log"
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "print" || f.Name == "println") {
			return f.Name
		}
	case *ast.SelectorExpr:
		pkg, ok := n.X.(*ast.Ident)
		name := n.Sel.Name
		if ok && (pkg.Name == "fmt" && strings.HasPrefix(name, "Print") || pkg.Name == "os" && (name == "Stdout" || name == "Stderr")) {
			return pkg.Name + "." + name
		}
	}
	return ""
}
