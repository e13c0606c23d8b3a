package chain

import (
	"encoding/xml"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// secretHint shows the XML that an encrypted layer lacks. Where the XML does
// not state the layer at all, that is the whole <backingStore>: libvirt takes a
// secret for a backing image from nowhere else (9.0).
func (k *walk) secretHint(layer Layer) string {
	encryption := &libvirtxml.DomainDiskEncryption{
		Format:  "luks",
		Secrets: []libvirtxml.DomainDiskSecret{{Type: "passphrase", UUID: "UUID-OF-THE-SECRET"}},
	}
	const made = "; virsh secret-list shows the secrets"
	path, local := LocalPath(layer.Source)
	if k.states(layer.Source) || !local || shellWord(path) == "PATH" {
		return "state its secret in its <source>: " + fragment(encryption, "encryption") + made
	}
	src := localSource(path, layer.Source.Block != nil)
	src.Encryption = encryption
	return "state the image with its secret in the XML: " + fragment(&libvirtxml.DomainDiskBackingStore{
		Format: &libvirtxml.DomainDiskFormat{Type: layer.Format.LibvirtName()},
		Source: src,
	}, "backingStore") + made
}

// fragment prints a part of libvirt's XML on one line.
func fragment(v any, name string) string {
	var text strings.Builder
	e := xml.NewEncoder(&text)
	if err := e.EncodeElement(v, xml.StartElement{Name: xml.Name{Local: name}}); err != nil {
		return "<" + name + ">"
	}
	return text.String()
}
