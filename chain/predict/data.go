package predict

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
)

// checkDataFiles checks the other files with the data of an image with a
// stated format: QEMU opens them because the header names them. walks says
// that libvirt reads the header.
func (p *predictor) checkDataFiles(layer chain.Layer, l *image.View, walks bool) error {
	h := l.Header
	if h.DataFile != nil || layer.Source.DataStore != nil {
		if err := p.dataIn(layer, l, walks); err != nil {
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
			continue // one line may describe thousands of extents
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
	p.remark("QEMU opens the data files of " + storage.Describe(layer.Source) + ", such as " + strconv.Quote(storage.Printable(h.Extents[0].Name)) +
		", because its header names them: libvirt does not know of them, and with security labels the guest does not start")
	return nil
}

// dataIn checks the external data file of a qcow2 image.
func (p *predictor) dataIn(layer chain.Layer, l *image.View, walks bool) error {
	what, h := storage.Describe(layer.Source), l.Header
	if store := layer.Source.DataStore; store != nil && p.does(libvirt.DataStores) {
		if h.DataFile == nil {
			return p.qemu("QEMU refuses " + what + ": the XML has a data file for it, but its header has none")
		}
		return p.mustExist(what, store.Source)
	}
	if h.DataFile == nil {
		return nil
	}
	name := h.DataFile.Name
	walks = walks && p.does(libvirt.DataStores) && headerAtStart(layer)
	finds := walks && p.extensions(l).DataFile
	switch {
	case name == "" && finds:
		return p.libvirt("invalid empty data-file definition")
	case name == "":
		return p.qemu("QEMU refuses " + what + ": it has its data in another file but does not name it")
	case finds && !storage.LooksLikeFile(name):
		return p.describedData(layer, name)
	case finds:
		if file, ok := p.path(layer, name); ok {
			return p.mustExist(what, storage.LocalSource(file, false))
		}
		return nil
	}
	return p.qemusDataFile(layer, name, walks)
}

// describedData handles a data file name that libvirt reads as a description
// of another source (json: or a URI).
func (p *predictor) describedData(layer chain.Layer, name string) error {
	quoted, what := strconv.Quote(storage.Printable(name)), storage.Describe(layer.Source)
	if _, err := storage.ParseBacking(name, layer.At()); p.nothingIn(err) || errors.Is(err, storage.ErrCredentials) && opensWithCredentials(name) {
		return p.libvirt("libvirt cannot parse " + quoted + ", the name of the data file of " + what)
	}
	p.misopens("libvirt reads " + quoted + ", the data file of " + what + ", as a description of another source, QEMU as a file name")
	return nil
}

// qemusDataFile handles a data file that libvirt does not pass to QEMU,
// although it may have read the header. QEMU resolves relative names from the
// directory in which libvirt starts it.
func (p *predictor) qemusDataFile(layer chain.Layer, name string, missed bool) error {
	quoted, what := strconv.Quote(storage.Printable(name)), storage.Describe(layer.Source)
	switch {
	case !storage.LooksLikeFile(name) && !p.does(libvirt.PlainDataFiles):
		if protocol, _, _ := strings.Cut(name, ":"); !qemuOpens(protocol) {
			return p.qemu("Could not open " + quoted + ", the data file of " + what + ": Unknown protocol " + strconv.Quote(storage.Printable(protocol)))
		}
		p.misopens("QEMU " + p.target.QEMU.String() + " reads " + quoted + ", the data file of " + what + ", as a description of another source, and opens that")
		return nil
	case !strings.HasPrefix(name, "/"):
		if _, err := p.Identify(p.ctx, storage.LocalSource("/"+name, false)); err == nil {
			p.misopens("QEMU looks for " + quoted + ", the data file of " + what + ", in its own working directory, /")
			return nil
		}
		return p.qemu("Could not open " + quoted + ", the data file of " + what + ", which QEMU looks for in its own working directory: No such file or directory")
	}
	if err := p.mustExist(what, storage.LocalSource(name, false)); err != nil {
		return err
	}
	words := "QEMU opens " + quoted + ", the data file of " + what + ", because the header names it: libvirt does not pass it, and with security labels or a mount namespace the guest does not start"
	if missed {
		words = "libvirt " + p.target.Libvirt.String() + " does not find the name of the data file of " + what + " in its header. QEMU opens " + quoted +
			" if it has permission: libvirt does not give it access (\"Permission denied\")"
	}
	p.remark(words)
	return nil
}

// qemuOpens reports whether a QEMU has a driver for PROTOCOL:NAME.
func qemuOpens(protocol string) bool {
	switch protocol {
	case "json", "fat", "vvfat", "blkdebug", "blkverify", "blkreplay", "null-co", "null-aio", "tftp":
		return true
	}
	return storage.IsProtocolDriver(strings.SplitN(protocol, "+", 2)[0])
}

// mustExist refuses a data file that is missing.
func (p *predictor) mustExist(of string, src *libvirtxml.DomainDiskSource) error {
	if _, err := p.Identify(p.ctx, src); errors.Is(err, fs.ErrNotExist) {
		return p.qemu("Could not open " + storage.Describe(src) + ", the data file of " + of + ": No such file or directory")
	}
	return nil
}
