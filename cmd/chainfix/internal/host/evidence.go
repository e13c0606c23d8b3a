package host

import (
	"context"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/xmlfix"
)

// collector collects what the disks of a host state of images: those of the
// definitions, of running guests, and of snapshots, checkpoints and saved states.
type collector struct {
	walker   *chain.Walker // without evidence
	evidence *chain.Evidence
	warn     func(guest string, err error)
}

// collect goes through every guest of an inventory. What cannot be read is no
// evidence, and warn is called with it; onGuest gets every name, with why nothing is known
// of the guest's definition. The error is for an inventory that has ended, or for
// ctx.
func (c *collector) collect(ctx context.Context, inventory Inventory, onGuest func(guest string, err error)) error {
	for guest, err := range inventory.Guests(ctx) {
		if guest == nil {
			return err
		}
		var doc *xmlfix.Document
		if err == nil {
			doc, err = xmlfix.Parse(guest.Name, guest.Definition)
		}
		onGuest(guest.Name, err)
		if doc != nil {
			if err := c.definition(ctx, doc); err != nil {
				return err
			}
		}
		if err := c.otherXML(ctx, guest); err != nil {
			return err
		}
	}
	for guest, err := range inventory.Transient(ctx) {
		switch {
		case guest == nil:
			return err
		case err != nil:
			c.warn(guest.Name, err)
			continue
		}
		if err := c.otherXML(ctx, guest); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// definition adds the disks of a definition, with the chains that they have
// without anybody's help.
func (c *collector) definition(ctx context.Context, doc *xmlfix.Document) error {
	disks, err := doc.Walk(ctx, c.walker, false)
	if err != nil {
		return err
	}
	for _, d := range disks {
		if d.IsEvidence() {
			c.evidence.Add(ctx, chain.Defined, d.Stated, d.Chain)
		}
	}
	return nil
}

// otherXML adds the disks of the XML that there is of a guest besides its
// definition.
func (c *collector) otherXML(ctx context.Context, guest *Guest) error {
	if guest.Live != nil {
		occasion := chain.Running
		if guest.BlockJob {
			occasion = chain.RunningJob
		}
		doc, err := xmlfix.Parse(guest.Name, guest.Live)
		if err != nil {
			c.warn(guest.Name, err)
		} else {
			c.add(ctx, occasion, guest.Name, doc.Disks())
		}
	}
	for metadata, err := range guest.Metadata(ctx) {
		if metadata == nil {
			return err
		}
		if err != nil {
			c.warn(guest.Name, err)
			continue
		}
		disks, err := metadata.disks(guest.Name)
		if err != nil {
			c.warn(guest.Name, err)
			continue
		}
		c.add(ctx, chain.Past, guest.Name, disks)
	}
	return nil
}

// disks reads the disks of the definition that libvirt keeps a copy of.
func (m *Metadata) disks(guest string) ([]*xmlfix.Disk, error) {
	name := guest + "/" + m.Name
	if m.Kind != SavedState {
		return xmlfix.MetadataDisks(name, m.XML)
	}
	doc, err := xmlfix.Parse(name, m.XML)
	if err != nil {
		return nil, err
	}
	return doc.Disks(), nil
}

func (c *collector) add(ctx context.Context, occasion chain.Occasion, guest string, disks []*xmlfix.Disk) {
	for _, disk := range disks {
		// A disk that libvirt would not accept is nobody's.
		if stated, err := disk.Stated(); err == nil {
			stated.Guest = guest // a copy may have an earlier name
			c.evidence.Add(ctx, occasion, stated, nil)
		}
	}
}
