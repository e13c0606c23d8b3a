package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/invopop/jsonschema"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/docs/schema"
	"github.com/chainfix/chainfix/testdata/golden"
)

// printed are the types that are printed for programs, each with the name of its schema.
// schemawords_test.go has the words, and the comments of the types have the meaning of
// the fields.
var printed = []struct {
	name, title string
	value       any
}{
	{"apply", "What chainfix host apply --output json prints", applyResult{}},
	{"check", "What chainfix check --output json prints", checkJSON{}},
	{"hook", "A line that chainfix hook --log-format json appends to its log", hookLine{}},
	{"host", "What chainfix host scan --output json prints", report.Host{}},
	{"hosts", "The report that the Ansible role gathers", hostsJSON{}},
	{"probe", "What chainfix probe --output json prints", []probedJSON{}},
	{"rollback", "What chainfix host rollback --output json prints", rollbackResult{}},
	{"runs", "What chainfix host runs --output json prints", runsJSON{}},
	{"who", "What chainfix host who --output json prints", report.Who{}},
}

// checkJSON is what check prints, one document after the other.
type checkJSON struct {
	Schema    string            `json:"schema"`
	Documents []report.Document `json:"documents"`
	// Findings are about no document: the operator's statements that match no image.
	Findings []report.Finding `json:"findings,omitempty"`
}

// hostsJSON is what the Ansible role writes, by templates of its own.
type hostsJSON struct {
	Schema string                    `json:"schema"`
	Time   time.Time                 `json:"time"`
	Check  bool                      `json:"check"` // it ran with --check, so nothing was changed
	Hosts  map[string]hypervisorJSON `json:"hosts"` // by the names that the inventory has for them
}

// hypervisorJSON is the result of one host.
type hypervisorJSON struct {
	Error       string       `json:"error"`        // why it could not finish; "" if it could
	Scan        *report.Host `json:"scan"`         // null if absent
	WouldChange []string     `json:"would_change"` // the guests that apply would change, or has changed
	Changed     []string     `json:"changed"`      // the guests that were changed
	Left        []string     `json:"left"`         // the guests that were left or held back, with the reason
	Run         string       `json:"run"`          // the run of apply that changed them; "" if there is none
}

// TestSchemasAreGenerated: the schemas say what the types say, and there are no others but
// that of the policy file.
func TestSchemasAreGenerated(t *testing.T) {
	known := []string{"policy"}
	for _, p := range printed {
		var text strings.Builder
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(schemaOf(t, p.name, false)); err != nil {
			t.Fatal(err)
		}
		golden.File(t, "../../docs/schema/"+p.name+".json", text.String())
		known = append(known, p.name)
	}
	for _, name := range schema.Names() {
		if !strings.Contains(" "+strings.Join(known, " ")+" ", " "+name+" ") {
			t.Errorf("nothing that is printed has the schema %q", name)
		}
	}
}

// schemaOf makes a schema of a type. A strict one, which is for tests alone, allows no
// property that is not described.
func schemaOf(t testing.TB, name string, strict bool) *jsonschema.Schema {
	t.Helper()
	for _, p := range printed {
		if p.name != name {
			continue
		}
		types := make(map[string]reflect.Type) // by the names of their definitions
		r := &jsonschema.Reflector{AllowAdditionalProperties: !strict, ExpandedStruct: true, LookupComment: lookupComment,
			Namer: func(t reflect.Type) string {
				n := definitionName(t)
				types[n] = t
				return n
			}}
		s := r.Reflect(p.value)
		s.ID, s.Title = jsonschema.ID("https://github.com/chainfix/chainfix/docs/schema/"+name+".json"), p.title
		sets := make(jsonschema.Definitions)
		put := func(s *jsonschema.Schema, words wordSet) {
			if words.name == "" {
				s.Enum = words.all
				return
			}
			sets[words.name] = &jsonschema.Schema{Type: s.Type, Enum: words.all}
			s.Type, s.Ref = "", "#/$defs/"+words.name
		}
		if root := reflect.TypeOf(p.value); root.Kind() == reflect.Struct {
			describe(s, root, name, put)
		}
		for name, definition := range s.Definitions {
			describe(definition, types[name], name, put)
		}
		if s.Definitions == nil {
			s.Definitions = sets
		}
		maps.Copy(s.Definitions, sets)
		return s
	}
	t.Fatalf("nothing that is printed is called %q", name)
	return nil
}

// definitionName is the name of a type in schemas: "SourceHost" is "source-host", and so
// is "sourceHostJSON".
func definitionName(t reflect.Type) string {
	var b strings.Builder
	for i, r := range strings.TrimSuffix(t.Name(), "JSON") {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// describe adds to the schema of a type what its fields do not say: their words, and
// which of them may be null.
func describe(s *jsonschema.Schema, t reflect.Type, name string, put func(*jsonschema.Schema, wordSet)) {
	nullable := make(map[string]bool)
	for _, field := range reflect.VisibleFields(t) {
		tag, omit, _ := strings.Cut(field.Tag.Get("json"), ",")
		nullable[tag] = field.Type.Kind() == reflect.Pointer && omit == ""
	}
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		property := p.Value
		words, ok := wordsOf[name+"."+p.Key]
		if !ok {
			words, ok = wordsOf[p.Key]
		}
		if ok {
			of := property
			for of.Items != nil || of.AdditionalProperties != nil {
				of = cmp.Or(of.Items, of.AdditionalProperties)
			}
			put(of, words)
		}
		if keys, ok := keysOf[name+"."+p.Key]; ok {
			property.PropertyNames = &jsonschema.Schema{Enum: keys.all}
		}
		if nullable[p.Key] {
			property.OneOf = []*jsonschema.Schema{{Type: property.Type, Ref: property.Ref}, {Type: "null"}}
			property.Type, property.Ref = "", ""
		}
	}
}

// lookupComment returns the comment of a type or of one of its fields in the source, as
// one line, which calls it what it is called in JSON.
func lookupComment(t reflect.Type, field string) string {
	key, name, shown := path.Base(t.PkgPath())+"."+t.Name(), t.Name(), definitionName(t)
	if field != "" {
		f, _ := t.FieldByName(field)
		shown, _, _ = strings.Cut(f.Tag.Get("json"), ",")
		key, name = key+"."+field, field
	}
	comment := sourceComments()[key]
	if rest, ok := strings.CutPrefix(comment, name+" "); ok {
		comment = shown + " " + rest
	}
	return comment
}

// sourceComments are the comments of all types and fields, by their names with the
// last word of the package's path.
var sourceComments = sync.OnceValue(func() map[string]string {
	all := make(map[string]string)
	for dir, pkg := range map[string]string{".": "chainfix", "internal/report": "report"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			panic(err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				panic(err)
			}
			for _, d := range parsed.Decls {
				if d, ok := d.(*ast.GenDecl); ok && d.Tok == token.TYPE {
					addComments(all, pkg+".", d)
				}
			}
		}
	}
	return all
})

func addComments(all map[string]string, prefix string, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		spec := spec.(*ast.TypeSpec)
		all[prefix+spec.Name.Name] = inOneLineOf(spec.Doc, d.Doc)
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range fields.Fields.List {
			for _, name := range f.Names {
				all[fmt.Sprintf("%s%s.%s", prefix, spec.Name.Name, name.Name)] = inOneLineOf(f.Doc, f.Comment)
			}
		}
	}
}

func inOneLineOf(comments ...*ast.CommentGroup) string {
	for _, c := range comments {
		if text := strings.Join(strings.Fields(c.Text()), " "); text != "" {
			return strings.NewReplacer("[", "", "]", "").Replace(text)
		}
	}
	return ""
}
