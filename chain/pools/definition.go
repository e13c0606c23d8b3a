package pools

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/strictxml"
)

// ErrDefinition is returned for a text that is not the definition of one storage
// pool, or not one that libvirt and this package are sure to read alike.
var ErrDefinition = errors.New("not the definition of a storage pool")

// pool is a storage pool, as far as the places of its volumes depend on it.
type pool struct {
	name   string
	kind   kind
	target string // the path below which the volumes are; "" if the kind has none
	source libvirtxml.StoragePoolSource
}

// parse reads a definition by the rules of virStoragePoolDefParseXML (libvirt
// 9.0). Its errors hold nothing of the text but the pool's name and type: there
// may be a password in it.
func parse(definition []byte) (*pool, error) {
	if len(definition) > MaxDefinition {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrDefinition, MaxDefinition)
	}
	if err := unambiguous(definition); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDefinition, err)
	}
	var stated libvirtxml.StoragePool
	if xml.Unmarshal(definition, &stated) != nil {
		return nil, fmt.Errorf("%w: an element has a value of the wrong kind", ErrDefinition)
	}
	kind, ok := kinds[stated.Type]
	if !ok {
		return nil, fmt.Errorf("%w: its type %q is unknown", ErrDefinition, stated.Type)
	}
	p := &pool{name: stated.Name, kind: kind}
	if stated.Source != nil {
		p.source = *stated.Source
	}
	if kind.named {
		// Each of the two names stands in for the other.
		if p.name == "" {
			p.name = p.source.Name
		}
		if p.source.Name == "" {
			p.source.Name = p.name
		}
	}
	if !plainName(p.name) {
		return nil, fmt.Errorf("%w: %q is no name of one", ErrDefinition, p.name)
	}
	if kind.target == nil {
		return p, nil
	}
	p.target = kind.target(&stated, p.source.Name)
	if !strings.HasPrefix(p.target, "/") || !plain(p.target) {
		return nil, fmt.Errorf("%w: the target path of %q is %q", ErrDefinition, p.name, p.target)
	}
	p.target = sanitize(p.target)
	return p, nil
}

// repeatable are the elements that a definition may have more than once in one
// place. Of every other libvirt takes the first, and package encoding/xml the
// last.
var repeatable = map[string]bool{"host": true, "device": true, "freeExtent": true}

// options are the namespaces of the elements that hold options of a pool's
// backend. libvirt looks up everything else without a namespace.
var options = map[string]bool{
	"http://libvirt.org/schemas/storagepool/fs/1.0":  true,
	"http://libvirt.org/schemas/storagepool/rbd/1.0": true,
}

// limits are how deep elements may be nested, as in libxml2, and how many
// attributes one may have; real pools have ten.
var limits = strictxml.Limits{Depth: 256, Attrs: 256}

// unambiguous refuses what libxml2 would, and what it and package encoding/xml do
// not read alike: an element that is there twice; an element or attribute that has
// a namespace; an element within the text of a name.
func unambiguous(text []byte) error {
	type element struct {
		name string
		seen map[string]bool
	}
	var open []element
	reader := strictxml.NewReader(text, limits)
	decoder := xml.NewTokenDecoder(reader)
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("line %d: %s", reader.Line(), fmt.Sprintf(format, args...))
	}
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return malformed(err, reader.Line())
		}
		switch t := token.(type) {
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.StartElement:
			name := t.Name.Local
			if len(open) == 1 && options[t.Name.Space] {
				if err := decoder.Skip(); err != nil {
					return malformed(err, reader.Line())
				}
				continue
			}
			if t.Name.Space != "" {
				return refuse("the element %q has a namespace", name)
			}
			for _, a := range t.Attr {
				if a.Name.Space != "" && a.Name.Space != "xmlns" {
					return refuse("the attribute %q has a namespace", a.Name.Local)
				}
			}
			if len(open) == 0 {
				if name != "pool" {
					return refuse("the root element is not one <pool>")
				}
			} else {
				parent := open[len(open)-1]
				switch {
				case parent.name == "name", parent.name == "path", parent.name == "uuid":
					return refuse("an element within the text of <%s>", parent.name)
				case parent.seen[name] && !repeatable[name]:
					return refuse("a second <%s>", name)
				}
				parent.seen[name] = true
			}
			open = append(open, element{name, make(map[string]bool)})
		}
	}
}

// malformed is what a reader's error says of a definition. The text of the
// decoder's own is not repeated: it may quote a password.
func malformed(err error, line int) error {
	var e *strictxml.Error
	switch {
	case !errors.As(err, &e), e.Decoder:
		return fmt.Errorf("line %d is not well-formed XML in UTF-8", line)
	case e.Kind == strictxml.ErrAmbiguous:
		return fmt.Errorf("line %d: it has a DOCTYPE", line)
	}
	return fmt.Errorf("line %d: %s", line, e.Detail)
}

// plain reports whether s is text that libvirt and a domain XML hand on
// unchanged: not empty, and without control characters.
func plain(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
}

// plainName reports whether s can be the name of a pool or of a volume, which
// libvirt makes a name in a folder of.
func plainName(s string) bool {
	return plain(s) && s != "." && s != ".." && !strings.Contains(s, "/")
}

// sanitize is virFileSanitizePath of an absolute path: of several slashes one
// stays, and none at the end, but two at the start do.
func sanitize(path string) string {
	names := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	clean := "/" + strings.Join(names, "/")
	if strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///") {
		clean = "/" + clean
	}
	return clean
}
