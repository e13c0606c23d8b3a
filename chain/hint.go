package chain

import (
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// rawIf is when an image is to be stated raw, whatever its header says.
const rawIf = " if a guest has or had it as a raw disk, else "

// trustHint says how to state a format on the command line, looksLike being
// what the image's header speaks for.
func trustHint(src *libvirtxml.DomainDiskSource, looksLike probe.Format) string {
	raw := trustChoices("state what it is: ", src, probe.Raw)
	if looksLike.LibvirtName() == "" || looksLike == probe.Raw {
		return raw
	}
	return raw + rawIf + trustFlag(src, looksLike)
}

// trustAny says how to state one of several formats, of those that the header
// bears out; without one it says none.
func (k *walk) trustAny(layer Layer, formats []probe.Format, none string) string {
	var flags []string
	for _, f := range formats {
		if f.LibvirtName() != "" && k.fits(layer, f) {
			flags = append(flags, trustFlag(layer.At(), f))
		}
	}
	if len(flags) == 0 {
		return none
	}
	return strings.Join(flags, " or ")
}

// fits reports whether an image can be read as one of format, for all that is
// known. One on the network is not read again for that.
func (k *walk) fits(layer Layer, format probe.Format) bool {
	if path, local := layer.LocalPath(); !local || !strings.HasPrefix(path, "/") {
		return true
	}
	layer.Format = format
	l, err := k.Look(k.ctx, layer.At(), layer.HeaderFormat())
	return err != nil || l.HeaderErr == nil
}

// formatHint is for an image that the XML and its overlay state to be of
// different formats: one that the image's header denies is no choice.
func (k *walk) formatHint(stated Layer, recorded probe.Format) string {
	switch xml, header := k.fits(stated, stated.Format), k.fits(stated, recorded); {
	case header && !xml:
		return k.refreshHint()
	case xml && !header:
		return keepHint + "; and mend the record: " + rebaseCommand(k.chain.Layers[len(k.chain.Layers)-1], stated.Format)
	}
	return k.chooseHint()
}

// fromOverlay goes on where an overlay's header was mended and the XML says
// something else.
func (k *walk) fromOverlay() string { return ", and rebuild the chain from it: " + k.refreshFlags() }

const keepHint = "keep what the XML says: --keep-xml"

// chooseHint is for an XML and a header that differ.
func (k *walk) chooseHint() string {
	return "decide which is right; " + k.refreshHint() + "; or " + keepHint
}

func (k *walk) refreshHint() string { return "rebuild the chain from the headers: " + k.refreshFlags() }

// refreshFlags make the headers win. Then a format that only the XML states is
// none, and what the header of such an image names is not followed: so it has to
// be confirmed.
func (k *walk) refreshFlags() string {
	flags := "--refresh"
	for i, only := range k.onlyXML {
		if layer := k.chain.Layers[i]; only && layer.Header != nil && (layer.Header.Backing != nil || layer.Header.DataFile != nil) {
			flags += " " + trustFlag(layer.At(), layer.Format)
		}
	}
	return flags
}

// trustChoices says how to state one format. What people are not shown of a
// name they have to fill in.
func trustChoices(what string, src *libvirtxml.DomainDiskSource, format probe.Format) string {
	if format == "" {
		format = probe.Raw
	}
	if name := storage.Name(src); name != storage.ShownName(src) {
		what = strings.TrimSuffix(what, ": ") + ", with the whole query in its name: "
	}
	return what + trustFlag(src, format)
}

func trustFlag(src *libvirtxml.DomainDiskSource, format probe.Format) string {
	return "--trust " + finding.ShellWord(storage.ShownName(src)+"="+string(format))
}

// stateHint says how to settle the format of an image below overlay that nobody
// has recorded: by a statement, or, which is better, by a record in the overlay.
func stateHint(src *libvirtxml.DomainDiskSource, overlay Layer, looksLike probe.Format) string {
	return trustHint(src, looksLike) + recordToo(overlay, looksLike)
}

// recordToo adds the better way to a statement, where there is one: to record
// the format in the overlay itself.
func recordToo(overlay Layer, format probe.Format) string {
	if overlay.Header == nil || overlay.Header.Backing == nil || !overlay.Format.CanRecord(format) {
		return ""
	}
	return "; or record it in the overlay for good: " + rebaseCommand(overlay, format)
}

// unrecordedHint says how to settle the format of the layer that was reached
// last, if nobody has recorded it. What a look at it showed tells which statement
// would be refused in its turn, and what to do instead.
func (k *walk) unrecordedHint(layer Layer, l *image.View) string {
	format := l.Candidate()
	if format == "" {
		return trustChoices("state what it is: ", layer.At(), probe.Raw) + rawIf + k.trustAny(layer, l.Formats(), restoreHint)
	}
	if way := k.insteadOf(layer, l, format); way != "" {
		return trustChoices("state what it is: ", layer.At(), "") + rawIf + way
	}
	return stateHint(layer.At(), k.overlay(), format)
}

// insteadOf says what helps with an image that would be refused if it were
// stated to be of format, which its header speaks for; "" if it would not be.
func (k *walk) insteadOf(layer Layer, l *image.View, format probe.Format) string {
	layer.Format = format
	if format == probe.LUKS {
		layer.Format = probe.Raw // with an <encryption>
		return k.secretHint(layer)
	}
	switch h := l.Header; {
	case format == probe.Raw:
		return ""
	case l.HeaderErr != nil:
		return restoreHint
	case h == nil:
		return ""
	case len(h.Extents) > 0:
		return k.convertHint(layer, h)
	case h.Parent != nil:
		return k.mergeHint()
	case h.Encryption == probe.AES:
		return k.decryptHint(layer)
	case h.Encryption != probe.Plain && layer.Source.Encryption == nil:
		return k.secretHint(layer)
	case h.DataFile != nil:
		return k.dataFileHint(layer, h, true)
	case h.Backing != nil:
		layer.Header = h
		if _, err := storage.ParseBacking(h.Backing.Name, layer.At()); err != nil {
			if _, hint := refusalOf(err, layer); hint != "" {
				return trustFlag(layer.At(), format) + ", and of what it names itself, " + hint
			}
		}
	}
	return ""
}

// commandWord names an image to a program that is to work on it. A part of a
// file has no name that such programs take, and part of a name is none.
func commandWord(src *libvirtxml.DomainDiskSource) string {
	if _, part := storage.SliceOf(src); part || storage.Name(src) != storage.ShownName(src) {
		return "IMAGE"
	}
	return finding.ShellWord(storage.Name(src))
}

// rebaseCommand records format for the backing image that overlay's header
// names, without touching any data. A name with a protocol may hold a password
// and becomes NAME.
func rebaseCommand(overlay Layer, format probe.Format) string {
	word := "PATH"
	if overlay.Header != nil && overlay.Header.Backing != nil {
		word = "NAME"
		if name := overlay.Header.Backing.Name; storage.LooksLikeFile(name) {
			word = finding.ShellWord(name)
		}
	}
	return rebase(overlay, format, word)
}

// rebaseTo makes overlay's header name the layer that the XML names.
func rebaseTo(overlay, backing Layer) string {
	return rebase(overlay, backing.Format, commandWord(backing.At()))
}

// rebase names the backing image by a word for the shell.
func rebase(overlay Layer, format probe.Format, word string) string {
	recorded := string(format)
	if recorded == "" {
		recorded = "FORMAT"
	}
	return "qemu-img rebase -u -f " + string(overlay.Format) + " -F " + recorded + " -b " + word + " " + commandWord(overlay.At())
}

// renameHint says how to make overlay name another backing image than it does,
// or the same in another way; what says which. qemu-img can write a new name into
// few formats.
func renameHint(overlay Layer, what string) string {
	if !overlay.Format.CanRename() {
		return "make the overlay " + storage.Describe(overlay.Source) + " anew: no command writes another name into its header"
	}
	format := probe.Format("")
	if overlay.Header != nil && overlay.Header.Backing != nil {
		format = storage.ReadRecord(overlay.Header.Backing).Format
	}
	return what + ": " + rebase(overlay, format, "NAME")
}

func (k *walk) guest() string { return finding.GuestWord(k.stated.Guest) }

// editHint says what to change in the definition.
func (k *walk) editHint(change string) string {
	return "correct it in the XML (virsh edit " + k.guest() + "): " + change
}

// driverElement and formatElement state a format in the XML, for the top and for
// a layer below.
func driverElement(f probe.Format) string {
	return "<driver name='qemu' type='" + f.LibvirtName() + "'/>"
}
func formatElement(f probe.Format) string {
	return "<format type='" + f.LibvirtName() + "'/> in its <backingStore>"
}

// otherNameHint says where another image has to be named in the place of the
// layer that was reached last: in the XML, in the header of its overlay, or both.
func (k *walk) otherNameHint(layer Layer) string {
	const right = "name the right one in the overlay"
	depth := len(k.chain.Layers) - 1
	switch {
	case depth == 0:
		return "name the right one in the XML, in the <source> of the disk: virsh edit " + k.guest()
	case !k.states(layer.Source):
		return renameHint(k.overlay(), right)
	case k.overlay().Header == nil || k.overlay().Header.Backing == nil:
		return "mend its <backingStore> in the XML: virsh edit " + k.guest()
	}
	inOverlay := renameHint(k.overlay(), right) + k.fromOverlay()
	if k.overlayNames(layer) {
		return inOverlay
	}
	return "mend its <backingStore> in the XML (virsh edit " + k.guest() + "), or " + inOverlay
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

// missingHint is for an image that is not there.
func (k *walk) missingHint(layer Layer) string {
	return "bring the image back, or " + k.otherNameHint(layer)
}

// dataFileMissingHint is for a data file that is not there, or cannot be one;
// qemu-img gives an image another data file only while it can open the old one.
const dataFileMissingHint = "bring the data file back to where the header names it: without it there is no data"

// unreadableHint is for the layer that was reached last, which the system does
// not read.
func (k *walk) unreadableHint(layer Layer, err error) string {
	if _, local := layer.LocalPath(); !local {
		return k.orStateChain("reach its server from here")
	}
	return errnoHint(err, k.otherNameHint(layer))
}

// errnoHint says what helps when a file cannot be read; rename is how to name
// another one.
func errnoHint(err error, rename string) string {
	switch errnoName(err) {
	case "EACCES", "EPERM":
		return "run chainfix as a user who may read the image"
	case "ESTALE":
		return "unmount its file system and mount it anew: its server does not know this file any more, for no user"
	case "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENOTCONN":
		return "find out why the server of its file system does not answer; no other user gets an answer"
	case "EIO":
		return "find out why the file system or the device cannot read it; no other user can"
	case "ELOOP":
		return "mend the symlinks in its path, which lead round in a circle, or " + rename
	case "ENAMETOOLONG":
		return "no file can have so long a name: " + rename
	case "ENOTDIR":
		return "a part of its path is no folder: " + rename
	case "ENXIO", "ENODEV", "ENOMEDIUM":
		return "attach the device, or put a medium in, or " + rename
	case "EMFILE", "ENFILE", "ENOMEM":
		return "run chainfix again when the system has room"
	}
	return "find out why the system does not read it; another user may be able to"
}

const (
	stateChainHint = "state the whole chain in the XML, with <backingStore/> at its end"
	restoreHint    = "restore it from a backup"
	againHint      = "run chainfix again when nothing moves images about"
)

// orStateChain adds the way that is always open to what helps with an image that
// is not read, unless the XML states the whole chain already.
func (k *walk) orStateChain(hint string) string {
	if k.stated.Terminated && !k.strayed {
		return hint
	}
	return hint + "; or " + stateChainHint
}

// newName is what a copy of an image may be called.
func newName(layer Layer) string {
	word := commandWord(layer.At())
	path, local := layer.LocalPath()
	if !local || word == "IMAGE" || word == "PATH" {
		return "NEW"
	}
	return finding.ShellWord(path + ".qcow2")
}

// nameCopyHint goes on after a command that writes a copy of the layer that was
// reached last: whatever named the image has to name the copy.
func (k *walk) nameCopyHint(layer Layer) string {
	if len(k.chain.Layers) == 1 {
		return ", and name the copy in the XML (virsh edit " + k.guest() + "), with " + driverElement(probe.Qcow2)
	}
	overlay := k.overlay()
	if !overlay.Format.CanRecord(probe.Qcow2) {
		return ", and make the overlay " + storage.Describe(overlay.Source) + " anew on the copy"
	}
	then := " && " + rebase(overlay, probe.Qcow2, newName(layer))
	if k.states(layer.Source) {
		return then + k.fromOverlay()
	}
	return then
}

// convertHint is for an image whose data are in other files. The command reads
// its backing image too, of which QEMU must not have to guess the format.
func (k *walk) convertHint(layer Layer, h *probe.Header) string {
	what := "bring the data into one file: "
	if h.Backing != nil && storage.ReadRecord(h.Backing).Format == "" {
		layer.Header = h
		what = "record the format of its backing image, " + renameHint(layer, "as a name with a format") + ", and then bring the data into one file: "
	}
	return what + "qemu-img convert -f " + string(layer.Format) + " -O qcow2 " + commandWord(layer.At()) + " " + newName(layer) + k.nameCopyHint(layer)
}

// decryptHint is for the old encryption. A comma in an option is doubled.
func (k *walk) decryptHint(layer Layer) string {
	word := commandWord(layer.At())
	if path, local := layer.LocalPath(); local && word != "IMAGE" {
		word = finding.ShellWord("driver=" + string(layer.Format) + ",encrypt.key-secret=s,file.filename=" + strings.ReplaceAll(path, ",", ",,"))
	}
	return "convert it, its password being in FILE: qemu-img convert --object secret,id=s,file=FILE --image-opts " + word + " -O qcow2 " +
		newName(layer) + k.nameCopyHint(layer)
}

// mergeHint is for a differencing image.
func (k *walk) mergeHint() string {
	where := "the XML"
	if len(k.chain.Layers) > 1 {
		where = "the overlay"
	}
	return "merge it into its parent with the program that made it, and name the result in " + where
}

// dataFileHint is for an image that keeps its data in another file: for a libvirt
// that can be told, how it is told, and for every other one how to do without.
// With trust, the format of the image has to be stated for that.
func (k *walk) dataFileHint(layer Layer, h *probe.Header, trust bool) string {
	convert := k.convertHint(layer, h)
	target := k.Policy.Target
	_, local := layer.LocalPath()
	if target.Known() && target.Before(libvirt.DataStores.Since) || !local {
		return convert
	}
	var flags []string
	if trust {
		flags = append(flags, trustFlag(layer.At(), layer.Format))
	}
	if !target.Known() {
		flags = append(flags, "--target-libvirt 10.10")
	}
	say := strings.Join(flags, " ")
	if h.DataFile.CutAtNUL || !strings.HasPrefix(h.DataFile.Name, "/") || !storage.Representable(h.DataFile.Name) {
		if say != "" {
			say += ", and "
		}
		say += amendHint(layer)
	}
	switch {
	case !target.Known():
		return "if libvirt is 10.10 or newer, say so: " + say + "; else " + convert
	case say == "":
		return ""
	}
	return say
}

// amendHint says how to give a data file another name.
func amendHint(layer Layer) string {
	return "name the data file absolutely, from the folder that its name starts in: qemu-img amend -f qcow2 -o data_file=PATH " + commandWord(layer.At())
}

// chooseStatedHint is for an image of which two definitions state different
// formats.
func (k *walk) chooseStatedHint(layer Layer, a, b DiskFormat) string {
	edit := func(of DiskFormat) string {
		if of.Guest == "" {
			return "virsh edit " + k.guest()
		}
		return "virsh edit " + finding.GuestWord(of.Guest)
	}
	return "state what it is: " + k.trustAny(layer, []probe.Format{a.Format, b.Format}, trustFlag(layer.At(), probe.Raw)) +
		"; or mend the definition that is wrong: " + edit(a) + " or " + edit(b)
}

// brokenHint is for an image whose header cannot be used.
func brokenHint(src *libvirtxml.DomainDiskSource, f probe.Format) string {
	command := "qemu-img info -f "
	if f.Checkable() {
		command = "qemu-img check -f "
	}
	return restoreHint + "; QEMU says what is wrong with it: " + command + string(f) + " " + commandWord(src)
}

// mismatchHint is for an image that is not of the format that somebody states,
// like being what its header speaks for, if that is known.
func (k *walk) mismatchHint(layer Layer, like probe.Format) string {
	look := lookHint(layer)
	if like.LibvirtName() == "" || like == layer.Format {
		if look == "" {
			return restoreHint
		}
		return look + "; if it is lost, " + restoreHint
	}
	if look != "" {
		look += "; "
	}
	depth := len(k.chain.Layers) - 1
	switch {
	case layer.From == Trust:
		return look + "if the statement is wrong, state what the image is: " + trustFlag(layer.At(), like)
	case layer.From == Libvirt:
		return look + "if the other guest's definition is wrong, mend that, or state what the image is: " + trustFlag(layer.At(), like)
	case depth == 0:
		return look + "if the XML is wrong, " + k.editHint(driverElement(like))
	case layer.From == Header:
		return look + correctRecord(k.overlay(), like, "")
	case k.overlay().Header != nil && k.overlay().Header.Backing != nil && storage.ReadRecord(k.overlay().Header.Backing).Format == layer.Format:
		return look + correctRecord(k.overlay(), like, k.fromOverlay())
	}
	return look + "if the XML is wrong, " + k.editHint(formatElement(like))
}

// correctRecord says how to record another format than the overlay does.
func correctRecord(overlay Layer, format probe.Format, then string) string {
	if !overlay.Format.CanRecord(format) {
		return "make the overlay anew: its header has no room for another record"
	}
	return "if the record is wrong, mend it: " + rebaseCommand(overlay, format) + then
}
