package host

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/chainfix/chainfix/chain/strictxml"
	"github.com/chainfix/chainfix/xmlfix"
)

// maxFileName is the maximum length of a file name in bytes (NAME_MAX).
const maxFileName = 255

// identify returns the name and the UUID that a definition states, the first
// of each, as libvirt does. It stops as soon as possible: package xmlfix
// checks that the rest is well-formed.
func identify(definition []byte) (name, uuid string, err error) {
	// A strict reader would fail here without a name, while the guest's report
	// can say what is wrong and where.
	decoder := xml.NewTokenDecoder(strictxml.NewBoundedReader(definition, xmlfix.MaxDepth))
	root, err := element(decoder)
	if err != nil || root == nil {
		return "", "", fmt.Errorf("%w: it is not XML in UTF-8", ErrDefinition)
	}
	if root.Name.Local != "domain" {
		return "", "", fmt.Errorf("%w: its root element is %.100q", ErrDefinition, root.Name.Local)
	}
	found := map[string]*string{"name": &name, "uuid": &uuid}
	for len(found) > 0 {
		child, err := element(decoder)
		if err != nil {
			return "", "", fmt.Errorf("%w: it is not well-formed", ErrDefinition)
		}
		if child == nil {
			break
		}
		target := found[child.Name.Local]
		if target == nil || child.Name.Space != "" {
			err = decoder.Skip()
		} else {
			delete(found, child.Name.Local)
			err = decoder.DecodeElement(target, child)
		}
		if err != nil {
			return "", "", fmt.Errorf("%w: it is not well-formed", ErrDefinition)
		}
	}
	// libvirt derives file names from it.
	if name == "" || name == "." || name == ".." || len(name) > maxFileName || strings.ContainsAny(name, "/\x00") {
		return "", "", fmt.Errorf("%w: its name is %.*q", ErrDefinition, maxFileName, name)
	}
	if len(uuid) > maxFileName {
		return "", "", fmt.Errorf("%w: its <uuid> has %d bytes", ErrDefinition, len(uuid))
	}
	return name, strings.TrimSpace(uuid), nil
}

// element returns the next start tag; nil if the end of the parent, or of the
// text, comes first.
func element(decoder *xml.Decoder) (*xml.StartElement, error) {
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		}
	}
}

// readStatus extracts the live XML of a guest from libvirt's status file, a
// <domstatus>, which also shows block jobs (since libvirt 5.6).
func readStatus(status []byte) (live []byte, blockJob bool, err error) {
	broken := fmt.Errorf("%w: not the status of a running guest", ErrDefinition)
	reader := strictxml.NewBoundedReader(status, xmlfix.MaxDepth)
	decoder := xml.NewTokenDecoder(reader)
	root, err := element(decoder)
	if err != nil || root == nil || root.Name.Local != "domstatus" {
		return nil, false, broken
	}
	for {
		// White space and comments are skipped on the way to the tag.
		child, err := element(decoder)
		if err != nil {
			return nil, false, broken
		}
		if child == nil {
			break
		}
		tag := bytes.LastIndexByte(status[:reader.End()], '<')
		if err := decoder.Skip(); err != nil {
			return nil, false, broken
		}
		switch child.Name.Local {
		case "domain":
			live = status[tag:reader.End()]
		case "blockjobs":
			for _, a := range child.Attr {
				blockJob = blockJob || a.Name.Local == "active" && a.Value == "yes"
			}
		}
	}
	if live == nil {
		return nil, false, broken
	}
	return live, blockJob, nil
}
