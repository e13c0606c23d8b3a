package chain

import (
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// Hints about images that are encrypted, that keep their data in other files,
// or that have to be copied.

// ownCopy is for an image that one guest reads and another writes.
var ownCopy = finding.Say("do not let both guests run, and give one of them its own copy of the image: qemu-img convert")

// newName suggests a name for a copy of an image.
func newName(layer Layer) string {
	word := commandWord(layer.At())
	path, local := layer.LocalPath()
	if !local || word == "IMAGE" || word == "PATH" {
		return "NEW"
	}
	return finding.ShellWord(path + ".qcow2")
}

// nameCopy continues the hint after a command that copies the last layer: the
// XML or overlay that named the image has to name the copy.
func (k *walk) nameCopy(layer Layer) finding.Remedy {
	if len(k.chain.Layers) == 1 {
		return finding.Say(", and name the copy in the XML (%s), with %s", k.edit(), driverElement(probe.Qcow2))
	}
	overlay := k.overlay()
	if !overlay.Format.CanRecord(probe.Qcow2) {
		return finding.Say(", and create the overlay %s again on the copy", storage.Describe(overlay.Source))
	}
	then := finding.Say(" && %s", rebase(overlay, probe.Qcow2, newName(layer)))
	if k.states(layer.Source) {
		return finding.Join("", then, k.fromOverlay())
	}
	return then
}

// convertRemedy is for an image with its data in other files. The command also
// reads the backing image, so its format must be recorded.
func (k *walk) convertRemedy(layer Layer, h *probe.Header) finding.Remedy {
	what := finding.Say("convert it into a single file")
	if h.Backing != nil && storage.ReadRecord(h.Backing).Format == "" {
		layer.Header = h
		what = finding.Say("record the format of its backing image, %s, and then %s", renameRemedy(layer, "as a name with a format"), what)
	}
	convert := finding.Command("qemu-img convert -f " + string(layer.Format) + " -O qcow2 " + commandWord(layer.At()) + " " + newName(layer))
	return finding.Say("%s: %s%s", what, convert, k.nameCopy(layer))
}

// decryptRemedy is for the old AES encryption. A comma in an option has to be
// doubled.
func (k *walk) decryptRemedy(layer Layer) finding.Remedy {
	word := commandWord(layer.At())
	if path, local := layer.LocalPath(); local && word != "IMAGE" {
		word = finding.ShellWord("driver=" + string(layer.Format) + ",encrypt.key-secret=s,file.filename=" + strings.ReplaceAll(path, ",", ",,"))
	}
	convert := finding.Command("qemu-img convert --object secret,id=s,file=FILE --image-opts " + word + " -O qcow2 " + newName(layer))
	return finding.Say("convert it, with its password in FILE: %s%s", convert, k.nameCopy(layer))
}

// mergeRemedy is for a differencing image.
func (k *walk) mergeRemedy() finding.Remedy {
	where := "the XML"
	if len(k.chain.Layers) > 1 {
		where = "the overlay"
	}
	return finding.Say("merge it into its parent with the program that made it, and name the result in %s", where)
}

// dataFileRemedy is for an image that keeps its data in another file: how to
// name that file for a libvirt that supports data files, and how to do without
// for the others. With state, the hint also says to state the image's format.
func (k *walk) dataFileRemedy(layer Layer, h *probe.Header, state bool) finding.Remedy {
	convert := k.convertRemedy(layer, h)
	target := k.Policy.Target
	_, local := layer.LocalPath()
	if target.Known() && target.Before(libvirt.DataStores.Since) || !local {
		return convert
	}
	var flags, amend finding.Remedy
	if state {
		flags = trust(layer.At(), layer.Format)
	}
	if !target.Known() {
		flags = finding.Join(" ", flags, finding.Command("--target-libvirt 10.10"))
	}
	if h.DataFile.CutAtNUL || !strings.HasPrefix(h.DataFile.Name, "/") || !storage.Representable(h.DataFile.Name) {
		amend = amendRemedy(layer)
	}
	remedy := finding.Join(", and ", flags, amend)
	if !target.Known() {
		return finding.Say("if libvirt is 10.10 or newer, say so: %s; otherwise %s", remedy, convert)
	}
	return remedy
}

// amendRemedy says how to give a data file another name.
func amendRemedy(layer Layer) finding.Remedy {
	return finding.Say("give the data file an absolute name, in the folder that its relative name refers to: %s",
		finding.Command("qemu-img amend -f qcow2 -o data_file=PATH "+commandWord(layer.At())))
}

// secretRemedy shows the XML that an encrypted layer lacks. If the XML does
// not state the layer at all, it shows the whole <backingStore>, including the
// unstated layers before it: libvirt reads the secret of a backing image only
// from there (libvirt 9.0).
func (k *walk) secretRemedy(layer Layer) finding.Remedy {
	encryption := &libvirtxml.DomainDiskEncryption{
		Format:  "luks",
		Secrets: []libvirtxml.DomainDiskSecret{{Type: "passphrase", UUID: "UUID-OF-THE-SECRET"}},
	}
	made := finding.Say("%s shows the secrets", finding.Command("virsh secret-list"))
	in := finding.Say("state its secret in its <source>: %s; %s", storage.Fragment(encryption, "encryption"), made)
	if k.states(layer.Source) {
		return in
	}
	var store *libvirtxml.DomainDiskBackingStore
	for i := len(k.chain.Layers) - 1; i > 0 && !k.states(k.chain.Layers[i].Source); i-- {
		above, format := k.chain.Layers[i], k.chain.Layers[i].Format
		if i == len(k.chain.Layers)-1 {
			format = layer.Format // may be unstated
		}
		path, local := storage.LocalPath(above.Source)
		if !local || finding.ShellWord(path) == "PATH" {
			return finding.Say("state the image in the XML, and %s", in)
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
	return finding.Say("state the image with its secret in the XML: %s; %s", storage.Fragment(store, "backingStore"), made)
}
