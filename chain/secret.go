package chain

import (
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
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
	in := "state its secret in its <source>: " + storage.Fragment(encryption, "encryption") + made
	if k.states(layer.Source) {
		return in
	}
	var store *libvirtxml.DomainDiskBackingStore
	for i := len(k.chain.Layers) - 1; i > 0 && !k.states(k.chain.Layers[i].Source); i-- {
		above, format := k.chain.Layers[i], k.chain.Layers[i].Format
		if i == len(k.chain.Layers)-1 {
			format = layer.Format // which nobody may have stated yet
		}
		path, local := storage.LocalPath(above.Source)
		if !local || finding.ShellWord(path) == "PATH" {
			return "state the image in the XML, and " + in
		}
		store = &libvirtxml.DomainDiskBackingStore{
			Format:       &libvirtxml.DomainDiskFormat{Type: format.LibvirtName()},
			Source:       storage.LocalSource(path, above.Source.Block != nil),
			BackingStore: store,
		}
		store.Source.Slices = above.Source.Slices
		if i == len(k.chain.Layers)-1 {
			store.Source.Encryption = encryption
		}
	}
	return "state the image with its secret in the XML: " + storage.Fragment(store, "backingStore") + made
}
