package chain

import (
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// This file has what helps with an image that is missing, cannot be read, is
// broken, or is named wrongly.

var (
	stateChain = finding.Say("state the whole chain in the XML, with <backingStore/> at its end")
	restore    = finding.Say("restore it from a backup")
	tryAgain   = finding.Say("run chainfix again when nothing moves images about")
	// dataFileMissing is for a data file that does not exist, or cannot be one:
	// qemu-img gives an image another data file only while it can open the old
	// one.
	dataFileMissing = finding.Say("bring the data file back to where the header names it: without it there is no data")
)

// commandWord names an image to a program that is to work on it. A part of a
// file has no name that such programs take, and part of a name is none.
func commandWord(src *libvirtxml.DomainDiskSource) string {
	if _, part := storage.SliceOf(src); part || storage.Name(src) != storage.ShownName(src) {
		return "IMAGE"
	}
	return finding.ShellWord(storage.Name(src))
}

// lookRemedy says how to see what an image is. The name of one that is no local
// file says nothing to the command.
func lookRemedy(layer Layer) finding.Remedy {
	if _, local := layer.LocalPath(); !local {
		return finding.Remedy{}
	}
	return finding.Say("look at it: %s", finding.Command("chainfix probe "+commandWord(layer.At())))
}

// renameRemedy says how to make overlay name another backing image than it does,
// or the same in another way; what says which. qemu-img can write a new name into
// few formats.
func renameRemedy(overlay Layer, what string) finding.Remedy {
	if !overlay.Format.CanRename() {
		return finding.Say("make the overlay %s anew: no command writes another name into its header", storage.Describe(overlay.Source))
	}
	format := probe.Format("")
	if overlay.Header != nil && overlay.Header.Backing != nil {
		format = storage.ReadRecord(overlay.Header.Backing).Format
	}
	return finding.Say("%s: %s", what, rebase(overlay, format, "NAME"))
}

// otherNameRemedy says where another image has to be named in the place of the
// layer that was reached last: in the XML, in the header of its overlay, or both.
func (k *walk) otherNameRemedy(layer Layer) finding.Remedy {
	const right = "name the right one in the overlay"
	switch depth := len(k.chain.Layers) - 1; {
	case depth == 0:
		return finding.Say("name the right one in the XML, in the <source> of the disk: %s", k.edit())
	case !k.states(layer.Source):
		return renameRemedy(k.overlay(), right)
	case k.overlay().Header == nil || k.overlay().Header.Backing == nil:
		return finding.Say("mend its <backingStore> in the XML: %s", k.edit())
	}
	inOverlay := finding.Join("", renameRemedy(k.overlay(), right), k.fromOverlay())
	if k.overlayNames(layer) {
		return inOverlay
	}
	return finding.Say("mend its <backingStore> in the XML (%s), or %s", k.edit(), inOverlay)
}

// overlayNames reports whether the header above the layer that was reached last
// names it by the same name as the XML.
func (k *walk) overlayNames(layer Layer) bool {
	overlay := k.overlay()
	if overlay.Header == nil || overlay.Header.Backing == nil {
		return false
	}
	named, err := storage.ParseBacking(overlay.Header.Backing.Name, overlay.At())
	return err == nil && storage.Name(named) == storage.Name(layer.At())
}

// missingRemedy is for an image that does not exist.
func (k *walk) missingRemedy(layer Layer) finding.Remedy {
	return finding.Say("bring the image back, or %s", k.otherNameRemedy(layer))
}

// sliceRemedy is for a part of a file that lies outside of it.
func (k *walk) sliceRemedy(layer Layer) finding.Remedy {
	if k.states(layer.Source) {
		return finding.Say("mend the <slice> in the XML (%s), or bring the whole file back", k.edit())
	}
	return finding.Say("bring the whole file back, or %s", k.otherNameRemedy(layer))
}

// unreadableRemedy is for the layer that was reached last, which the system does
// not read.
func (k *walk) unreadableRemedy(layer Layer, err error) finding.Remedy {
	if _, local := layer.LocalPath(); !local {
		return k.orStateChain(finding.Say("reach its server from here"))
	}
	return errnoRemedy(err, k.otherNameRemedy(layer))
}

// errnoRemedy says what helps when a file cannot be read; rename is how to name
// another one.
func errnoRemedy(err error, rename finding.Remedy) finding.Remedy {
	switch errnoName(err) {
	case "EACCES", "EPERM":
		return finding.Say("run chainfix as a user who may read the image")
	case "ESTALE":
		return finding.Say("unmount its file system and mount it anew: its server does not know this file any more, for no user")
	case "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENOTCONN":
		return finding.Say("find out why the server of its file system does not answer; no other user gets an answer")
	case "EIO":
		return finding.Say("find out why the file system or the device cannot read it; no other user can")
	case "ELOOP":
		return finding.Say("mend the symlinks in its path, which lead round in a circle, or %s", rename)
	case "ENAMETOOLONG":
		return finding.Say("no file can have so long a name: %s", rename)
	case "ENOTDIR":
		return finding.Say("a part of its path is no folder: %s", rename)
	case "ENXIO", "ENODEV", "ENOMEDIUM":
		return finding.Say("attach the device, or put a medium in, or %s", rename)
	case "EMFILE", "ENFILE", "ENOMEM":
		return finding.Say("run chainfix again when the system has room")
	}
	return finding.Say("find out why the system does not read it; another user may be able to")
}

// orStateChain adds the way that is always open to what helps with an image that
// is not read, unless the XML states the whole chain already.
func (k *walk) orStateChain(remedy finding.Remedy) finding.Remedy {
	if k.stated.Terminated && !k.rewriting {
		return remedy
	}
	return finding.Join("; or ", remedy, stateChain)
}

// readRemedy says how a source can be read; one that was tried cannot.
func (k *walk) readRemedy(src *libvirtxml.DomainDiskSource, tried bool) finding.Remedy {
	flags := ""
	if n := src.Network; n != nil && !tried && n.Auth == nil && n.TLS != "yes" {
		switch storage.NetworkProtocol(n.Protocol).Read {
		case storage.ReadByNetwork:
			flags = "--network"
		case storage.ReadByQEMUImg:
			flags = "--network --qemu-img qemu-img"
		}
	}
	switch {
	case flags != "":
		return k.orStateChain(finding.Say("let its header be read: %s", finding.Command(flags)))
	case k.stated.Terminated && !k.rewriting:
		return finding.Remedy{} // all is stated that can be
	}
	return stateChain
}

// brokenRemedy is for an image whose header cannot be used.
func brokenRemedy(src *libvirtxml.DomainDiskSource, f probe.Format) finding.Remedy {
	command := "qemu-img info -f "
	if f.Checkable() {
		command = "qemu-img check -f "
	}
	return finding.Say("%s; QEMU says what is wrong with it: %s", restore, finding.Command(command+string(f)+" "+commandWord(src)))
}

// brokenRemedy is for the layer that was reached last. Where nothing but its
// signature suggests the format, it may be a raw disk.
func (k *walk) brokenRemedy(layer Layer) finding.Remedy {
	remedy := brokenRemedy(layer.At(), layer.HeaderFormat())
	if layer.From == Probe && layer.Source != k.stated.Layers[0].Source {
		return finding.Say(stateRaw, trustRemedy(layer.At(), probe.Raw), remedy)
	}
	return remedy
}
