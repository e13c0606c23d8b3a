package policyfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/policyfile"
	"github.com/chainfix/chainfix/probe"
)

const (
	example    = "../../docs/policy-example.yaml"
	schemaFile = "../../docs/schema/policy.json"
)

func pointer[T any](v T) *T { return &v }

// The example in the documentation says what it says it says, to the reader
// and to the schema.
func TestExample(t *testing.T) {
	got, err := policyfile.Read(example)
	if err != nil {
		t.Fatal(err)
	}
	want := &policyfile.File{
		Policy: chain.Policy{
			Rule:   chain.Strict,
			Target: libvirt.Version{Major: 10, Minor: 10},
			Trust: []chain.Statement{
				{Path: "/srv/images/base.img", Format: probe.Qcow2},
				{Path: "/srv/templates/*.img", Pattern: true, Format: probe.Raw},
				{Path: "nbd://storage:10809/base", Format: probe.Raw},
			},
			Folders: []chain.Folder{
				{Path: "/srv/golden", TrustHeaders: true},
				{Path: "/srv/golden/incoming", Rule: pointer(chain.Declared)},
				{Path: "/srv/old", Rule: pointer(chain.Leaf)},
			},
			KeptChains: []string{"/srv/images/old.qcow2"},
		},
		Pools: "/etc/libvirt/storage",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(schema(t), data); err != nil {
		t.Errorf("the schema refuses the example: %v", err)
	}
}

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate holds a YAML text against the schema, as an editor does.
func validate(s *jsonschema.Schema, data []byte) error {
	var value any
	if err := yaml.Unmarshal(data, &value); err != nil {
		return err
	}
	return s.Validate(value)
}

func TestPoliciesThatAreRead(t *testing.T) {
	s := schema(t)
	for name, c := range map[string]struct {
		text string
		want policyfile.File
	}{
		"empty":             {"", policyfile.File{}},
		"comment":           {"# nothing yet\n", policyfile.File{}},
		"empty document":    {"---\n...\n", policyfile.File{}},
		"byte order mark":   {"\ufeffversion: 1\n", policyfile.File{}},
		"version":           {"version: 1", policyfile.File{}},
		"line ends of DOS":  {"version: 1\r\nrule: strict\r\n", policyfile.File{Policy: chain.Policy{Rule: chain.Strict}}},
		"flow style":        {`{"version": 1, "rule": "declared"}`, policyfile.File{Policy: chain.Policy{Rule: chain.Declared}}},
		"empty lists":       {"version: 1\nformats: []\nfolders: []\n", policyfile.File{}},
		"lists of comments": {"version: 1\nformats:\n  #- {path: /a, format: raw}\ndisks:\nfolders:", policyfile.File{}},
		"target":            {"version: 1\ntarget-libvirt: 10.10.0\n", policyfile.File{Policy: chain.Policy{Target: libvirt.Version{Major: 10, Minor: 10}}}},
		"said twice alike": {"version: 1\nformats: [{path: /a, format: vhd}, {path: /a, format: vhdx}]\n",
			policyfile.File{Policy: chain.Policy{Trust: []chain.Statement{{Path: "/a", Format: probe.VHDX}, {Path: "/a", Format: probe.VHDX}}}}},
		"a path and a pattern that look alike": {"version: 1\nformats: [{path: '/a*', format: raw}, {glob: '/a*', format: qcow2}]\n",
			policyfile.File{Policy: chain.Policy{Trust: []chain.Statement{{Path: "/a*", Format: probe.Raw}, {Path: "/a*", Pattern: true, Format: probe.Qcow2}}}}},
		"odd names": {"version: 1\npools: /...a/.b/..c/ü \U0001F4BE\n", policyfile.File{Pools: "/...a/.b/..c/ü \U0001F4BE"}},
		"sources": {"version: 1\nformats: [{source: 'nbd+unix:///export?socket=/run/a b', format: raw}, {source: 'rbd://a:1,b:2/pool/image@snap', format: raw}]\n",
			policyfile.File{Policy: chain.Policy{Trust: []chain.Statement{
				{Path: "nbd+unix:///export?socket=/run/a b", Format: probe.Raw}, {Path: "rbd://a:1,b:2/pool/image@snap", Format: probe.Raw}}}}},
		"kept chains": {"version: 1\ndisks: [{path: 'file:///a%20b', chain: kept}, {source: 'nbd://h:10809/x', chain: kept}]\n",
			policyfile.File{Policy: chain.Policy{KeptChains: []string{"/a b", "nbd://h:10809/x"}}}},
		"both of a folder": {"version: 1\nfolders: [{path: /, rule: leaf, headers: believed}]\n",
			policyfile.File{Policy: chain.Policy{Folders: []chain.Folder{{Path: "/", Rule: pointer(chain.Leaf), TrustHeaders: true}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policyfile.Parse("policy.yaml", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if err := validate(s, []byte(c.text)); err != nil {
				t.Errorf("the schema refuses it: %v", err)
			}
		})
	}
}

// bad are files that the reader refuses; the schema refuses them too where it
// can say why.
var bad = []struct {
	name, text   string
	line, column int
	kind         error
	detail       string
	readerOnly   bool // what a schema cannot express, or never sees
}{
	// What is no YAML, or more of YAML than is needed.
	{name: "syntax", text: "version: 1\nrule: a: b\n", line: 2, column: 8, kind: policyfile.ErrSyntax, detail: "mapping values"},
	{name: "syntax of the first line", text: "a: b: c\n", line: 1, column: 5, kind: policyfile.ErrSyntax, detail: "mapping values"},
	{name: "tab", text: "version: 1\nformats:\n\t- a\n", line: 3, column: 1, kind: policyfile.ErrSyntax, detail: "cannot start"},
	{name: "cut off", text: "version: 1\nformats: [\n", line: 3, column: 1, kind: policyfile.ErrSyntax, detail: "did not find"},
	{name: "not UTF-8", text: "version: 1\npools: /\xff\n", line: 2, column: 9, kind: policyfile.ErrSyntax, detail: "UTF-8"},
	{name: "UTF-16", text: "\xff\xfev\x00:\x00", line: 1, column: 1, kind: policyfile.ErrSyntax, detail: "UTF-8"},
	{name: "NUL", text: "version: 1\n\x00rule: leaf\n", line: 2, column: 1, kind: policyfile.ErrSyntax, detail: "U+0000"},
	{name: "escape character", text: "version: 1 # \x1b[2J\n", line: 1, column: 14, kind: policyfile.ErrSyntax, detail: "U+001B"},
	{name: "carriage return hides a line", text: "version: 1\n# fine\rrule: leaf\n", line: 2, column: 7, kind: policyfile.ErrSyntax, detail: "U+000D", readerOnly: true},
	{name: "line separator hides a line", text: "version: 1\n# fine\u2028rule: leaf\n", line: 2, column: 7, kind: policyfile.ErrSyntax, detail: "U+2028", readerOnly: true},
	{name: "next line hides a line", text: "version: 1\n# fine\u0085rule: leaf\n", line: 2, column: 7, kind: policyfile.ErrSyntax, detail: "U+0085", readerOnly: true},
	{name: "directive", text: "%YAML 1.1\n---\nversion: 1\n", line: 1, column: 1, kind: policyfile.ErrSyntax, detail: "directive", readerOnly: true},
	{name: "directive of tags", text: "%TAG ! tag:x,2026:\n---\nversion: 1\n", line: 1, column: 1, kind: policyfile.ErrSyntax, detail: "directive", readerOnly: true},
	{name: "two documents", text: "version: 1\n---\nversion: 1\n", line: 2, column: 1, kind: policyfile.ErrSyntax, detail: "second document", readerOnly: true},
	{name: "two empty documents", text: "---\n---\n", line: 2, column: 1, kind: policyfile.ErrSyntax, detail: "second document", readerOnly: true},
	{name: "broken second document", text: "version: 1\n--- [\n", line: 3, column: 1, kind: policyfile.ErrSyntax, detail: "did not find", readerOnly: true},
	{name: "anchor", text: "version: &one 1\n", line: 1, column: 10, kind: policyfile.ErrSyntax, detail: "an anchor", readerOnly: true},
	{name: "anchor of a key", text: "&v version: 1\n", line: 1, column: 1, kind: policyfile.ErrSyntax, detail: "an anchor", readerOnly: true},
	{name: "anchor of the whole", text: "&all\nversion: 1\n", line: 1, column: 1, kind: policyfile.ErrSyntax, detail: "an anchor", readerOnly: true},
	{name: "anchor of nothing", text: "&all\n", line: 1, column: 1, kind: policyfile.ErrSyntax, detail: "an anchor", readerOnly: true},
	{name: "anchor of an item", text: "version: 1\nfolders:\n  - &f {path: /a, rule: leaf}\n", line: 3, column: 5, kind: policyfile.ErrSyntax, detail: "an anchor", readerOnly: true},
	{name: "anchor in an item", text: "version: 1\nfolders:\n  - {path: &p /a, rule: leaf}\n", line: 3, column: 12, kind: policyfile.ErrSyntax, detail: "an anchor", readerOnly: true},
	{name: "alias to nothing", text: "version: 1\nrule: *x\n", line: 2, kind: policyfile.ErrSyntax, detail: "anchor"},
	{name: "alias", text: "version: 1\nfolders:\n  - *f\nformats: &f []\n", line: 3, kind: policyfile.ErrSyntax, detail: "anchor"},
	{name: "merge key", text: "version: 1\n<<: {rule: leaf}\n", line: 2, column: 1, kind: policyfile.ErrSyntax, detail: "a merge key", readerOnly: true},
	{name: "merge key in a folder", text: "version: 1\nfolders: [{<<: {path: /a}, rule: leaf}]\n", line: 2, column: 12, kind: policyfile.ErrSyntax, detail: "a merge key", readerOnly: true},
	{name: "tag", text: "version: 1\nrule: !!str leaf\n", line: 2, column: 7, kind: policyfile.ErrSyntax, detail: "a tag", readerOnly: true},
	{name: "tag without a name", text: "version: 1\nrule: ! leaf\n", line: 2, column: 7, kind: policyfile.ErrSyntax, detail: "a tag", readerOnly: true},
	{name: "tag of one's own", text: "version: 1\nrule: !mine leaf\n", line: 2, column: 7, kind: policyfile.ErrSyntax, detail: "a tag", readerOnly: true},
	{name: "tag in full", text: "version: 1\nfolders: !<tag:yaml.org,2002:seq> []\n", line: 2, column: 10, kind: policyfile.ErrSyntax, detail: "a tag", readerOnly: true},
	{name: "tag of the whole", text: "!!map\nversion: 1\n", line: 1, column: 1, kind: policyfile.ErrSyntax, detail: "a tag", readerOnly: true},
	{name: "tag of a key", text: "!!str version: 1\n", line: 1, column: 1, kind: policyfile.ErrSyntax, detail: "a tag", readerOnly: true},

	// Keys.
	{name: "unknown key", text: "version: 1\nrules: leaf\n", line: 2, column: 1, kind: policyfile.ErrKey, detail: `"rules" is not a key`},
	{name: "key in capitals", text: "version: 1\nRule: leaf\n", line: 2, column: 1, kind: policyfile.ErrKey, detail: `"Rule" is not a key`},
	{name: "what is decided for one run only", text: "version: 1\nrefresh: true\n", line: 2, column: 1, kind: policyfile.ErrKey, detail: `"refresh" is not a key`},
	{name: "key that is no text", text: "version: 1\n1: leaf\n", line: 2, column: 1, kind: policyfile.ErrKey, detail: `"1" is not a key`},
	{name: "key that is a list", text: "version: 1\n? [a]\n: leaf\n", line: 2, column: 3, kind: policyfile.ErrKey, detail: "this is not a key"},
	{name: "key twice", text: "version: 1\nrule: leaf\nrule: leaf\n", line: 3, column: 1, kind: policyfile.ErrKey, detail: `"rule" is already on line 2`},
	{name: "key twice, once in quotes", text: "version: 1\nrule: leaf\n\"r\\u0075le\": strict\n", line: 3, column: 1, kind: policyfile.ErrKey, detail: `"rule" is already on line 2`},
	{name: "key twice in an item", text: "version: 1\nfolders:\n  - path: /a\n    rule: leaf\n    path: /b\n", line: 5, column: 5, kind: policyfile.ErrKey, detail: "already on line 3"},
	{name: "no version", text: "rule: leaf\n", line: 1, column: 1, kind: policyfile.ErrKey, detail: `"version" is missing`},
	{name: "nothing in braces", text: "{}\n", line: 1, column: 1, kind: policyfile.ErrKey, detail: `"version" is missing`},
	{name: "unknown key of a format", text: "version: 1\nformats:\n  - path: /a\n    formt: raw\n", line: 4, column: 5, kind: policyfile.ErrKey, detail: `"formt" is not a key`},
	{name: "unknown key of a folder", text: "version: 1\nfolders:\n  - path: /a\n    believed: yes\n", line: 4, column: 5, kind: policyfile.ErrKey, detail: `"believed" is not a key`},
	{name: "no format", text: "version: 1\nformats:\n  - path: /a\n", line: 3, column: 5, kind: policyfile.ErrKey, detail: `"format" and one of`},
	{name: "format of nothing", text: "version: 1\nformats:\n  - format: raw\n", line: 3, column: 5, kind: policyfile.ErrKey, detail: `"format" and one of`},
	{name: "path and no format", text: "version: 1\nformats: [{path: /a, glob: /b*}]\n", line: 2, column: 11, kind: policyfile.ErrKey, detail: `"format" and one of`},
	{name: "path and glob", text: "version: 1\nformats: [{path: /a, glob: /b*, format: raw}]\n", line: 2, column: 11, kind: policyfile.ErrKey, detail: `"format" and one of`},
	{name: "folder without a path", text: "version: 1\nfolders: [{rule: leaf, headers: believed}]\n", line: 2, column: 11, kind: policyfile.ErrKey, detail: `"path" is missing`},
	{name: "folder of which nothing is said", text: "version: 1\nfolders: [{path: /a}]\n", line: 2, column: 11, kind: policyfile.ErrKey, detail: `"rule" or "headers"`},

	{name: "disk without a chain", text: "version: 1\ndisks: [{path: /a}]\n", line: 2, column: 9, kind: policyfile.ErrKey, detail: `"chain" and one of`},
	{name: "disk without an image", text: "version: 1\ndisks: [{chain: kept}]\n", line: 2, column: 9, kind: policyfile.ErrKey, detail: `"chain" and one of`},
	{name: "disk with two images", text: "version: 1\ndisks: [{path: /a, source: 'nbd://h/a', chain: kept}]\n", line: 2, column: 9, kind: policyfile.ErrKey, detail: `"chain" and one of`},
	{name: "unknown key of a disk", text: "version: 1\ndisks: [{glob: '/a*', chain: kept}]\n", line: 2, column: 10, kind: policyfile.ErrKey, detail: `"glob" is not a key`},

	// Values.
	{name: "list", text: "- a\n", line: 1, column: 1, kind: policyfile.ErrValue, detail: "a policy must be a mapping"},
	{name: "text", text: "leaf\n", line: 1, column: 1, kind: policyfile.ErrValue, detail: "a policy must be a mapping"},
	{name: "null", text: "null\n", line: 1, column: 1, kind: policyfile.ErrValue, detail: "a policy must be a mapping", readerOnly: true},
	{name: "version 2", text: "version: 2\n", line: 1, column: 10, kind: policyfile.ErrValue, detail: "version must be 1"},
	{name: "version in quotes", text: "version: '1'\n", line: 1, column: 10, kind: policyfile.ErrValue, detail: "version must be 1"},
	{name: "version as a fraction", text: "version: 1.0\n", line: 1, column: 10, kind: policyfile.ErrValue, detail: "version must be 1", readerOnly: true},
	{name: "version in binary", text: "version: 0b1\n", line: 1, column: 10, kind: policyfile.ErrValue, detail: "version must be 1", readerOnly: true},
	{name: "rule without a value", text: "version: 1\nrule:\n", line: 2, column: 6, kind: policyfile.ErrValue, detail: "rule has no value"},
	{name: "unknown rule", text: "version: 1\nrule: lax\n", line: 2, column: 7, kind: policyfile.ErrValue, detail: `unknown rule "lax"`},
	{name: "rule as a list", text: "version: 1\nrule: [leaf]\n", line: 2, column: 7, kind: policyfile.ErrValue, detail: "rule must be text"},
	{name: "rule as a truth value", text: "version: 1\nrule: true\n", line: 2, column: 7, kind: policyfile.ErrValue, detail: "put it in quotes"},
	{name: "target that YAML takes for 10.1", text: "version: 1\ntarget-libvirt: 10.10\n", line: 2, column: 17, kind: policyfile.ErrValue, detail: `"10.10" is something else to YAML: put it in quotes`},
	{name: "target that is no number", text: "version: 1\ntarget-libvirt: newest\n", line: 2, column: 17, kind: policyfile.ErrValue, detail: `"newest" is not a version`},
	{name: "target of one number", text: "version: 1\ntarget-libvirt: '10'\n", line: 2, column: 17, kind: policyfile.ErrValue, detail: `"10" is not a version`},
	{name: "target of big numbers", text: "version: 1\ntarget-libvirt: '10.1000'\n", line: 2, column: 17, kind: policyfile.ErrValue, detail: "is not a version", readerOnly: true},
	{name: "relative path", text: "version: 1\npools: storage\n", line: 2, column: 8, kind: policyfile.ErrValue, detail: "absolute"},
	{name: "path of a home", text: "version: 1\npools: ~/storage\n", line: 2, column: 8, kind: policyfile.ErrValue, detail: "absolute"},
	{name: "empty path", text: "version: 1\npools: ''\n", line: 2, column: 8, kind: policyfile.ErrValue, detail: "absolute"},
	{name: "path with dots", text: "version: 1\npools: /a/../b\n", line: 2, column: 8, kind: policyfile.ErrValue, detail: `"/b"`},
	{name: "path with a dot", text: "version: 1\npools: /a/./b\n", line: 2, column: 8, kind: policyfile.ErrValue, detail: `"/a/b"`},
	{name: "path with dots at its end", text: "version: 1\npools: /a/..\n", line: 2, column: 8, kind: policyfile.ErrValue, detail: `"/"`},
	{name: "doubled slash", text: "version: 1\npools: /a//b\n", line: 2, column: 8, kind: policyfile.ErrValue, detail: `"/a/b"`},
	{name: "doubled slash in front", text: "version: 1\npools: //a\n", line: 2, column: 8, kind: policyfile.ErrValue, detail: `"/a"`},
	{name: "trailing slash", text: "version: 1\nfolders: [{path: /a/, rule: leaf}]\n", line: 2, column: 18, kind: policyfile.ErrValue, detail: `"/a"`},
	{name: "line end in a path", text: "version: 1\npools: |\n  /a\n", line: 2, column: 8, kind: policyfile.ErrValue, detail: "control character"},
	{name: "escape in a path", text: "version: 1\npools: \"/a\\e[2J\"\n", line: 2, column: 8, kind: policyfile.ErrValue, detail: "control character"},
	{name: "formats of null", text: "version: 1\nformats: null\n", line: 2, column: 10, kind: policyfile.ErrValue, detail: "formats must be a list", readerOnly: true},
	{name: "formats of a tilde", text: "version: 1\ndisks: ~\n", line: 2, column: 8, kind: policyfile.ErrValue, detail: "disks must be a list", readerOnly: true},
	{name: "formats of text", text: "version: 1\nformats: ''\n", line: 2, column: 10, kind: policyfile.ErrValue, detail: "formats must be a list"},
	{name: "formats with an anchor", text: "version: 1\nformats: &a\n", line: 2, column: 10, kind: policyfile.ErrSyntax, detail: "an anchor", readerOnly: true},
	{name: "formats as a mapping", text: "version: 1\nformats: {/a: raw}\n", line: 2, column: 10, kind: policyfile.ErrValue, detail: "formats must be a list"},
	{name: "formats of text", text: "version: 1\nformats: [/a=raw]\n", line: 2, column: 11, kind: policyfile.ErrValue, detail: "a format must be a mapping"},
	{name: "folders of text", text: "version: 1\nfolders: [/a]\n", line: 2, column: 11, kind: policyfile.ErrValue, detail: "a folder must be a mapping"},
	{name: "format that no disk can have", text: "version: 1\nformats: [{path: /a, format: luks}]\n", line: 2, column: 30, kind: policyfile.ErrValue, detail: `"luks" is not a format`},
	{name: "format in capitals", text: "version: 1\nformats: [{path: /a, format: RAW}]\n", line: 2, column: 30, kind: policyfile.ErrValue, detail: `"RAW" is not a format`},
	{name: "malformed glob", text: "version: 1\nformats: [{glob: '/a/[', format: raw}]\n", line: 2, column: 18, kind: policyfile.ErrValue, detail: "malformed", readerOnly: true},
	{name: "malformed end of a glob", text: "version: 1\nformats: [{glob: '/a/*[b-]', format: raw}]\n", line: 2, column: 18, kind: policyfile.ErrValue, detail: "malformed", readerOnly: true},
	{name: "glob of one path", text: "version: 1\nformats: [{glob: /a/b, format: raw}]\n", line: 2, column: 18, kind: policyfile.ErrValue, detail: `use "path"`},
	{name: "glob over folders", text: "version: 1\nformats: [{glob: '/a/**/b', format: raw}]\n", line: 2, column: 18, kind: policyfile.ErrValue, detail: "a pattern does not match subfolders"},
	{name: "glob with a shell's not", text: "version: 1\nformats: [{glob: '/a/[!b]', format: raw}]\n", line: 2, column: 18, kind: policyfile.ErrValue, detail: "write [^"},
	{name: "relative glob", text: "version: 1\nformats: [{glob: '*.img', format: raw}]\n", line: 2, column: 18, kind: policyfile.ErrValue, detail: "absolute"},
	{name: "source that is a path", text: "version: 1\nformats: [{source: /a, format: raw}]\n", line: 2, column: 20, kind: policyfile.ErrValue, detail: "must be a URI"},
	{name: "source in colon form", text: "version: 1\nformats: [{source: 'nbd:host:10809', format: raw}]\n", line: 2, column: 20, kind: policyfile.ErrValue, detail: "must be a URI"},
	{name: "source that is a local file", text: "version: 1\nformats: [{source: 'file:///a', format: raw}]\n", line: 2, column: 20, kind: policyfile.ErrValue, detail: `use "path"`},
	{name: "source with a password", text: "version: 1\nformats: [{source: 'https://root:hunter2@host/a', format: raw}]\n", line: 2, column: 20, kind: policyfile.ErrValue, detail: "a password"},
	{name: "source with a user and no path", text: "version: 1\nformats: [{source: 'nbd://hunter2@host?x', format: raw}]\n", line: 2, column: 20, kind: policyfile.ErrValue, detail: "a password"},
	{name: "source with a line end", text: "version: 1\nformats: [{source: \"nbd://host/\\n\", format: raw}]\n", line: 2, column: 20, kind: policyfile.ErrValue, detail: "control character"},
	{name: "unknown headers", text: "version: 1\nfolders: [{path: /a, headers: trusted}]\n", line: 2, column: 31, kind: policyfile.ErrValue, detail: `"believed" or "judged"`},
	{name: "headers as a truth value", text: "version: 1\nfolders: [{path: /a, headers: true}]\n", line: 2, column: 31, kind: policyfile.ErrValue, detail: "put it in quotes"},

	{name: "chain that is not kept", text: "version: 1\ndisks: [{path: /a, chain: headers}]\n", line: 2, column: 27, kind: policyfile.ErrValue, detail: `chain must be "kept"`},
	{name: "relative image of a disk", text: "version: 1\ndisks: [{path: a, chain: kept}]\n", line: 2, column: 16, kind: policyfile.ErrValue, detail: "absolute"},
	{name: "disks of text", text: "version: 1\ndisks: [/a]\n", line: 2, column: 9, kind: policyfile.ErrValue, detail: "a disk must be a mapping"},

	// Two things about one.
	{name: "two formats of one path", text: "version: 1\nformats:\n  - {path: /a, format: raw}\n  - {path: /b, format: raw}\n  - {path: /a, format: qcow2}\n",
		line: 5, column: 5, kind: policyfile.ErrContradiction, detail: "qcow2 here is stated to be raw on line 3", readerOnly: true},
	{name: "two formats of one glob", text: "version: 1\nformats: [{glob: '/*', format: raw}, {glob: '/*', format: qcow2}]\n",
		line: 2, column: 38, kind: policyfile.ErrContradiction, detail: "on line 2", readerOnly: true},
	{name: "two formats of one source", text: "version: 1\nformats: [{source: 'nbd://h/a', format: raw}, {source: 'nbd://h/a', format: qcow2}]\n",
		line: 2, column: 47, kind: policyfile.ErrContradiction, detail: "on line 2", readerOnly: true},
	{name: "one folder twice", text: "version: 1\nfolders:\n  - {path: /a, rule: leaf}\n  - {path: /a, headers: believed}\n",
		line: 4, column: 5, kind: policyfile.ErrContradiction, detail: `"/a" is already on line 3`, readerOnly: true},
	{name: "one disk twice", text: "version: 1\ndisks:\n  - {path: /a, chain: kept}\n  - {path: 'file:///a', chain: kept}\n",
		line: 4, column: 5, kind: policyfile.ErrContradiction, detail: "already on line 3", readerOnly: true},
}

func TestPoliciesThatAreRefused(t *testing.T) {
	s := schema(t)
	for _, c := range bad {
		t.Run(c.name, func(t *testing.T) {
			f, err := policyfile.Parse("dir/policy.yaml", []byte(c.text))
			var at *policyfile.Error
			if f != nil || !errors.As(err, &at) || !errors.Is(err, c.kind) {
				t.Fatalf("Parse = %+v, %v, want %v", f, err, c.kind)
			}
			if at.Name != "dir/policy.yaml" || at.Line != c.line || c.column > 0 && at.Column != c.column || !strings.Contains(at.Detail, c.detail) {
				t.Errorf("%v, want %q at %d:%d", err, c.detail, c.line, c.column)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a password is shown: %v", err)
			}
			if err := validate(s, []byte(c.text)); (err == nil) != c.readerOnly {
				t.Errorf("the schema says: %v", err)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	for name, want := range map[string]string{
		"policy.yaml":   "policy.yaml:2:1: wrong key: ",
		"my policy":     `"my policy":2:1: `,
		"a\x1b[2J.yaml": `"a\x1b[2J.yaml":2:1: `,
	} {
		_, err := policyfile.Parse(name, []byte("version: 1\n\"\\e[2J\": x\n"))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v, want %s...", name, err, want)
		}
	}
}

// The schema names the formats that the reader takes, and no others.
func TestSchemaKnowsTheFormats(t *testing.T) {
	s := schema(t)
	words := []string{"", "aio", "vhd", "ploop", "dir", "fat", "none", "auto", "QCOW2"}
	for _, f := range probe.Formats() {
		words = append(words, string(f), f.LibvirtName())
	}
	for _, word := range words {
		text := "version: 1\nformats: [{path: /a, format: '" + word + "'}]\n"
		_, read := policyfile.Parse("", []byte(text))
		if valid := validate(s, []byte(text)); (read == nil) != (valid == nil) {
			t.Errorf("format %q: the reader says %v, the schema %v", word, read, valid)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := policyfile.Read(filepath.Join(dir, "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := policyfile.Read(dir); err == nil {
		t.Error("a folder was read")
	}
	path := filepath.Join(dir, "policy.yaml")
	text := "version: 1\n#" + strings.Repeat("x", policyfile.MaxSize-12)
	for more, want := range map[string]error{"": nil, "x": policyfile.ErrLimit} {
		if err := os.WriteFile(path, []byte(text+more), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := policyfile.Read(path)
		if !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", len(text+more), err, want)
		}
	}
	_, err := policyfile.Read("/dev/zero")
	var at *policyfile.Error
	if !errors.As(err, &at) || !errors.Is(err, policyfile.ErrLimit) {
		t.Errorf("an endless file: %v", err)
	}
}

// What would be a hundred thousand nodes, of a KiB each, is not read; as many
// statements as fit into a file are.
func TestManyNodes(t *testing.T) {
	var statements strings.Builder
	statements.WriteString("version: 1\nformats:\n")
	count := 0
	for ; statements.Len() < policyfile.MaxSize-40; count++ {
		fmt.Fprintf(&statements, "- {path: /a/b%06d, format: raw}\n", count)
	}
	if f, err := policyfile.Parse("many.yaml", []byte(statements.String())); err != nil || len(f.Policy.Trust) != count {
		t.Errorf("%d statements: %v", count, err)
	}
	for _, unit := range []string{"a:,", "- a\n", "? a\n", "a:\n", "a,", "-\n"} {
		text := strings.Repeat(unit, policyfile.MaxSize/len(unit))
		if _, err := policyfile.Parse("nodes.yaml", []byte("["+text)); !errors.Is(err, policyfile.ErrLimit) {
			t.Errorf("%q: %v", unit, err)
		}
	}
}

// An alias bomb would unfold to 9^9 items; no alias is unfolded.
func TestAliasBomb(t *testing.T) {
	text := "version: 1\na0: &a0 [x]\n"
	for i := '1'; i <= '9'; i++ {
		text += "a" + string(i) + ": &a" + string(i) + " [" + strings.Repeat("*a"+string(i-1)+", ", 9) + "]\n"
	}
	_, err := policyfile.Parse("bomb.yaml", []byte(text))
	if !errors.Is(err, policyfile.ErrKey) {
		t.Errorf("a0 is no key: %v", err)
	}
	_, err = policyfile.Parse("bomb.yaml", []byte(strings.Replace(text, "a0:", "formats:", 1)))
	if !errors.Is(err, policyfile.ErrSyntax) {
		t.Errorf("an anchor: %v", err)
	}
}
