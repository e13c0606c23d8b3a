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

// ErrDefinition is returned for a text that is not the definition of one
// storage pool, or that libvirt and this package might read differently.
var ErrDefinition = errors.New("not the definition of a storage pool")

// pool has the parts of a storage pool that determine where its volumes are.
type pool struct {
	name   string
	kind   kind
	target string // the folder of the volumes; "" if the kind has none
	source libvirtxml.StoragePoolSource
}

// parse parses a definition by the rules of virStoragePoolDefParseXML (libvirt
// 9.0). Its errors quote only the pool's name and type, because the text may
// contain a password.
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
		// Each of the two names is the default of the other.
		if p.name == "" {
			p.name = p.source.Name
		}
		if p.source.Name == "" {
			p.source.Name = p.name
		}
	}
	if !plainName(p.name) {
		return nil, fmt.Errorf("%w: %q is not a valid name", ErrDefinition, p.name)
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

// repeatable are the elements that a definition may repeat in one place. Of
// any other repeated element libvirt uses the first, and package encoding/xml
// the last.
var repeatable = map[string]bool{"host": true, "device": true, "freeExtent": true}

// options are the namespaces of the elements with options of a pool's backend.
// libvirt looks up everything else without a namespace.
var options = map[string]bool{
	"http://libvirt.org/schemas/storagepool/fs/1.0":  true,
	"http://libvirt.org/schemas/storagepool/rbd/1.0": true,
}

// limits bound the nesting of elements, as in libxml2, and the attributes of
// one element; real pools have ten.
var limits = strictxml.Limits{Depth: 256, Attrs: 256}

// unambiguous refuses what libxml2 would, and what libxml2 and package
// encoding/xml read differently: a repeated element; an element or attribute
// with a namespace; an element within the text of a name.
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

// malformed turns a reader's error into one about the definition. It does not
// repeat the decoder's text, which may quote a password.
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

// plain reports whether libvirt and a domain XML keep s unchanged: not empty,
// and without control characters.
func plain(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
}

// plainName reports whether s can be the name of a pool or of a volume, which
// libvirt uses as a file name.
func plainName(s string) bool {
	return plain(s) && s != "." && s != ".." && !strings.Contains(s, "/")
}

// sanitize is virFileSanitizePath for an absolute path: it reduces repeated
// slashes to one and removes trailing ones, but keeps exactly two at the
// start.
func sanitize(path string) string {
	names := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	clean := "/" + strings.Join(names, "/")
	if strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///") {
		clean = "/" + clean
	}
	return clean
}
