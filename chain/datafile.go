package chain

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
)

// dataFile checks an image that keeps its data in another file, according to
// its header or to the XML. QEMU opens the file that the header names, unless
// the XML names one with <dataStore>; libvirt 10.10 does not look for data
// files in a chain that the XML terminates. It reports whether the walk
// continues.
func (k *walk) dataFile(layer Layer) bool {
	what := storage.Describe(layer.Source)
	stated := layer.Source.DataStore
	if layer.Header.DataFile == nil {
		return k.dataStoreWithoutFile(layer)
	}
	header := layer.Header.DataFile.Name
	keeps := what + " keeps its data in another file, " + strconv.Quote(storage.Printable(header))
	path, local := layer.LocalPath()
	switch target := k.Policy.Target; {
	case target.Known() && !libvirt.DataStores.Holds(target):
		k.refuse(finding.DataFile, keeps+", which the XML of libvirt "+target.String()+" cannot name and QEMU opens because the header names it", k.convertRemedy(layer, layer.Header))
		return false
	case !target.Known() && stated == nil:
		k.refuse(finding.DataFile, keeps+", which the XML of libvirt before 10.10 cannot name and QEMU opens because the header names it",
			k.dataFileRemedy(layer, layer.Header, k.onlyXMLSays()))
		return false
	case !local && stated == nil:
		k.refuse(finding.DataFile, keeps+", but is not a local file, so the location of that file is unknown", k.convertRemedy(layer, layer.Header))
		return false
	}
	name, relative := header, !strings.HasPrefix(header, "/")
	if relative && local && stated != nil && storage.LooksLikeFile(header) {
		name = storage.Directory(path) + header // as libvirt reads it
	}
	if layer.Header.DataFile.CutAtNUL || !strings.HasPrefix(name, "/") || !storage.Representable(name) {
		k.refuseRelativeDataFile(layer, keeps)
		return false
	}
	if k.onlyXMLSays() && !names(stated, name) {
		k.refuse(finding.DataFile, keeps+", which is not touched, because only the XML says that the image is "+string(layer.Format), k.confirmRemedy(layer))
		return false
	}
	id, err := k.Identify(k.ctx, storage.LocalSource(name, false))
	if stated != nil {
		switch {
		case names(stated, name) || k.isDataFile(stated.Source, id, err):
			return k.checkDataFile(keeps, err)
		case relative && k.disagreement() == HeadersWin:
			k.refuseRelativeDataFile(layer, keeps)
			return false
		case !k.headerWins(layer, storage.LocalSource(name, id.Block), err == nil):
			return !k.refused()
		}
	}
	if !k.checkDataFile(keeps, err) {
		return false
	}
	k.setDataStore(layer, &libvirtxml.DomainDiskDataStore{
		Format: &libvirtxml.DomainDiskFormat{Type: "raw"},
		Source: storage.LocalSource(name, id.Block),
	})
	return true
}

// refuseRelativeDataFile refuses a data file without a plain absolute path.
func (k *walk) refuseRelativeDataFile(layer Layer, keeps string) {
	k.refuse(finding.DataFile, keeps+", which is not a plain absolute path: libvirt and QEMU would look for it in different places",
		amendRemedy(layer))
}

// setDataStore sets the data store of the last layer; nil removes it.
func (k *walk) setDataStore(layer Layer, store *libvirtxml.DomainDiskDataStore) {
	source := *layer.Source
	source.DataStore = store
	layer.Source = &source
	k.chain.Layers[len(k.chain.Layers)-1] = layer
	k.incomplete = true
}

// dataStoreWithoutFile refuses a <dataStore> for an image without a data file,
// or removes it. QEMU refuses to open such an image.
func (k *walk) dataStoreWithoutFile(layer Layer) bool {
	text := "the XML has a <dataStore> for " + storage.Describe(layer.Source) + ", whose header names no data file: QEMU refuses that"
	if k.disagreement() != HeadersWin {
		k.refuse(finding.DataFileConflict, text, finding.Say("remove the <dataStore> from the XML (%s); or %s", k.edit(), k.refreshRemedy()))
		return false
	}
	k.note(finding.DataFileConflict, finding.Warn, text+"; the header wins")
	k.setDataStore(layer, nil)
	return true
}

// checkDataFile refuses a data file that could not be identified, for the reason
// err.
func (k *walk) checkDataFile(keeps string, err error) bool {
	switch {
	case err == nil:
		return true
	case k.refuseUnanswered(keeps+", which", err):
	case errors.Is(err, fs.ErrNotExist):
		k.refuse(finding.ImageMissing, keeps+", which does not exist", dataFileMissing)
	case errors.Is(err, storage.ErrNotImage):
		k.refuse(finding.NotAnImage, keeps+", which is "+storage.ErrNotImage.Error(), dataFileMissing)
	default:
		k.refuse(finding.ImageUnreadable, keeps+", which cannot be examined: "+strconv.Quote(storage.Reason(err)), errnoRemedy(err, dataFileMissing))
	}
	return false
}

// names reports whether the <dataStore> in the XML has this name.
func names(store *libvirtxml.DomainDiskDataStore, name string) bool {
	if store == nil {
		return false
	}
	path, ok := storage.LocalPath(store.Source)
	return ok && path == name
}

// isDataFile reports whether the XML's data file is another name of the one in
// the header, which has this id, or which could not be identified because of
// err.
func (k *walk) isDataFile(stated *libvirtxml.DomainDiskSource, id storage.FileID, err error) bool {
	if _, local := storage.LocalPath(stated); !local {
		return false
	}
	other, otherErr := k.Identify(k.ctx, stated)
	return err == nil && otherErr == nil && other == id
}

// headerWins resolves the conflict of an XML and a header that name different
// data files. It reports whether the header's is used.
func (k *walk) headerWins(layer Layer, headers *libvirtxml.DomainDiskSource, there bool) bool {
	stated := layer.Source.DataStore.Source
	text := "the XML names " + storage.Describe(stated) + " as the data file of " + storage.Describe(layer.Source) +
		", but its header " + strconv.Quote(layer.Header.DataFile.Name)
	return k.resolveConflict(conflict{code: finding.DataFileConflict, text: text,
		misopens: there && k.isThere(stated) && !k.sameBytes(stated, headers)}) == winnerHeader
}
