package storage

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxNesting bounds the depth of a json: description. The deepest that libvirt
// reads has five levels; libvirt since 10.8 reads at most 32.
const maxNesting = 32

// object is a JSON object that keeps the order of its keys, which matters for
// dotted keys.
type object struct {
	keys   []string
	values map[string]any // string, json.Number, bool, nil, []any or *object
}

func newObject() *object { return &object{values: make(map[string]any)} }

func (o *object) add(key string, value any) error {
	if _, ok := o.values[key]; ok {
		return ErrDuplicate
	}
	o.keys = append(o.keys, key)
	o.values[key] = value
	return nil
}

// decodeObject parses a JSON object strictly. encoding/json uses the last of
// two equal keys and replaces invalid UTF-8 and lone surrogates; libvirt
// refuses equal keys, and its versions differ about the rest.
func decodeObject(text string) (*object, error) {
	malformed := fmt.Errorf("%w: it is not a JSON object", ErrBacking)
	switch {
	case !utf8.ValidString(text):
		return nil, malformed
	case !json.Valid([]byte(text)) && json.Valid(withoutNaN(text)):
		return nil, ErrNotANumber
	case !json.Valid([]byte(text)), halfSurrogate(text):
		return nil, malformed
	}
	d := decoder{json.NewDecoder(strings.NewReader(text))}
	d.UseNumber()
	value, err := d.value(maxNesting)
	if err != nil {
		return nil, err
	}
	if o, ok := value.(*object); ok {
		return o, nil
	}
	return nil, malformed
}

// withoutNaN returns JSON with NaN and Infinity outside of strings replaced by
// 0.
func withoutNaN(text string) []byte {
	var out []byte
	quoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case quoted && text[i] == '\\' && i+1 < len(text):
			out = append(out, text[i])
			i++
		case text[i] == '"':
			quoted = !quoted
		case !quoted && strings.HasPrefix(text[i:], "NaN"):
			out, i = append(out, '0'), i+len("NaN")-1
			continue
		case !quoted && strings.HasPrefix(text[i:], "Infinity"):
			out, i = append(out, '0'), i+len("Infinity")-1
			continue
		}
		out = append(out, text[i])
	}
	return out
}

// halfSurrogate reports whether valid JSON has the escape of a lone surrogate.
func halfSurrogate(text string) bool {
	half := func(s string) (high, low bool) {
		if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
			return false, false
		}
		n, err := strconv.ParseUint(s[2:6], 16, 16)
		return err == nil && n>>10 == 0xD800>>10, err == nil && n>>10 == 0xDC00>>10
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		high, low := half(text[i:])
		if high {
			_, low = half(text[i+6:])
			if !low {
				return true
			}
			i += 11
			continue
		}
		if low {
			return true
		}
		i++ // the escaped character may be a backslash
	}
	return false
}

// describedBy returns the driver of a json: name's outermost object; "" means
// that the object describes the file that contains the image.
func describedBy(name string) string {
	text, ok := strings.CutPrefix(name, "json:")
	if !ok || len(name) > maxBacking {
		return ""
	}
	o, err := decodeObject(text)
	if err != nil {
		return ""
	}
	driver, _ := o.values["driver"].(string)
	return driver
}

type decoder struct{ *json.Decoder }

// value decodes one value of valid JSON.
func (d decoder) value(depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("%w: it is not JSON", ErrBacking)
	}
	delimiter, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == 0 {
		return nil, fmt.Errorf("%w: it is nested too deeply", ErrBacking)
	}
	if delimiter == '[' {
		list := []any{}
		for d.More() {
			value, err := d.value(depth - 1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err := d.Token()
		return list, err
	}
	o := newObject()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		value, err := d.value(depth - 1)
		if err != nil {
			return nil, err
		}
		if err := o.add(key.(string), value); err != nil {
			return nil, ErrDuplicateKey
		}
	}
	_, err = d.Token()
	return o, err
}

// unflatten turns dotted keys into objects, as virJSONValueObjectDeflatten
// does (libvirt 9.0): {"a.b": 1} becomes {"a": {"b": 1}}. It does not change
// lists.
func (o *object) unflatten() (*object, error) {
	out := newObject()
	for _, key := range o.keys {
		if strings.Count(key, ".") > maxNesting {
			return nil, fmt.Errorf("%w: it is nested too deeply", ErrBacking)
		}
		if err := out.place(key, o.values[key]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (o *object) place(key string, value any) error {
	head, tail, dotted := strings.Cut(key, ".")
	if !dotted {
		if inner, ok := value.(*object); ok {
			unflattened, err := inner.unflatten()
			if err != nil {
				return err
			}
			value = unflattened
		}
		return o.add(key, value)
	}
	if _, ok := o.values[head]; !ok {
		if err := o.add(head, newObject()); err != nil {
			return err
		}
	}
	inner, ok := o.values[head].(*object)
	if !ok {
		return ErrDuplicate
	}
	return inner.place(tail, value)
}

// relist turns objects with the keys 0, 1 and so on into lists, as
// virJSONValueObjectDeflattenArrays does (libvirt 9.0).
func relist(value any) any {
	o, ok := value.(*object)
	if !ok {
		return value
	}
	for key, value := range o.values {
		o.values[key] = relist(value)
	}
	list := make([]any, len(o.keys))
	for i := range list {
		item, ok := o.values[strconv.Itoa(i)]
		if !ok {
			return o
		}
		list[i] = item
	}
	return list
}

// options takes the options of one JSON object, each once. An option of the
// wrong type, which libvirt would treat as absent, is an error; the first
// error is kept.
type options struct {
	values map[string]any
	err    error
}

func (o *options) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

// take returns an option and removes it; the zero T if it is absent.
func take[T any](o *options, key string) T {
	value, ok := o.values[key]
	delete(o.values, key)
	typed, is := value.(T)
	if ok && !is {
		o.fail(fmt.Errorf("%w: %q is of the wrong type", ErrBacking, key))
	}
	return typed
}

func (o *options) has(key string) bool {
	_, ok := o.values[key]
	return ok
}

// text takes an option that is absent or a string.
func (o *options) text(key string) string { return take[string](o, key) }

// name takes a required string, which must not be empty.
func (o *options) name(key string) string {
	s := o.text(key)
	if s == "" {
		o.fail(fmt.Errorf("%w: it has no %q", ErrBacking, key))
	}
	return s
}

// object takes a required option that is an object.
func (o *options) object(key string) *options {
	inner := take[*object](o, key)
	if inner == nil {
		o.fail(fmt.Errorf("%w: it has no %q", ErrBacking, key))
		return &options{}
	}
	return &options{values: inner.values}
}

// number takes a required number of at most limit, written only with digits,
// as libvirt requires.
func (o *options) number(key string, limit uint64) uint64 {
	return o.parse(key, take[json.Number](o, key).String(), limit)
}

func (o *options) parse(key, text string, limit uint64) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > limit {
		o.fail(fmt.Errorf("%w: %q is not a number from 0 to %d", ErrBacking, key, limit))
	}
	return n
}

// done refuses the options that were not taken, because libvirt drops them.
func (o *options) done() {
	keys := slices.Sorted(maps.Keys(o.values))
	for _, key := range keys {
		if slices.Contains(credentials, key) {
			o.fail(unmapped(key))
		}
	}
	if len(keys) > 0 {
		o.fail(unmapped(keys[0]))
	}
}
