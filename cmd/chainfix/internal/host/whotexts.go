package host

import (
	"context"
	"encoding/xml"
	"slices"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/chain/strictxml"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/xmlfix"
)

// Searching a guest's texts for uses of an image.

// searchDefinition looks for uses in a definition.
func (c *collector) searchDefinition(ctx context.Context, h *guestFacts, disks []xmlfix.DiskExamination) {
	r := c.usageReader(ctx, h.Guest, inDefinition)
	r.disks(disks)
	r.elsewhere(h.Definition)
	h.now = statedNow(&xmlfix.Examination{Disks: disks})
	h.found.append(r.found)
}

// searchLive looks for uses in the XML that a guest runs with.
func (c *collector) searchLive(ctx context.Context, h *guestFacts, doc *xmlfix.Document) error {
	r := c.usageReader(ctx, h.Guest, inLive)
	disks, err := r.running(doc)
	if err != nil {
		return err
	}
	if h.Definition == nil {
		h.now = statedNow(&xmlfix.Examination{Disks: disks})
	}
	if h.record != nil {
		r.elsewhere(h.record)
	} else {
		r.elsewhere(h.Live)
	}
	h.found.append(r.found)
	return nil
}

// searchStored looks for uses in what libvirt keeps of a guest.
func (c *collector) searchStored(ctx context.Context, h *guestFacts, m *Metadata) error {
	r := c.usageReader(ctx, h.Guest, Stored{m.Kind, m.Name}.String())
	r.past = true
	e, err := xmlfix.ExamineMetadata(ctx, c.walker, h.Name+"/"+m.Name, m.XML, func(past chain.Stated) *chain.Chain {
		return unconfirmed(ctx, c.walker, past, h.now)
	})
	if err != nil {
		return err
	}
	if e.Err != nil {
		r.doubt("", Reason(e.Err))
	}
	r.disks(e.Disks)
	if err := r.overlays(h.now, m); err != nil {
		return err
	}
	r.elsewhere(m.XML)
	switch {
	case m.Kind != SavedState:
	case m.File != "":
		r.use("", asSaved, false, chain.Layer{Source: storage.LocalSource(m.File, false)})
	case slices.Contains(c.search.target.bases, h.Name+".save"):
		// A daemon does not return the path.
		r.doubt("", "the guest has a saved state in a file with that name")
	}
	h.found.append(r.found)
	return nil
}

// snapshotDisk is the overlay of a disk in an external snapshot.
type snapshotDisk struct {
	Name   string `xml:"name,attr"`
	Driver struct {
		Type string `xml:"type,attr"`
	} `xml:"driver"`
	Source struct {
		File     string `xml:"file,attr"`
		Dev      string `xml:"dev,attr"`
		Protocol string `xml:"protocol,attr"`
		Name     string `xml:"name,attr"`
		Hosts    []struct {
			Transport string `xml:"transport,attr"`
			Name      string `xml:"name,attr"`
			Port      string `xml:"port,attr"`
			Socket    string `xml:"socket,attr"`
		} `xml:"host"`
	} `xml:"source"`
}

// source is where the image is; an empty one if there is none.
func (d snapshotDisk) source() *libvirtxml.DomainDiskSource {
	switch {
	case d.Source.Dev != "":
		return storage.LocalSource(d.Source.Dev, true)
	case d.Source.Protocol == "":
		return storage.LocalSource(d.Source.File, false)
	}
	network := &libvirtxml.DomainDiskSourceNetwork{Protocol: d.Source.Protocol, Name: d.Source.Name}
	for _, h := range d.Source.Hosts {
		network.Hosts = append(network.Hosts, libvirtxml.DomainDiskSourceHost{Transport: h.Transport, Name: h.Name, Port: h.Port, Socket: h.Socket})
	}
	return &libvirtxml.DomainDiskSource{Network: network}
}

// overlays reads the overlays of a snapshot, besides the images in its copy of
// the definition.
func (r *usageReader) overlays(now []chain.Layer, m *Metadata) error {
	if m.Kind != Snapshot {
		return nil
	}
	for _, d := range snapshotDisks(m.XML) {
		layer := chain.Layer{Source: d.source(), Format: probe.Qcow2, From: chain.XML}
		if storage.IsEmpty(layer.Source) {
			continue
		}
		if format, ok := probe.FromLibvirt(d.Driver.Type); ok {
			layer.Format = format
		}
		stated := chain.Stated{Guest: r.guest.Name, Target: d.Name, Layers: []chain.Layer{layer}}
		found := unconfirmed(r.ctx, r.walker, stated, now)
		if found == nil {
			var err error
			if found, err = r.walker.Walk(r.ctx, stated); err != nil {
				return err
			}
		}
		r.stated(stated)
		r.chain(stated, found)
	}
	return nil
}

// snapshotDisks returns those in the <disks> of a snapshot; none if it cannot
// be parsed, which was reported before.
func snapshotDisks(text []byte) (all []snapshotDisk) {
	decoder := xml.NewTokenDecoder(strictxml.NewBoundedReader(text, xmlfix.MaxDepth))
	if root, err := element(decoder); err != nil || root == nil || root.Name.Local != "domainsnapshot" {
		return nil
	}
	for {
		child, err := element(decoder)
		if err != nil || child == nil {
			return all
		}
		if !slices.Contains([]string{"disks", "revertDisks"}, child.Name.Local) {
			if decoder.Skip() != nil {
				return all
			}
			continue
		}
		var disks struct {
			Disks []snapshotDisk `xml:"disk"`
		}
		if decoder.DecodeElement(&disks, child) != nil {
			return all
		}
		all = append(all, disks.Disks...)
	}
}

func (f *foundUses) append(other foundUses) {
	f.uses = append(f.uses, other.uses...)
	f.doubts = append(f.doubts, other.doubts...)
	f.again = append(f.again, other.again...)
}
