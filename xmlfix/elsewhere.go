package xmlfix

import (
	"encoding/xml"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// elsewhere is an image that a definition names in another place than a disk. What
// libvirt does with it, of a chain below it for one, is settled by the place; it has
// no <backingStore>, and is never edited.
type elsewhere struct {
	place string // the element: "loader"
	pos   Position
	text  strings.Builder
	// typed says that it is named by the <source>, and not by the text.
	typed     bool
	file, dev string
	format    string // that is stated; "" for none
}

// maxElsewhere bounds how many of them are looked at. A guest has four in its <os>, and
// libvirt allows two TPMs.
const maxElsewhere = 16

// tpmPlace is the place of the state of a TPM.
const tpmPlace = "tpm"

// osImages are the elements of <os> that name an image; libvirt reads the first of each.
var osImages = []string{"loader", "nvram", "kernel", "initrd"}

// isFirmware reports whether a format can be stated for the image.
func (e *elsewhere) isFirmware() bool { return e.place == "loader" || e.place == "nvram" }

// source is the image, if it is a local one that is named absolutely.
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

// startElsewhere opens an element that names an image, or is in one. Of those beyond the
// bound nothing is kept.
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

// kindElsewhere says what a child of an element is that may lead to an image outside of
// the disks.
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

// textElsewhere takes a text of an element that names an image. One that is too long
// names none.
func (p *parser) textElsewhere(t xml.CharData) {
	if p.image != nil && p.image.text.Len() <= MaxText {
		p.image.text.Write(t[:min(len(t), MaxText+1)])
	}
}
