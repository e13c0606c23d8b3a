// Unused lists the exported names of the libraries that nothing outside their
// package uses: no other package, no Example, not docs/library.md. Tests do not count.
//
//	go run ./testdata/unused
//
// It goes by the source alone. A function, variable or constant is used if
// "package.Name" occurs in a file that imports the package; a type also where
// an exported declaration of its own package has it; a method where any file
// outside has a selector of its name. Names that are there for other programs
// are in the table of reasons, and not listed.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/chainfix/chainfix/"

func main() {
	names, err := unused()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, name := range names {
		fmt.Println(name)
	}
}

// reasons says why a name stays that nothing here uses.
var reasons = map[string]string{
	"chain/image: Cache.SetLimit":        "a program with less memory bounds what is remembered",
	"chain/libvirt: Facts":               "the table of docs/prediction.md is made of them",
	"chain/policyfile: Error":            "has the place in the file, for programs that show it",
	"chain/policyfile: Parse":            "for a policy that is in no file",
	"chain/remote/nbd: Client.BlockSize": "the size by which reads are aligned",
	"chain/remote: DefaultTimeout":       "what a zero Timeout means",
	"chain: Evidence.Of":                 "what the disks of a host state about an image, without a walk",
	"chain: Libvirt":                     "one of the origins that a layer can have",
	"chain: ProbeCheck.Contradictions":   "what contradicts a header, for programs that walk chains themselves",
	"chain/storage: ToTheEnd":            "the length of an extent without an end, such as that of a whole device",
	"chain/storage: ReadByNothing":       "the zero value: what reads an image on the network",
	"chain: RefuseDisagreement":          "the zero value: what counts if the XML and the headers differ",
	"probe: Formats":                     "every format that there is, for programs that offer a choice",
	"xmlfix: Apply":                      "one disk of what FixDomain does with all of them",
	"xmlfix: StatedBy":                   "one disk of what FixDomain does with all of them",
}

// reason has two kinds of names besides: errors, by which callers tell one
// failure from another, and bounds, to which the documentation refers.
func reason(n name) string {
	switch {
	case strings.HasPrefix(n.name, "Err"):
		return "an error to tell from others"
	case strings.HasPrefix(n.name, "Max"):
		return "a bound that is promised"
	}
	return reasons[n.String()]
}

type name struct{ folder, receiver, name string }

func (n name) String() string {
	if n.receiver != "" {
		return n.folder + ": " + n.receiver + "." + n.name
	}
	return n.folder + ": " + n.name
}

type source struct {
	declared  []name
	selected  map[name]bool              // in files outside their package
	selectors map[string]map[string]bool // by what is selected, the folders of the files
	shown     map[name]bool              // types that exported declarations have
}

func unused() ([]string, error) {
	s := source{selected: map[name]bool{}, selectors: map[string]map[string]bool{}, shown: map[name]bool{}}
	err := filepath.WalkDir(".", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".go" {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err == nil {
			s.read(filepath.ToSlash(file), parsed)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	page, err := os.ReadFile("docs/library.md")
	if err != nil {
		return nil, err
	}
	var left []string
	for _, n := range s.declared {
		if !s.uses(n) && reason(n) == "" && !strings.Contains(string(page), path.Base(n.folder)+"."+n.name) {
			left = append(left, n.String())
		}
	}
	slices.Sort(left)
	return left, nil
}

func (s *source) uses(n name) bool {
	if n.receiver == "" {
		return s.selected[n] || s.shown[n]
	}
	for folder := range s.selectors[n.name] {
		if folder != n.folder {
			return true
		}
	}
	// Packages fmt, errors and encoding call these.
	return slices.Contains([]string{"String", "Error", "Unwrap", "Is", "MarshalText", "MarshalJSON"}, n.name)
}

func (s *source) read(file string, parsed *ast.File) {
	folder := path.Dir(file)
	test := strings.HasSuffix(file, "_test.go")
	library := !strings.HasPrefix(file, "cmd/") && !strings.HasPrefix(file, "testdata/")
	if library && !test {
		for _, declaration := range parsed.Decls {
			s.declare(folder, declaration)
		}
	}
	from := folder
	if strings.HasSuffix(parsed.Name.Name, "_test") {
		from += "_test"
	}
	imported := map[string]string{} // name in the file to folder
	for _, spec := range parsed.Imports {
		imports, err := strconv.Unquote(spec.Path.Value)
		if own, ok := strings.CutPrefix(imports, module); err == nil && ok {
			as := path.Base(own)
			if spec.Name != nil {
				as = spec.Name.Name
			}
			imported[as] = own
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if f, ok := n.(*ast.FuncDecl); ok && test && !strings.HasPrefix(f.Name.Name, "Example") {
			return false
		}
		if selector, ok := n.(*ast.SelectorExpr); ok {
			s.selection(from, imported, selector)
		}
		return true
	})
}

func (s *source) selection(from string, imported map[string]string, selector *ast.SelectorExpr) {
	selected := selector.Sel.Name
	if pkg, ok := selector.X.(*ast.Ident); ok && imported[pkg.Name] != "" {
		s.selected[name{folder: imported[pkg.Name], name: selected}] = true
		return
	}
	if s.selectors[selected] == nil {
		s.selectors[selected] = map[string]bool{}
	}
	s.selectors[selected][from] = true
}

func (s *source) declare(folder string, declaration ast.Decl) {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if !d.Name.IsExported() {
			return
		}
		s.show(folder, d.Type)
		n := name{folder: folder, name: d.Name.Name}
		if d.Recv != nil {
			receiver := d.Recv.List[0].Type
			if pointer, ok := receiver.(*ast.StarExpr); ok {
				receiver = pointer.X
			}
			if n.receiver = receiver.(*ast.Ident).Name; !ast.IsExported(n.receiver) {
				return
			}
		}
		s.declared = append(s.declared, n)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() {
					s.declared = append(s.declared, name{folder: folder, name: spec.Name.Name})
					s.show(folder, spec.Type)
				}
			case *ast.ValueSpec:
				for _, id := range spec.Names {
					if id.IsExported() {
						s.declared = append(s.declared, name{folder: folder, name: id.Name})
						s.show(folder, spec.Type)
					}
				}
			}
		}
	}
}

// show takes in the types that a declaration has, those of a struct's unexported
// fields apart.
func (s *source) show(folder string, declaration ast.Expr) {
	if declaration == nil {
		return
	}
	ast.Inspect(declaration, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.StructType:
			for _, field := range n.Fields.List {
				if len(field.Names) == 0 || slices.ContainsFunc(field.Names, (*ast.Ident).IsExported) {
					s.show(folder, field.Type)
				}
			}
			return false
		case *ast.Ident:
			s.shown[name{folder: folder, name: n.Name}] = true
		}
		return true
	})
}
