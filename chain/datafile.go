package chain

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// dataStoreSince is the libvirt that introduced <dataStore>. An older one
// ignores the element without a word (9.0).
var dataStoreSince = Version{10, 10, 0}

// dataFile deals with an image that keeps its data in another file, or whose
// XML says so. QEMU opens that file on the header's word alone, unless the XML
// names it by a <dataStore>; and of a chain that the XML ends, libvirt no
// longer looks for it (10.10).
func (k *walk) dataFile(layer Layer) bool {
	what := Describe(layer.Source)
	stated := layer.Source.DataStore
	if layer.Header.DataFile == nil {
		k.refuse(DataFileConflict, "the XML has a <dataStore> for "+what+", whose header names no data file: QEMU refuses that",
			"remove the <dataStore> from the XML")
		return false
	}
	name := layer.Header.DataFile.Name
	keeps := what + " keeps its data in another file, " + strconv.Quote(printable(name))
	convert := "bring the data into one file: qemu-img convert -O qcow2"
	_, local := layer.local()
	switch target := k.Policy.Target; {
	case target.Known() && target.Before(dataStoreSince):
		k.refuse(DataFile, keeps+", which libvirt "+target.String()+" cannot be told and QEMU opens on the header's word", convert)
		return false
	case !target.Known() && stated == nil:
		k.refuse(DataFile, keeps+", which libvirt before 10.10 cannot be told and QEMU opens on the header's word",
			"if libvirt is 10.10 or newer, say so: --target-libvirt 10.10; else "+convert)
		return false
	case !local:
		k.refuse(DataFile, keeps+", and is itself no local file, so that it cannot be told where that is", convert)
		return false
	case layer.Header.DataFile.CutAtNUL, !strings.HasPrefix(name, "/"), !representable(name):
		k.refuse(DataFile, keeps+", which is no plain absolute path: libvirt and QEMU would look for it in different places",
			"name it absolutely: qemu-img amend -f qcow2 -o data_file=PATH, from the folder that it is relative to")
		return false
	}
	id, err := k.Opener.Identify(k.ctx, localSource(name, false))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.refuse(ImageMissing, keeps+", which does not exist", "bring the data file back: without it there is no data")
		return false
	case errors.Is(err, ErrNotImage):
		k.refuse(NotAnImage, keeps+", which is "+ErrNotImage.Error(), "")
		return false
	case err != nil:
		k.refuse(ImageUnreadable, keeps+", which cannot be looked at: "+strconv.Quote(reason(err)), "run chainfix as a user who may read the image")
		return false
	}
	if stated != nil && !k.disputeDataFile(layer, name, id) {
		return !k.refused()
	}
	told := *layer.Source
	told.DataStore = &libvirtxml.DomainDiskDataStore{
		Format: &libvirtxml.DomainDiskFormat{Type: "raw"},
		Source: localSource(name, id.Block),
	}
	layer.Source = &told
	k.chain.Layers[len(k.chain.Layers)-1] = layer
	k.incomplete = true
	return true
}

// disputeDataFile compares the data file in the XML with the one in the header,
// name. It reports whether the header's is to be written.
func (k *walk) disputeDataFile(layer Layer, name string, id FileID) bool {
	store := layer.Source.DataStore
	if path, ok := LocalPath(store.Source); ok {
		if path == name {
			return false
		}
		if other, err := k.Opener.Identify(k.ctx, store.Source); err == nil && other == id {
			return false
		}
	}
	text := "the XML names " + Describe(store.Source) + " as the data file of " + Describe(layer.Source) + ", but its header " + strconv.Quote(name)
	switch {
	case k.Policy.Refresh:
		k.find(DataFileConflict, Warn, text+"; the header wins", "")
		return true
	case k.Policy.KeepXML:
		k.find(ChainKept, Warn, text+"; the XML wins", "")
		return false
	}
	k.refuse(DataFileConflict, text, chooseHint)
	return false
}
