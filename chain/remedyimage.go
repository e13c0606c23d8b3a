package chain

import (
	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// Hints about images that are missing, unreadable, broken or wrongly named.

var (
	stateChain = finding.Say("state the whole chain in the XML, with <backingStore/> at its end")
	restore    = finding.Say("restore it from a backup")
	tryAgain   = finding.Say("run chainfix again when nothing moves images any more")
	// dataFileMissing is for a data file that does not exist or is not a file:
	// qemu-img can give an image another data file only while it can open the old
	// one.
	dataFileMissing = finding.Say("restore the data file under the name in the header: without it the data is lost")
)

// commandWord returns the shell word for an image in a command, or IMAGE if it
// has no name that programs take: a slice of a file, or a name that is not
// shown in full.
func commandWord(src *libvirtxml.DomainDiskSource) string {
	if _, part := storage.SliceOf(src); part || storage.Name(src) != storage.ShownName(src) {
		return "IMAGE"
	}
	return finding.ShellWord(storage.Name(src))
}

// lookRemedy says how to examine an image with chainfix probe, which takes
// only local files.
func lookRemedy(layer Layer) finding.Remedy {
	if _, local := layer.LocalPath(); !local {
		return finding.Remedy{}
	}
	return finding.Say("look at it: %s", finding.Command("chainfix probe "+commandWord(layer.At())))
}

// renameRemedy says how to write another backing file name into overlay; what
// says which name. qemu-img can do that for few formats.
func renameRemedy(overlay Layer, what string) finding.Remedy {
	if !overlay.Format.CanRename() {
		return finding.Say("create the overlay %s again: no command can change the name in its header", storage.Describe(overlay.Source))
	}
	format := probe.Format("")
	if overlay.Header != nil && overlay.Header.Backing != nil {
		format = storage.ReadRecord(overlay.Header.Backing).Format
	}
	return finding.Say("%s: %s", what, rebase(overlay, format, "NAME"))
}

// otherNameRemedy says where to name another image instead of the last layer:
// in the XML, in the overlay's header, or both.
func (k *walk) otherNameRemedy(layer Layer) finding.Remedy {
	const right = "name the right one in the overlay"
	switch depth := len(k.chain.Layers) - 1; {
	case depth == 0:
		return finding.Say("name the right one in the XML, in the <source> of the disk: %s", k.edit())
	case !k.states(layer.Source):
		return renameRemedy(k.overlay(), right)
	case k.overlay().Header == nil || k.overlay().Header.Backing == nil:
		return finding.Say("correct its <backingStore> in the XML: %s", k.edit())
	}
	inOverlay := finding.Join("", renameRemedy(k.overlay(), right), k.fromOverlay())
	if k.overlayNames(layer) {
		return inOverlay
	}
	return finding.Say("correct its <backingStore> in the XML (%s), or %s", k.edit(), inOverlay)
}

// overlayNames reports whether the overlay's header has the same name for the
// last layer as the XML.
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
	return finding.Say("restore the image, or %s", k.otherNameRemedy(layer))
}

// sliceRemedy is for a slice that lies outside of its file.
func (k *walk) sliceRemedy(layer Layer) finding.Remedy {
	if k.states(layer.Source) {
		return finding.Say("correct the <slice> in the XML (%s), or restore the whole file", k.edit())
	}
	return finding.Say("restore the whole file, or %s", k.otherNameRemedy(layer))
}

// unreadableRemedy is for the last layer, if the system could not read it.
func (k *walk) unreadableRemedy(layer Layer, err error) finding.Remedy {
	if _, local := layer.LocalPath(); !local {
		return k.orStateChain(finding.Say("make its server reachable from this host"))
	}
	return errnoRemedy(err, k.otherNameRemedy(layer))
}

// errnoRemedy says what to do about a file that cannot be read; rename says
// how to name another file.
func errnoRemedy(err error, rename finding.Remedy) finding.Remedy {
	switch errnoName(err) {
	case "EACCES", "EPERM":
		return finding.Say("run chainfix as a user who may read the image")
	case "ESTALE":
		return finding.Say("unmount its file system and mount it again: its server no longer knows this file, for any user")
	case "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENOTCONN":
		return finding.Say("find out why the server of its file system does not answer; no other user gets an answer")
	case "EIO":
		return finding.Say("find out why the file system or the device cannot read it; no other user can")
	case "ELOOP":
		return finding.Say("correct the symlinks in its path, which form a loop, or %s", rename)
	case "ENAMETOOLONG":
		return finding.Say("its name is longer than a file name can be: %s", rename)
	case "ENOTDIR":
		return finding.Say("a part of its path is not a folder: %s", rename)
	case "ENXIO", "ENODEV", "ENOMEDIUM":
		return finding.Say("attach the device, or put a medium in, or %s", rename)
	case "EMFILE", "ENFILE", "ENOMEM":
		return finding.Say("run chainfix again when the system has free resources")
	}
	return finding.Say("find out why the system cannot read it; another user may be able to")
}

// orStateChain adds, for an image that is not read, the hint to state the
// whole chain in the XML, unless the XML already does.
func (k *walk) orStateChain(remedy finding.Remedy) finding.Remedy {
	if k.stated.Terminated && !k.rewriting {
		return remedy
	}
	return finding.Join("; or ", remedy, stateChain)
}

// readRemedy says which flags make chainfix read a source; tried says that
// reading failed.
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
		return finding.Remedy{} // the XML states all it can
	}
	return stateChain
}

// brokenRemedy is for an image with a broken header.
func brokenRemedy(src *libvirtxml.DomainDiskSource, f probe.Format) finding.Remedy {
	command := "qemu-img info -f "
	if f.Checkable() {
		command = "qemu-img check -f "
	}
	return finding.Say("%s; QEMU shows what is wrong with it: %s", restore, finding.Command(command+string(f)+" "+commandWord(src)))
}

// brokenRemedy is for the last layer. If only its signature suggests the
// format, it may be a raw disk.
func (k *walk) brokenRemedy(layer Layer) finding.Remedy {
	remedy := brokenRemedy(layer.At(), layer.HeaderFormat())
	if layer.From == Probe && layer.Source != k.stated.Layers[0].Source {
		return finding.Say(stateRaw, trustRemedy(layer.At(), probe.Raw), remedy)
	}
	return remedy
}
