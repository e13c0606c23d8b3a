package report

import (
	"slices"
	"strconv"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/xmlfix"
)

// images are those of a host, each once. What was opened is told apart by identity, whatever it
// is called; and what was not, by all that says where it is.
type images struct {
	all      []*imageRecord
	byID     map[image.ID]*imageRecord
	bySource map[string]*imageRecord
}

// imageRecord is what is kept of an image.
type imageRecord struct {
	number int // from 0
	source Source
	names  []string
	id     image.ID
	opened bool // so id is known

	exists  *bool
	size    int64
	virtual uint64 // 0 where it is not known
	claims  probe.Format
	backing string // what the header names, quoted

	format   probe.Format
	from     string
	disputed bool // chains differ about format or from

	below, dataFile *imageRecord
	guests          []int32
	writers         []writer
	problem         bool
}

// writer is a disk that writes to an image.
type writer struct {
	guest  int32
	target string
}

func (m *images) init() {
	m.byID, m.bySource = make(map[image.ID]*imageRecord), make(map[string]*imageRecord)
}

// key is the [Image.Key] of an image.
func (i *imageRecord) key() string {
	if i == nil {
		return ""
	}
	return "i" + strconv.Itoa(i.number+1)
}

// addDisk takes over the images of a disk's chain, and returns those of its layers.
func (m *images) addDisk(guest int, d xmlfix.DiskExamination) []*imageRecord {
	var layers []*imageRecord
	for n, layer := range layersOf(d) {
		i := m.of(layer.At(), layer.Image)
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
			data := m.of(store.Source, nil)
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

// keyOf is the [Image.Key] of a layer's image.
func (m *images) keyOf(layer chain.Layer) string { return m.of(layer.At(), layer.Image).key() }

// of returns the image that a source names, with what opening it showed; nil if it was not
// opened.
func (m *images) of(src *libvirtxml.DomainDiskSource, shown *image.Info) *imageRecord {
	key := sourceKey(src)
	i := m.bySource[key]
	if shown != nil {
		if known := m.byID[shown.ID]; known != nil {
			i = known
		} else if i != nil && i.opened {
			i = nil // it was replaced meanwhile
		}
	}
	if i == nil {
		i = &imageRecord{number: len(m.all), source: sourceOf(src)}
		m.all = append(m.all, i)
	}
	if m.bySource[key] == nil {
		m.bySource[key] = i
		if name := shownName(src); !slices.Contains(i.names, name) {
			i.names = append(i.names, name)
		}
	}
	if shown != nil && !i.opened {
		i.id, i.opened, i.size, i.exists = shown.ID, true, shown.Size, new(true)
		m.byID[shown.ID] = i
	}
	return i
}

// stated notes as what a chain has the image.
func (i *imageRecord) stated(layer chain.Layer) {
	from := layer.From.String()
	switch {
	case layer.From == chain.Unstated:
	case i.from == "":
		i.format, i.from = layer.Format, from
	case i.format != layer.Format:
		i.disputed = true
	}
}

// read notes what the image's header says.
func (i *imageRecord) read(layer chain.Layer) {
	header := layer.Header
	if layer.Image == nil {
		return
	}
	claims := layer.Image.Candidate()
	if header == nil || header.Format == probe.Raw {
		header = layer.Image.ClaimedHeader()
	}
	switch {
	case header != nil && header.Format != probe.Raw:
		i.claims, i.virtual = header.Format, header.VirtualSize
		if header.Backing != nil {
			i.backing = strconv.Quote(storage.Printable(header.Backing.Name))
		}
	case i.claims == "":
		i.claims = claims
	}
}

// found notes what a finding says of the image.
func (i *imageRecord) found(f finding.Finding) {
	i.problem = i.problem || f.Severity == finding.Refuse
	if i.exists != nil {
		return
	}
	switch f.Code {
	case finding.ImageMissing:
		i.exists = new(false)
	case finding.NotAnImage:
		i.exists = new(true)
	}
}

// list returns the images, with the names of guests by their numbers.
func (m *images) list(guests []string) []Image {
	all := make([]Image, 0, len(m.all))
	for _, i := range m.all {
		all = append(all, i.image(guests))
	}
	return all
}

func (i *imageRecord) image(guests []string) Image {
	one := Image{
		Key: i.key(), Name: i.names[0], Names: i.names, Source: i.source, Exists: i.exists,
		Claims: string(i.claims), Backing: i.backing, Below: i.below.key(), DataFile: i.dataFile.key(),
		Guests: names(guests, i.guests), Writers: make([]DiskRef, 0, len(i.writers)), Problem: i.problem,
	}
	if !i.disputed {
		one.Format, one.QEMUFormat, one.From = i.format.LibvirtName(), string(i.format), i.from
	}
	for _, w := range i.writers {
		one.Writers = append(one.Writers, DiskRef{guests[w.guest], w.target})
	}
	if i.opened {
		one.Size = &i.size
		if i.virtual > 0 {
			one.VirtualSize = &i.virtual
		}
		if file := i.id.File; file.Remote == "" {
			one.Device = strconv.FormatUint(file.Device, 10)
			if !file.Block {
				one.Inode = strconv.FormatUint(file.Inode, 10)
			}
		}
	}
	return one
}
