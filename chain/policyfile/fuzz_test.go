package policyfile_test

import (
	"errors"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/policyfile"
)

// FuzzParse reads any text. What is refused has a place in the text and shows
// no control character; what is read says nothing twice, names nothing that
// could be read in two ways, and is no less to the schema.
func FuzzParse(f *testing.F) {
	data, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	for _, c := range bad {
		f.Add(c.text)
	}
	s := schema(f)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := policyfile.Parse("policy.yaml", []byte(text))
		if err != nil {
			var at *policyfile.Error
			if !errors.As(err, &at) || got != nil {
				t.Fatalf("%+v, %v", got, err)
			}
			// The end of the text counts as the line after its last.
			if lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 1; at.Line < 1 || at.Line > lines+1 || at.Column < 1 {
				t.Fatalf("%v in a text of %d lines", err, lines)
			}
			for _, c := range err.Error() {
				if c < ' ' || c == 0x7f {
					t.Fatalf("a control character is shown: %q", err.Error())
				}
			}
			return
		}
		if err := validate(s, []byte(text)); err != nil {
			t.Fatalf("the schema refuses what was read: %v", err)
		}
		policy := got.Policy
		if policy.Disagreement != chain.RefuseDisagreement {
			t.Fatal("a file decided whose chain counts")
		}
		paths := []string{}
		if got.Pools != "" {
			paths = append(paths, got.Pools)
		}
		folders := make(map[string]bool)
		for _, folder := range policy.Folders {
			if folders[folder.Path] {
				t.Fatalf("%q is there twice", folder.Path)
			}
			folders[folder.Path] = true
			paths = append(paths, folder.Path)
		}
		kept := make(map[string]bool)
		for _, name := range policy.KeptChains {
			if kept[name] {
				t.Fatalf("%q is there twice", name)
			}
			kept[name] = true
			if !strings.Contains(name, "://") || strings.HasPrefix(name, "/") {
				paths = append(paths, name)
			}
		}
		said := make(map[chain.Statement]chain.Statement)
		for _, statement := range policy.Trust {
			if statement.Format.LibvirtName() == "" {
				t.Fatalf("no disk can be %q", statement.Format)
			}
			about := chain.Statement{Path: statement.Path, Pattern: statement.Pattern}
			if before, ok := said[about]; ok && before != statement {
				t.Fatalf("%+v and %+v", before, statement)
			}
			said[about] = statement
			if strings.Contains(statement.Path, "://") && !strings.HasPrefix(statement.Path, "/") {
				continue
			}
			if _, err := path.Match(statement.Path, "/x"); statement.Pattern && err != nil {
				t.Fatalf("%q: %v", statement.Path, err)
			}
			paths = append(paths, statement.Path)
		}
		for _, p := range paths {
			if !path.IsAbs(p) || path.Clean(p) != p {
				t.Fatalf("%q is not spelled in one way", p)
			}
		}
	})
}
