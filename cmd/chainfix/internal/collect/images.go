package collect

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/xmlfix"
)

// images are the images of a host, each once. An image is identified by its file or device if that
// is known, whatever its names; otherwise by everything that says where it is.
type images struct {
	all      []*imageRecord
	byID     map[imageID]*imageRecord
	bySource map[string]*imageRecord // by sourceKey
}

// imageID identifies a local image: a file or device, or a slice of one; the zero Slice is the
// whole. The zero imageID is unknown.
type imageID struct {
	device, inode uint64
	block         bool
	slice         storage.Slice
}

// imageRecord is the record of one image. There may be very many.
type imageRecord struct {
	number int32 // from 0
	exists presence
	opened bool // opened, so size is known
	block  bool // its source is of type block
	// disputed says that chains differ about format.
	disputed, problem bool
	from              chain.Origin

	name          string
	names         []string       // the others
	source        *report.Source // nil where it is a file or device named name
	device, inode uint64         // 0 if unknown
	size          int64
	virtual       uint64       // 0 if unknown
	format        probe.Format // as chains have it
	claims        probe.Format
	backing       string // the backing image that the header names, quoted

	below, dataFile *imageRecord
	guests          []int32
	writers         []writer
}

// presence says whether an image exists.
type presence byte

const (
	maybe presence = iota
	present
	absent
)

// known returns the presence for JSON.
func (p presence) known() *bool {
	if p == maybe {
		return nil
	}
	return new(p == present)
}

// writer is a disk that writes to an image.
type writer struct {
	guest  int32
	target string
}

func (m *images) init() {
	m.byID, m.bySource = make(map[imageID]*imageRecord), make(map[string]*imageRecord)
}

// key returns the [Image.Key] of an image.
func (i *imageRecord) key() string {
	if i == nil {
		return ""
	}
	return "i" + strconv.Itoa(int(i.number)+1)
}

// addDisk adds the images of a disk's chain, and returns those of its layers. cache may know what
// the chain does not contain.
func (m *images) addDisk(guest int, d xmlfix.DiskExamination, cache *image.Cache) []*imageRecord {
	var layers []*imageRecord
	for n, layer := range report.LayersOf(d) {
		if layer.Image == nil && cache != nil {
			_, layer.Image, _ = cache.Remembered(layer.At())
		}
		i := m.of(layer.At(), layer.Image, cache)
		layers = append(layers, i)
		i.stated(layer)
		i.read(layer)
		i.guests = addOnce(i.guests, guest)
		writes := n == 0 && !d.Stated.ReadOnly
		if writes {
			i.writers = append(i.writers, writer{int32(guest), d.Target})
		}
		if n > 0 && layers[n-1].below == nil && layers[n-1] != i {
			layers[n-1].below = i
		}
		if store := layer.Source.DataStore; store != nil && store.Source != nil {
			data := m.of(store.Source, nil, cache)
			data.guests = addOnce(data.guests, guest)
			data.stated(chain.Layer{Format: probe.Raw, From: layer.From})
			if writes {
				data.writers = append(data.writers, writer{int32(guest), d.Target})
			}
			i.dataFile = data
		}
	}
	if d.Chain != nil {
		for _, f := range d.Chain.Findings {
			if i := at(layers, f.Layer); i != nil {
				i.found(f)
			}
		}
	}
	return layers
}

// keyOf returns the [Image.Key] of an image that was added.
func (m *images) keyOf(layer chain.Layer) string { return m.of(layer.At(), layer.Image, nil).key() }

// of returns the image that a source names. shown is the opened image; if it is nil, cache may
// know it.
func (m *images) of(src *libvirtxml.DomainDiskSource, shown *image.Info, cache *image.Cache) *imageRecord {
	key := sourceKey(src)
	i := m.bySource[key]
	if i != nil && (i.opened || shown == nil && i.exists != maybe) {
		return i
	}
	id, exists := identify(src, shown, cache)
	if known := m.byID[id]; known != nil {
		i = known
	}
	if i == nil {
		i = newImage(src, len(m.all))
		m.all = append(m.all, i)
	}
	if m.bySource[key] == nil {
		m.bySource[key] = i
		if name := shownName(src); name != i.name && !slices.Contains(i.names, name) {
			i.names = append(i.names, name)
		}
	}
	if exists != maybe {
		i.exists = exists
	}
	if id != (imageID{}) && i.device == 0 {
		i.device, i.inode, m.byID[id] = id.device, id.inode, i
	}
	if shown != nil {
		i.opened, i.size = true, shown.Size
	}
	return i
}

func newImage(src *libvirtxml.DomainDiskSource, number int) *imageRecord {
	i := &imageRecord{number: int32(number), name: shownName(src), block: src.Block != nil}
	if _, local := storage.LocalPath(src); !local || src.Slices != nil {
		i.source = new(report.SourceOf(src))
	}
	return i
}

// identify returns which image a source names, if known, and whether it exists. For one on the
// network that is known only after it was opened.
func identify(src *libvirtxml.DomainDiskSource, shown *image.Info, cache *image.Cache) (imageID, presence) {
	path, local := storage.LocalPath(src)
	if shown != nil {
		return idOf(src, shown.ID.File), present
	}
	if cache == nil || !local || !strings.HasPrefix(path, "/") {
		return imageID{}, maybe
	}
	switch file, _, err := cache.Remembered(src); {
	case err == nil:
		return idOf(src, file), present
	case errors.Is(err, storage.ErrNotImage):
		return imageID{}, present
	case errors.Is(err, fs.ErrNotExist):
		return imageID{}, absent
	}
	return imageID{}, maybe
}

// idOf returns the identity of the image that a source names in a file or device. An image on the
// network has only its source.
func idOf(src *libvirtxml.DomainDiskSource, file storage.FileID) imageID {
	if file.Remote != "" {
		return imageID{}
	}
	id := imageID{device: file.Device, inode: file.Inode, block: file.Block}
	id.slice, _ = storage.SliceOf(src)
	return id
}

// stated records the format that the image has in a chain.
func (i *imageRecord) stated(layer chain.Layer) {
	switch {
	case layer.From == chain.Unstated:
	case i.from == chain.Unstated:
		i.format, i.from = layer.Format, layer.From
	case i.format != layer.Format:
		i.disputed = true
	}
}

// read records what the image's header says.
func (i *imageRecord) read(layer chain.Layer) {
	switch header := claimedBy(layer); {
	case header != nil && header.Format != probe.Raw:
		i.claims, i.virtual = header.Format, header.VirtualSize
		if header.Backing != nil {
			i.backing = strconv.Quote(storage.Printable(header.Backing.Name))
		}
	case i.claims == "" && layer.Image != nil:
		i.claims = layer.Image.Candidate()
	}
}

// found records what a finding says about the image.
func (i *imageRecord) found(f finding.Finding) {
	i.problem = i.problem || f.Severity == finding.Refuse
	switch {
	case i.exists != maybe:
	case f.Code == finding.ImageMissing:
		i.exists = absent
	case f.Code == finding.NotAnImage:
		i.exists = present
	}
}

// list returns the images, with the names of guests. Nothing can be added afterwards.
func (m *images) list(guests []string) []report.Image {
	m.byID, m.bySource = nil, nil
	all := make([]report.Image, len(m.all))
	for n, i := range m.all {
		all[n] = i.image(guests)
	}
	return all
}

func (i *imageRecord) image(guests []string) report.Image {
	one := report.Image{
		Key: i.key(), Name: i.name, Names: append([]string{i.name}, i.names...), Exists: i.exists.known(),
		Claims: string(i.claims), Backing: i.backing, Below: i.below.key(), DataFile: i.dataFile.key(),
		Guests: names(guests, i.guests), Writers: make([]report.DiskRef, len(i.writers)), Problem: i.problem,
	}
	for n, w := range i.writers {
		one.Writers[n] = report.DiskRef{Guest: guests[w.guest], Target: w.target}
	}
	switch {
	case i.source != nil:
		one.Source = *i.source
	default:
		one.Source = report.SourceOf(storage.LocalSource(i.name, i.block))
	}
	if !i.disputed {
		one.Format, one.QEMUFormat, one.From = i.format.LibvirtName(), string(i.format), i.from.String()
	}
	if i.device != 0 {
		one.Device = strconv.FormatUint(i.device, 10)
	}
	if i.inode != 0 {
		one.Inode = strconv.FormatUint(i.inode, 10)
	}
	if i.opened {
		one.Size = &i.size
	}
	if i.virtual > 0 {
		one.VirtualSize = &i.virtual
	}
	return one
}
