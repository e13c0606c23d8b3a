package xmlfix

import (
	"encoding/xml"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// elsewhere is an image that a definition names outside of its disks. The
// element that names it decides how libvirt opens it, and whether it follows a
// backing chain; it cannot have a <backingStore>, and is never edited.
type elsewhere struct {
	place string // the element: "loader"
	pos   Position
	text  strings.Builder
	// typed says that a <source> names the image, and not the text.
	typed     bool
	file, dev string
	format    string // stated format, or ""
}

// maxElsewhere bounds how many of them are checked. A guest has four in its
// <os>, and libvirt allows two TPMs.
const maxElsewhere = 16

// tpmPlace is the element with the state of a TPM.
const tpmPlace = "tpm"

// osImages are the elements of <os> that name an image; libvirt reads the first of each.
var osImages = []string{"loader", "nvram", "kernel", "initrd"}

// isFirmware reports whether the XML can state a format for the image.
func (e *elsewhere) isFirmware() bool { return e.place == "loader" || e.place == "nvram" }

// source returns the image, if it is local with an absolute path.
func (e *elsewhere) source() (*libvirtxml.DomainDiskSource, bool) {
	path := e.text.String()
	if e.typed {
		path = e.file + e.dev
	}
	switch {
	case !strings.HasPrefix(path, "/"), len(path) > MaxText, e.file != "" && e.dev != "":
		return nil, false
	case e.dev != "":
		return &libvirtxml.DomainDiskSource{Block: &libvirtxml.DomainDiskSourceBlock{Dev: path}}, true
	}
	return &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}, true
}

// startElsewhere opens an element that names an image, or is inside of one. It
// ignores those beyond maxElsewhere.
func (p *parser) startElsewhere(k kind, t xml.StartElement, start int) {
	value := func(name string) string {
		for _, a := range t.Attr {
			if a.Name.Space == "" && a.Name.Local == name {
				return a.Value
			}
		}
		return ""
	}
	switch {
	case k == elsewhereImage && len(p.doc.elsewhere) < maxElsewhere:
		p.pos = p.pos.after(p.doc.data[p.pos.Offset:start])
		e := &elsewhere{place: t.Name.Local, pos: p.pos, format: value("format"), typed: value("type") != "" && t.Name.Local == "nvram"}
		if t.Name.Local == "source" {
			e.place, e.typed, e.format = tpmPlace, true, ""
			if value("type") == "file" {
				e.file = value("path")
			}
		}
		p.doc.elsewhere = append(p.doc.elsewhere, e)
		p.image = e
	case k == elsewhereImage:
		p.image = nil
	case k == elsewhereSource && p.image != nil:
		p.image.file, p.image.dev = value("file"), value("dev")
	}
}

// kindElsewhere returns the kind of a child of an element that may contain an
// image outside of the disks.
func (p *parser) kindElsewhere(parent kind, name string) kind {
	switch {
	case parent == osElement && slices.Contains(osImages, name) && !p.hasElsewhere(name):
		return elsewhereImage
	case parent == elsewhereImage && name == "source":
		return elsewhereSource
	case parent == devices && name == "tpm":
		return tpm
	case parent == tpm && name == "backend":
		return tpmBackend
	case parent == tpmBackend && name == "source":
		return elsewhereImage
	}
	return other
}

func (p *parser) hasElsewhere(place string) bool {
	return slices.ContainsFunc(p.doc.elsewhere, func(e *elsewhere) bool { return e.place == place })
}

// textElsewhere adds text of an element that names an image. A text that is
// too long names none.
func (p *parser) textElsewhere(t xml.CharData) {
	if p.image != nil && p.image.text.Len() <= MaxText {
		p.image.text.Write(t[:min(len(t), MaxText+1)])
	}
}
