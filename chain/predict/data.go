package predict

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// checkDataFiles checks the other files that hold the data of an image whose format
// somebody stated: QEMU opens them on the header's word. found tells that
// libvirt reads the header.
func (p *predictor) checkDataFiles(layer chain.Layer, h *probe.Header, found bool) error {
	if h.DataFile != nil || layer.Source.DataStore != nil {
		if err := p.dataIn(layer, h, found); err != nil {
			return err
		}
	}
	if len(h.Extents) == 0 {
		return nil
	}
	name, local := layer.LocalPath()
	for i, extent := range h.Extents {
		file := extent.Name
		if i > 0 && file == h.Extents[i-1].Name {
			continue // a line that counts thousands of times
		}
		if !strings.HasPrefix(file, "/") {
			if !local {
				break
			}
			file = storage.Directory(name) + file
		}
		if _, err := p.Identify(p.ctx, storage.LocalSource(file, false)); errors.Is(err, fs.ErrNotExist) {
			return p.qemu("Could not open " + strconv.Quote(file) + ", an extent of " + storage.Describe(layer.Source) + ": No such file or directory")
		}
	}
	p.remark("QEMU opens the files in which " + storage.Describe(layer.Source) + " has its data, such as " + strconv.Quote(storage.Printable(h.Extents[0].Name)) +
		", on the header's word: libvirt knows nothing of them, and with security labels the guest does not start")
	return nil
}

// dataIn checks the external data file of a qcow2 image.
func (p *predictor) dataIn(layer chain.Layer, h *probe.Header, found bool) error {
	what := storage.Describe(layer.Source)
	if store := layer.Source.DataStore; store != nil && p.does(libvirt.DataStores) {
		if h.DataFile == nil {
			return p.qemu("QEMU refuses " + what + ": the XML has a data file for it, which its header does not ask for")
		}
		return p.mustExist(what, store.Source)
	}
	if h.DataFile == nil {
		return nil
	}
	name := h.DataFile.Name
	quoted := strconv.Quote(storage.Printable(name))
	switch {
	case name == "":
		return p.qemu("QEMU refuses " + what + ": it has its data in another file and does not say in which")
	case p.does(libvirt.DataStores) && found && !storage.LooksLikeFile(name):
		p.misopens("libvirt takes " + quoted + ", the data file of " + what + ", for a description of another place, QEMU for a file's name")
		return nil
	case p.does(libvirt.DataStores) && found:
		if file, ok := p.path(layer, name); ok {
			return p.mustExist(what, storage.LocalSource(file, false))
		}
		return nil
	case !strings.HasPrefix(name, "/"):
		// QEMU takes it for a plain file name (QEMU 7.2.13 and 9.1), and starts from
		// the directory in which libvirt starts it.
		if _, err := p.Identify(p.ctx, storage.LocalSource("/"+name, false)); err == nil {
			p.misopens("QEMU looks for " + quoted + ", the data file of " + what + ", in its own working directory, /")
			return nil
		}
		return p.qemu("Could not open " + quoted + ", the data file of " + what + ", which QEMU looks for in its own working directory: No such file or directory")
	}
	if err := p.mustExist(what, storage.LocalSource(name, false)); err != nil {
		return err
	}
	p.remark("QEMU opens " + quoted + ", the data file of " + what + ", on the header's word: libvirt does not tell it, and with security labels or a name space the guest does not start")
	return nil
}

// mustExist refuses a data file that is missing.
func (p *predictor) mustExist(of string, src *libvirtxml.DomainDiskSource) error {
	if _, err := p.Identify(p.ctx, src); errors.Is(err, fs.ErrNotExist) {
		return p.qemu("Could not open " + storage.Describe(src) + ", the data file of " + of + ": No such file or directory")
	}
	return nil
}
