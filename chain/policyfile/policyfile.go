// Package policyfile reads an operator's decisions about images, a
// [chain.Policy], from a YAML file.
//
// docs/policy.md documents the file, and docs/schema/policy.json is its schema
// for editors. The parser is stricter than YAML: it refuses every construct
// that two parsers, or a parser and a person, could read differently, and
// every unknown key. It does not touch the paths in the file.
//
//	file, err := policyfile.Read("/etc/chainfix/policy.yaml")
//	if err != nil {
//		return err // with the line and column of what is wrong
//	}
//	walker := &chain.Walker{Policy: file.Policy}
//
// [Read] opens the file, and [Parse] parses bytes. For a wrong file both
// return an [*Error], which wraps one of the Err... variables.
package policyfile

import (
	"io"
	"os"

	"go.yaml.in/yaml/v4"

	"github.com/chainfix/chainfix/chain"
)

const (
	// MaxSize is the maximum length of a policy file, in bytes.
	MaxSize = 1 << 20
	// MaxMarks is the maximum total number of colons, commas, dashes, question
	// marks and lines. Each of them may begin a node, which takes a KiB while the
	// file is parsed. A statement has about six.
	MaxMarks = 200_000
)

// File is the content of a policy file. An empty file gives the zero File.
type File struct {
	Policy chain.Policy
	// Pools is the folder with the definitions of libvirt's storage pools:
	// absolute and clean; "" if the file names none.
	Pools string
}

// Read reads the policy file at path. Errors come from opening and reading it,
// with its name, or from [Parse].
func Read(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse parses a policy file with this name. Every error is an [*Error].
func Parse(name string, data []byte) (*File, error) {
	r := reader{name}
	if len(data) > MaxSize {
		return nil, r.failAt(1, 1, ErrLimit, "it has more than %d bytes", MaxSize)
	}
	content, err := r.document(data)
	if err != nil {
		return nil, err
	}
	if content == nil {
		return &File{}, nil
	}
	values, err := r.mapping(content, "a policy", "version", "rule", "target-libvirt", "pools", "formats", "folders", "disks")
	if err != nil {
		return nil, err
	}
	if err := r.version(content, values["version"]); err != nil {
		return nil, err
	}
	f := &File{}
	if n := values["rule"]; n != nil {
		if f.Policy.Rule, err = r.rule(n); err != nil {
			return nil, err
		}
	}
	if n := values["target-libvirt"]; n != nil {
		if f.Policy.Target, err = r.target(n); err != nil {
			return nil, err
		}
	}
	if n := values["pools"]; n != nil {
		if f.Pools, err = r.path(n, "pools"); err != nil {
			return nil, err
		}
	}
	if f.Policy.Trust, err = r.formats(values["formats"]); err != nil {
		return nil, err
	}
	if f.Policy.Folders, err = r.folders(values["folders"]); err != nil {
		return nil, err
	}
	if f.Policy.KeptChains, err = r.disks(values["disks"]); err != nil {
		return nil, err
	}
	return f, nil
}

// version requires version 1, the only one so far, so later versions are not
// misread.
func (r reader) version(content, n *yaml.Node) error {
	switch {
	case n == nil:
		return r.fail(content, ErrKey, `"version" is missing: write "version: 1"`)
	case n.Kind != yaml.ScalarNode || n.Tag != "!!int" || n.Value != "1":
		return r.fail(n, ErrValue, "version must be 1")
	}
	return nil
}

// formats reads the statements about single images and patterns.
func (r reader) formats(n *yaml.Node) ([]chain.Statement, error) {
	items, err := r.sequence(n, "formats")
	if err != nil {
		return nil, err
	}
	var statements []chain.Statement
	lines := make(map[chain.Statement]int) // by statements without their formats
	stated := make(map[chain.Statement]chain.Statement)
	for _, item := range items {
		s, err := r.statement(item)
		if err != nil {
			return nil, err
		}
		about := s
		about.Format = ""
		if before, ok := stated[about]; ok && before.Format != s.Format {
			return nil, r.fail(item, ErrContradiction, "what is stated to be %s here is stated to be %s on line %d", s.Format, before.Format, lines[about])
		}
		stated[about], lines[about] = s, item.Line
		statements = append(statements, s)
	}
	return statements, nil
}

func (r reader) statement(n *yaml.Node) (chain.Statement, error) {
	var s chain.Statement
	values, err := r.mapping(n, "a format", "path", "glob", "source", "format")
	if err != nil {
		return s, err
	}
	if len(values) != 2 || values["format"] == nil {
		return s, r.fail(n, ErrKey, `"format" and one of "path", "glob" and "source" are required`)
	}
	switch {
	case values["path"] != nil:
		s.Path, err = r.image(values["path"], "path")
	case values["glob"] != nil:
		s.Pattern = true
		s.Path, err = r.glob(values["glob"], "glob")
	default:
		s.Path, err = r.source(values["source"], "source")
	}
	if err != nil {
		return s, err
	}
	s.Format, err = r.format(values["format"])
	return s, err
}

// folders reads the statements about folders.
func (r reader) folders(n *yaml.Node) ([]chain.Folder, error) {
	items, err := r.sequence(n, "folders")
	if err != nil {
		return nil, err
	}
	var folders []chain.Folder
	lines := make(map[string]int)
	for _, item := range items {
		f, err := r.folder(item)
		if err != nil {
			return nil, err
		}
		if line, ok := lines[f.Path]; ok {
			return nil, r.fail(item, ErrContradiction, "the folder %q is already on line %d", f.Path, line)
		}
		lines[f.Path] = item.Line
		folders = append(folders, f)
	}
	return folders, nil
}

func (r reader) folder(n *yaml.Node) (chain.Folder, error) {
	var f chain.Folder
	values, err := r.mapping(n, "a folder", "path", "rule", "headers")
	if err != nil {
		return f, err
	}
	switch {
	case values["path"] == nil:
		return f, r.fail(n, ErrKey, `"path" is missing`)
	case values["rule"] == nil && values["headers"] == nil:
		return f, r.fail(n, ErrKey, `"rule" or "headers" is required`)
	}
	if f.Path, err = r.path(values["path"], "path"); err != nil {
		return f, err
	}
	if n := values["rule"]; n != nil {
		rule, err := r.rule(n)
		if err != nil {
			return f, err
		}
		f.Rule = &rule
	}
	if n := values["headers"]; n != nil {
		f.TrustHeaders, err = r.headers(n)
	}
	return f, err
}

// disks reads the statements about single disks, and returns the disks that
// keep their chain: so far a statement cannot say anything else.
func (r reader) disks(n *yaml.Node) ([]string, error) {
	items, err := r.sequence(n, "disks")
	if err != nil {
		return nil, err
	}
	var kept []string
	lines := make(map[string]int)
	for _, item := range items {
		name, err := r.disk(item)
		if err != nil {
			return nil, err
		}
		if line, ok := lines[name]; ok {
			return nil, r.fail(item, ErrContradiction, "the disk is already on line %d", line)
		}
		lines[name] = item.Line
		kept = append(kept, name)
	}
	return kept, nil
}

// disk reads the name of the disk's own image.
func (r reader) disk(n *yaml.Node) (name string, err error) {
	values, err := r.mapping(n, "a disk", "path", "source", "chain")
	if err != nil {
		return "", err
	}
	if len(values) != 2 || values["chain"] == nil {
		return "", r.fail(n, ErrKey, `"chain" and one of "path" and "source" are required`)
	}
	if word, err := r.text(values["chain"], "chain"); err != nil {
		return "", err
	} else if word != "kept" {
		return "", r.fail(values["chain"], ErrValue, `chain must be "kept"`)
	}
	if values["path"] != nil {
		return r.image(values["path"], "path")
	}
	return r.source(values["source"], "source")
}
