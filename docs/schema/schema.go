// Package schema has JSON Schemas (draft 2020-12) of what chainfix prints for programs,
// and of the policy file that it reads. Objects may get further properties in later
// versions of chainfix, and lists of words further words; nothing is taken away.
//
// All but that of the policy file are generated from the types that are printed:
// CHAINFIX_UPDATE=1 go test ./cmd/chainfix -run Schema writes them anew.
package schema

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed *.json
var files embed.FS

// Names returns the names of all schemas, sorted: "apply", "check", "host" and so on.
func Names() []string {
	paths, err := fs.Glob(files, "*.json")
	if err != nil {
		panic(err) // of the pattern
	}
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = strings.TrimSuffix(path.Base(p), ".json")
	}
	slices.Sort(names)
	return names
}

// Read returns the text of a schema; ok is false if there is none of that name.
func Read(name string) (text []byte, ok bool) {
	text, err := files.ReadFile(name + ".json")
	return text, err == nil
}
