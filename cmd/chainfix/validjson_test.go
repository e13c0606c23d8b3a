package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/rogpeppe/go-internal/testscript"
)

// valid demands that the program's JSON output conforms to its schema, and that the
// schema describes all of it. It ignores other output.
func valid(t testing.TB, out string) {
	t.Helper()
	if err := validate(t, out); err != nil {
		t.Error(err)
	}
}

func validate(t testing.TB, out string) error {
	decoder := json.NewDecoder(strings.NewReader(out))
	for isForPrograms(out[decoder.InputOffset():]) {
		var text json.RawMessage
		if err := decoder.Decode(&text); err != nil {
			return fmt.Errorf("no JSON: %w\n%s", err, out)
		}
		if err := validateDocument(t, text); err != nil {
			return err
		}
	}
	return nil
}

func validateDocument(t testing.TB, text []byte) error {
	value, err := validator.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	name := schemaName(value)
	if err := strictSchema(t, name).Validate(value); err != nil {
		return fmt.Errorf("not as the schema %q says: %w\n%s", name, err, text)
	}
	return nil
}

// isForPrograms reports whether a text begins like a document of the program's.
func isForPrograms(text string) bool {
	text = strings.TrimSpace(text)
	for _, begin := range []string{`{"schema":`, `[{"filename":`, `{"time":`} {
		if strings.HasPrefix(text, begin) {
			return true
		}
	}
	return false
}

// schemaName is the name of the schema of a document.
func schemaName(document any) string {
	object, ok := document.(map[string]any)
	if !ok {
		return "probe"
	}
	name, ok := object["schema"].(string)
	if !ok {
		return "hook"
	}
	return strings.TrimSuffix(strings.TrimPrefix(name, "chainfix/"), "/v1")
}

var strictSchemas sync.Map // by name

// strictSchema is a schema that allows no property that is not described.
func strictSchema(t testing.TB, name string) *validator.Schema {
	t.Helper()
	if s, ok := strictSchemas.Load(name); ok {
		return s.(*validator.Schema)
	}
	text, err := json.Marshal(schemaOf(t, name, true))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := compileSchema(name, text)
	if err != nil {
		t.Fatal(err)
	}
	strictSchemas.Store(name, compiled)
	return compiled
}

func compileSchema(name string, text []byte) (*validator.Schema, error) {
	document, err := validator.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	compiler := validator.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(name, document); err != nil {
		return nil, err
	}
	return compiler.Compile(name)
}

// scriptT runs scripts as testscript.Run does, and demands of all that they print for
// programs that it is valid.
type scriptT struct{ *testing.T }

// Run implements [testscript.T].
func (s scriptT) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { f(scriptT{t}) })
}

// Verbose makes the log of a script whole: of one that passes it has the sections' names
// alone, otherwise.
func (scriptT) Verbose() bool { return true }

// Log gets the log of a script, at its end.
func (s scriptT) Log(args ...any) {
	log := fmt.Sprint(args...)
	const mark = "[stdout]\n"
	for _, printed := range strings.Split(log, mark)[1:] {
		valid(s.T, printed)
	}
	switch {
	case testing.Verbose():
		s.T.Log(log)
	case strings.Contains(log, "\nFAIL: "):
		s.T.Log(log[strings.LastIndex(log, "\n# ")+1:])
	}
}

// TestInvalidJSONIsFound: JSON that does not conform to its schema is found, and other
// output is ignored.
func TestInvalidJSONIsFound(t *testing.T) {
	const line = `{"time":"2026-01-02T03:04:05Z","id":"a","guest":"g","operation":"start","sub-operation":"begin","level":"info","text":"x"}`
	for out, want := range map[string]string{
		"":                                     "",
		"text":                                 "",
		`{"other":1}`:                          "",
		line + "\n" + line + "\n> exec true\n": "",
		line + "\n" + strings.Replace(line, "info", "warn", 1):                          "level",
		strings.Replace(line, `"id"`, `"call"`, 1):                                      "call",
		`{"schema": "chainfix/runs/v1", "runs": []}`:                                    "",
		`{"schema": "chainfix/runs/v1", "runs": null}`:                                  "runs",
		`{"schema": "chainfix/runs/v1", "runs": [`:                                      "no JSON",
		`[{"filename":"a","signatures":[],"references":[],"findings":[]}]`:              "",
		`[{"filename":"a","signatures":["zip"],"references":[],"findings":[]}]`:         "signatures",
		`[{"filename":"a","signatures":[],"references":[],"findings":[],"dirty":true}]`: "dirty",
	} {
		err := validate(t, out)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", out, err, want)
		}
	}
}
