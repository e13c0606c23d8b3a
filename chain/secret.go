package chain

import (
	"encoding/xml"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// secretHint shows the XML that an encrypted layer lacks. Where the XML does
// not state the layer at all, that is the whole <backingStore>, with those of
// the layers above that it does not state either: libvirt takes a secret for a
// backing image from nowhere else (9.0).
func (k *walk) secretHint(layer Layer) string {
	encryption := &libvirtxml.DomainDiskEncryption{
		Format:  "luks",
		Secrets: []libvirtxml.DomainDiskSecret{{Type: "passphrase", UUID: "UUID-OF-THE-SECRET"}},
	}
	const made = "; virsh secret-list shows the secrets"
	in := "state its secret in its <source>: " + fragment(encryption, "encryption") + made
	if k.states(layer.Source) {
		return in
	}
	var store *libvirtxml.DomainDiskBackingStore
	for i := len(k.chain.Layers) - 1; i > 0 && !k.states(k.chain.Layers[i].Source); i-- {
		above, format := k.chain.Layers[i], k.chain.Layers[i].Format
		if i == len(k.chain.Layers)-1 {
			format = layer.Format // which nobody may have stated yet
		}
		path, local := LocalPath(above.Source)
		if !local || shellWord(path) == "PATH" {
			return "state the image in the XML, and " + in
		}
		store = &libvirtxml.DomainDiskBackingStore{
			Format:       &libvirtxml.DomainDiskFormat{Type: format.LibvirtName()},
			Source:       localSource(path, above.Source.Block != nil),
			BackingStore: store,
		}
		store.Source.Slices = above.Source.Slices
		if i == len(k.chain.Layers)-1 {
			store.Source.Encryption = encryption
		}
	}
	return "state the image with its secret in the XML: " + fragment(store, "backingStore") + made
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
