package chain

import (
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// This file has what helps with an image whose data are in other files or
// encrypted, and with one that has to be copied.

// ownCopy is for an image that one guest reads and another writes.
var ownCopy = finding.Say("do not let both guests run, and give one of them its own copy of the image: qemu-img convert")

// newName is what a copy of an image may be called.
func newName(layer Layer) string {
	word := commandWord(layer.At())
	path, local := layer.LocalPath()
	if !local || word == "IMAGE" || word == "PATH" {
		return "NEW"
	}
	return finding.ShellWord(path + ".qcow2")
}

// nameCopy goes on after a command that writes a copy of the layer that was
// reached last: whatever named the image has to name the copy.
func (k *walk) nameCopy(layer Layer) finding.Remedy {
	if len(k.chain.Layers) == 1 {
		return finding.Say(", and name the copy in the XML (%s), with %s", k.edit(), driverElement(probe.Qcow2))
	}
	overlay := k.overlay()
	if !overlay.Format.CanRecord(probe.Qcow2) {
		return finding.Say(", and make the overlay %s anew on the copy", storage.Describe(overlay.Source))
	}
	then := finding.Say(" && %s", rebase(overlay, probe.Qcow2, newName(layer)))
	if k.states(layer.Source) {
		return finding.Join("", then, k.fromOverlay())
	}
	return then
}

// convertRemedy is for an image whose data are in other files. The command reads
// its backing image too, of which QEMU must not have to guess the format.
func (k *walk) convertRemedy(layer Layer, h *probe.Header) finding.Remedy {
	what := finding.Say("bring the data into one file")
	if h.Backing != nil && storage.ReadRecord(h.Backing).Format == "" {
		layer.Header = h
		what = finding.Say("record the format of its backing image, %s, and then %s", renameRemedy(layer, "as a name with a format"), what)
	}
	convert := finding.Command("qemu-img convert -f " + string(layer.Format) + " -O qcow2 " + commandWord(layer.At()) + " " + newName(layer))
	return finding.Say("%s: %s%s", what, convert, k.nameCopy(layer))
}

// decryptRemedy is for the old encryption. A comma in an option is doubled.
func (k *walk) decryptRemedy(layer Layer) finding.Remedy {
	word := commandWord(layer.At())
	if path, local := layer.LocalPath(); local && word != "IMAGE" {
		word = finding.ShellWord("driver=" + string(layer.Format) + ",encrypt.key-secret=s,file.filename=" + strings.ReplaceAll(path, ",", ",,"))
	}
	convert := finding.Command("qemu-img convert --object secret,id=s,file=FILE --image-opts " + word + " -O qcow2 " + newName(layer))
	return finding.Say("convert it, its password being in FILE: %s%s", convert, k.nameCopy(layer))
}

// mergeRemedy is for a differencing image.
func (k *walk) mergeRemedy() finding.Remedy {
	where := "the XML"
	if len(k.chain.Layers) > 1 {
		where = "the overlay"
	}
	return finding.Say("merge it into its parent with the program that made it, and name the result in %s", where)
}

// dataFileRemedy is for an image that keeps its data in another file: for a libvirt
// that knows data files, how to name it, and for every other one how to do without.
// With state, the format of the image has to be stated for that.
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
		return finding.Say("if libvirt is 10.10 or newer, say so: %s; else %s", remedy, convert)
	}
	return remedy
}

// amendRemedy says how to give a data file another name.
func amendRemedy(layer Layer) finding.Remedy {
	return finding.Say("name the data file absolutely, from the folder that its name starts in: %s",
		finding.Command("qemu-img amend -f qcow2 -o data_file=PATH "+commandWord(layer.At())))
}

// secretRemedy shows the XML that an encrypted layer lacks. Where the XML does
// not state the layer at all, that is the whole <backingStore>, with those of
// the layers above that it does not state either: libvirt takes a secret for a
// backing image from nowhere else (libvirt 9.0).
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
			format = layer.Format // which nobody may have stated yet
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
