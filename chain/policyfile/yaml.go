package policyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// reader reads one file. Its methods parse nodes and return an [*Error].
type reader struct{ name string }

func (r reader) failAt(line, column int, kind error, format string, args ...any) error {
	return &Error{Name: r.name, Line: line, Column: column, Err: kind, Detail: fmt.Sprintf(format, args...)}
}

func (r reader) fail(n *yaml.Node, kind error, format string, args ...any) error {
	return r.failAt(n.Line, n.Column, kind, format, args...)
}

// document returns the content of the only document, or nil.
func (r reader) document(data []byte) (*yaml.Node, error) {
	if err := r.characters(data); err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case err == io.EOF:
		return nil, nil
	case err != nil:
		return nil, r.syntax(err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, r.fail(&second, ErrSyntax, "a second document begins")
	case err != io.EOF:
		return nil, r.syntax(err)
	}
	if len(first.Content) != 1 {
		return nil, nil
	}
	content := first.Content[0]
	if content.Tag == "!!null" && content.Value == "" && r.plain(content) == nil {
		return nil, nil
	}
	return content, nil
}

// syntax adds the position to an error of the YAML library.
func (r reader) syntax(err error) error {
	line, column, text := 1, 1, err.Error()
	var at *yaml.LoadError
	if errors.As(err, &at) {
		line, column, text = max(at.Mark.Line, 1), max(at.Mark.Column, 1), at.Message
	}
	if quoted := strconv.Quote(text); strings.Contains(quoted, `\`) {
		text = quoted
	}
	return r.failAt(line, column, ErrSyntax, "%s", text)
}

// characters refuses a text that YAML parsers read differently: invalid UTF-8,
// control characters, and line ends of YAML 1.1 that are none in YAML 1.2 or
// an editor (NEL, LS, PS, a lone CR), after which a comment could continue as
// a statement. It also refuses directives, which change how the rest is
// parsed.
func (r reader) characters(data []byte) error {
	text := strings.TrimPrefix(string(data), "\ufeff")
	line, column := 1, 0
	marks := 0
	for i, c := range text {
		column++
		if strings.ContainsRune(":,-?\n", c) {
			if marks++; marks > MaxMarks {
				return r.failAt(line, column, ErrLimit, "it has more than %d colons, commas, dashes, question marks and lines", MaxMarks)
			}
		}
		switch {
		case c == utf8.RuneError && strings.HasPrefix(text[i:], "\ufffd"):
			// The replacement character itself.
		case c == utf8.RuneError:
			return r.failAt(line, column, ErrSyntax, "not UTF-8")
		case c == '%' && column == 1:
			return r.failAt(line, column, ErrSyntax, "a directive")
		case c == '\n':
			line, column = line+1, 0
		case c == '\t', c == '\r' && strings.HasPrefix(text[i:], "\r\n"):
		case unicode.IsControl(c), c == '\u2028', c == '\u2029', c == '\ufeff', c == '\ufffe', c == '\uffff':
			return r.failAt(line, column, ErrSyntax, "the character %U", c)
		}
	}
	return nil
}

// plain refuses features that make a node mean something else than it shows.
func (r reader) plain(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return r.fail(n, ErrSyntax, "an alias")
	case n.Anchor != "":
		return r.fail(n, ErrSyntax, "an anchor")
	case n.Style&yaml.TaggedStyle != 0, !strings.HasPrefix(n.Tag, "!!"):
		return r.fail(n, ErrSyntax, "a tag")
	case n.Tag == "!!merge":
		return r.fail(n, ErrSyntax, "a merge key")
	}
	return nil
}

// mapping returns the values of a mapping with only these keys.
func (r reader) mapping(n *yaml.Node, what string, keys ...string) (map[string]*yaml.Node, error) {
	if err := r.plain(n); err != nil {
		return nil, err
	}
	if n.Kind != yaml.MappingNode || n.Tag != "!!map" {
		return nil, r.fail(n, ErrValue, "%s must be a mapping with the keys %s", what, strings.Join(keys, ", "))
	}
	values := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if err := r.plain(key); err != nil {
			return nil, err
		}
		if key.Kind != yaml.ScalarNode || key.Tag != "!!str" || !slices.Contains(keys, key.Value) {
			return nil, r.fail(key, ErrKey, "%s is not a key of %s: %s", shown(key), what, strings.Join(keys, ", "))
		}
		if before, ok := values[key.Value]; ok {
			return nil, r.fail(key, ErrKey, "%q is already on line %d", key.Value, before.Line)
		}
		if err := r.plain(value); err != nil {
			return nil, err
		}
		values[key.Value] = value
	}
	return values, nil
}

// sequence returns the items of a sequence; none if n is nil, or if it has
// only comments instead of items.
func (r reader) sequence(n *yaml.Node, what string) ([]*yaml.Node, error) {
	if n == nil || n.Tag == "!!null" && n.Value == "" && r.plain(n) == nil {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode || n.Tag != "!!seq" {
		return nil, r.fail(n, ErrValue, "%s must be a list", what)
	}
	return n.Content, nil
}

// text returns a scalar that every YAML parser reads as text.
func (r reader) text(n *yaml.Node, what string) (string, error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", r.fail(n, ErrValue, "%s must be text", what)
	case n.Tag == "!!null":
		return "", r.fail(n, ErrValue, "%s has no value", what)
	case n.Tag != "!!str":
		return "", r.fail(n, ErrValue, "%s must be text; %s is something else to YAML: put it in quotes", what, shown(n))
	}
	return n.Value, nil
}

// shown quotes the value of a node, if it is short.
func shown(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || len(n.Value) > 80 {
		return "this"
	}
	return strconv.Quote(n.Value)
}
