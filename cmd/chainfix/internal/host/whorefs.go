package host

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/chain/strictxml"
	"github.com/chainfix/chainfix/xmlfix"
)

// fileReference is the name of a file, or of a folder, in libvirt's XML.
type fileReference struct {
	path     string
	element  string
	isFolder bool // the guest sees all that is in it
	inDisk   bool
	byHand   bool // it is in an option that QEMU is given as it is
}

// texts are the elements that hold what people write.
var texts = []string{"title", "description", "metadata"}

// eachReference calls use with every absolute path in an XML text, wherever it is: in an
// attribute or the text of an element. The elements that people write into are no part of it.
func eachReference(text []byte, use func(fileReference)) error {
	decoder := xml.NewTokenDecoder(strictxml.NewBoundedReader(text, xmlfix.MaxDepth))
	var open []string
	var content strings.Builder
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: it is not well-formed", ErrDefinition)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if slices.Contains(texts, t.Name.Local) {
				if err := decoder.Skip(); err != nil {
					return fmt.Errorf("%w: it is not well-formed", ErrDefinition)
				}
				continue
			}
			content.Reset()
			open = append(open, t.Name.Local)
			for _, a := range t.Attr {
				references(open, a.Name.Local, a.Value, use)
			}
		case xml.CharData:
			content.Write(t)
		case xml.EndElement:
			if s := strings.TrimSpace(content.String()); s != "" {
				references(open, "", s, use)
			}
			content.Reset()
			open = open[:len(open)-1]
		}
	}
}

// references calls use with the paths in a value: the value itself, or in what is handed to
// QEMU as it is each of its parts.
func references(open []string, attribute, value string, use func(fileReference)) {
	element := open[len(open)-1]
	ref := fileReference{path: value, element: element, inDisk: slices.Contains(open, "disk")}
	ref.byHand = slices.Contains(open, "commandline")
	ref.isFolder = element == "source" && attribute == "dir" && slices.Contains(open, "filesystem")
	if !ref.byHand {
		if strings.HasPrefix(value, "/") {
			use(ref)
		}
		return
	}
	// A comma in a name is doubled; inside JSON quotes end it.
	for _, part := range append([]string{value}, strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(`,="'{}[] :`, r) })...) {
		if ref.path = part; strings.HasPrefix(part, "/") {
			use(ref)
		}
	}
}
