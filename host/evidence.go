package host

import (
	"context"
	"slices"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/xmlfix"
)

// Evidence is what the definitions of a host, and the metadata of its
// snapshots and checkpoints, say of images.
type Evidence struct {
	of map[chain.FileID]*chain.Testimony

	opener  chain.Opener
	volumes chain.Volumes
}

var _ chain.Evidence = (*Evidence)(nil)

// Of returns what is said of an image.
func (e *Evidence) Of(id chain.FileID) chain.Testimony {
	if said := e.of[id]; said != nil {
		return *said
	}
	return chain.Testimony{}
}

// gather hears every guest of an inventory: its definition, the XML that it
// runs with, and the metadata of its snapshots and checkpoints. What cannot be
// read says nothing, and is told to complain; heard gets every name, with why
// nothing is heard of the guest. The error is for an inventory that has ended, or
// for ctx.
func gather(ctx context.Context, inventory Inventory, opener chain.Opener, volumes chain.Volumes, complain func(guest string, err error), heard func(guest string, err error)) (*Evidence, error) {
	e := &Evidence{of: make(map[chain.FileID]*chain.Testimony), opener: opener, volumes: volumes}
	for guest, err := range inventory.Guests(ctx) {
		if guest == nil {
			return nil, err
		}
		var doc *xmlfix.Document
		if err == nil {
			doc, err = xmlfix.Parse(guest.Name, guest.Definition)
		}
		heard(guest.Name, err)
		if doc != nil {
			e.note(ctx, guest.Name, doc.Disks(), true)
		}
		if err := e.hear(ctx, guest, complain); err != nil {
			return nil, err
		}
	}
	return e, ctx.Err()
}

// hear hears what there is of a guest beside its definition.
func (e *Evidence) hear(ctx context.Context, guest *Guest, complain func(string, error)) error {
	// What a guest runs with, and what a snapshot has of a running one, holds
	// what libvirt detected: of the layers below the top it states nothing.
	if guest.Live != nil {
		doc, err := xmlfix.Parse(guest.Name, guest.Live)
		if err != nil {
			complain(guest.Name, err)
		} else {
			e.note(ctx, guest.Name, doc.Disks(), false)
		}
	}
	for metadata, err := range guest.Metadata(ctx) {
		if metadata == nil {
			return err
		}
		if err != nil {
			complain(guest.Name, err)
			continue
		}
		disks, err := xmlfix.MetadataDisks(guest.Name+"/"+metadata.Name, metadata.XML)
		if err != nil {
			complain(guest.Name, err)
			continue
		}
		e.note(ctx, guest.Name, disks, false)
	}
	return nil
}

// note keeps what disks say of their images.
func (e *Evidence) note(ctx context.Context, guest string, disks []*xmlfix.Disk, lower bool) {
	for _, disk := range disks {
		stated, err := disk.Stated()
		if err != nil {
			continue
		}
		for i, layer := range stated.Layers {
			if i > 0 && !lower {
				break
			}
			// What the guest writes gets into a lower layer by a commit,
			// and did so before, if that was its disk once.
			e.noteLayer(ctx, guest, layer, !stated.ReadOnly)
		}
	}
}

// noteLayer keeps what one layer says of its image. A top without a format is
// raw to libvirt. A slice in some format says nothing of its file; a raw one can
// be where the file's header is. What the guest writes through an encryption it
// cannot choose.
func (e *Evidence) noteLayer(ctx context.Context, guest string, layer chain.Layer, writable bool) {
	raw := layer.Format == probe.Raw || layer.From == chain.Unstated
	encrypted := layer.Source.Encryption != nil
	if raw && (!writable || encrypted) || !raw && (layer.Format == "" || layer.Source.Slices != nil) {
		return
	}
	src := layer.Source
	if src.Volume != nil {
		if e.volumes == nil {
			return
		}
		located, err := e.volumes.Locate(src)
		if err != nil {
			return
		}
		src = located
	}
	id, err := e.opener.Identify(ctx, src)
	if err != nil {
		return // there is nothing that anybody could be told of
	}
	said := e.of[id]
	if said == nil {
		said = &chain.Testimony{}
		e.of[id] = said
	}
	if raw {
		if said.RawDisk == "" {
			said.RawDisk = guest
		}
		return
	}
	if !slices.ContainsFunc(said.Stated, func(s chain.GuestStatement) bool { return s.Format == layer.Format }) {
		said.Stated = append(said.Stated, chain.GuestStatement{Guest: guest, Format: layer.Format})
	}
}
