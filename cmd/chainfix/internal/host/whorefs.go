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

// fileReference is the name of a file, of a folder or of an image on the network in libvirt's
// XML.
type fileReference struct {
	path     string
	protocol string // for an image on the network, with path as its name there
	element  string
	isFolder bool // the guest sees all that is in it
	isSocket bool // of the process that shows the guest a folder
	inDisk   bool
	byHand   bool // path is a QEMU command line option
}

// texts are the elements with free text.
var texts = []string{"title", "description", "metadata"}

// eachReference calls use with every absolute path in an XML text, wherever it
// is: in an attribute or the text of an element; with every image on the
// network, and with all QEMU command line options. It skips the elements with
// free text.
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
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					references(open, a.Name.Local, a.Value, use)
				}
			}
			if i := slices.IndexFunc(t.Attr, func(a xml.Attr) bool { return a.Name.Local == "protocol" }); i >= 0 {
				network(open, t.Attr[i].Value, t.Attr, use)
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

// references calls use with a value that is a path or a QEMU command line
// option.
func references(open []string, attribute, value string, use func(fileReference)) {
	ref := referenceIn(open, value)
	ref.byHand = slices.Contains(open, "commandline")
	inFolder := ref.element == "source" && slices.Contains(open, "filesystem")
	ref.isFolder = inFolder && attribute == "dir"
	ref.isSocket = inFolder && attribute == "socket"
	if ref.byHand || ref.isSocket || strings.HasPrefix(value, "/") {
		use(ref)
	}
}

// network calls use with an image on the network.
func network(open []string, protocol string, attributes []xml.Attr, use func(fileReference)) {
	for _, a := range attributes {
		if a.Name.Local == "name" {
			ref := referenceIn(open, a.Value)
			ref.protocol = protocol
			use(ref)
		}
	}
}

func referenceIn(open []string, path string) fileReference {
	return fileReference{path: path, element: open[len(open)-1], inDisk: slices.Contains(open, "disk")}
}
