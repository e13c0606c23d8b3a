package host

import (
	"context"
	"fmt"
	"iter"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/ordered"
	"github.com/chainfix/chainfix/xmlfix"
)

// These bound how many guests are under way at the same time, most of which wait for
// storage then, and what their definitions take, in bytes: to read one takes a multiple.
const (
	maxUnderWay      = 1024
	maxBytesUnderWay = 16 << 20
)

// maxKept bounds the definitions that are kept from one reading of the guests to the
// next, in bytes.
const maxKept = 256 << 20

// foundGuest is what an [Inventory] yields.
type foundGuest struct {
	*Guest
	err error
}

// atOnce calls do for guests at the same time, and yields what it returns in their
// order.
func atOnce[R any](ctx context.Context, jobs int, guests iter.Seq[foundGuest], do func(context.Context, foundGuest) R) iter.Seq[R] {
	return ordered.Map(ctx, ordered.Bounds{AtOnce: jobs, Items: maxUnderWay, Bytes: maxBytesUnderWay}, guests, func(ctx context.Context, take ordered.Take, g foundGuest) R {
		if err := take(g.size()); err != nil {
			g = foundGuest{err: err}
		}
		return do(ctx, g)
	})
}

// size is what the texts of a guest take, in bytes.
func (g foundGuest) size() int64 {
	if g.Guest == nil {
		return 0
	}
	size := len(g.Definition) + len(g.Live)
	for _, m := range g.remembered {
		size += len(m.XML)
	}
	return int64(size)
}

// pairs makes one value of a guest and its error.
func pairs(guests iter.Seq2[*Guest, error]) iter.Seq[foundGuest] {
	return func(yield func(foundGuest) bool) {
		for guest, err := range guests {
			if !yield(foundGuest{guest, err}) {
				return
			}
		}
	}
}

// collector collects what the disks of a host state of images: those of the
// definitions, of running guests, and of snapshots, checkpoints and saved states.
type collector struct {
	jobs     int           // how many guests are worked on at the same time
	walker   *chain.Walker // without evidence
	evidence *chain.Evidence
	warn     func(guest string, err error)
	search   *usageSearch // nil where nobody asks who uses an image

	kept      []foundGuest // of those with a definition, the first ones
	keptBytes int64
	keptAll   bool
}

// heard is what the XML of one guest states.
type heard struct {
	foundGuest
	read     []chain.ReadEvidence
	warnings []error // of the guest, but not of its definition
	ended    error   // why nothing more comes
	found    foundUses
	now      []chain.Layer // see statedNow; only where somebody asks who uses an image
}

// collect goes through every guest of an inventory. What cannot be read is no
// evidence, and warn is called with it; onGuest gets every name, with why nothing is known
// of the guest's definition. The error is for an inventory that has ended, or for
// ctx.
func (c *collector) collect(ctx context.Context, inventory Inventory, onGuest func(guest string, err error)) error {
	c.keptAll = true
	for h := range atOnce(ctx, c.jobs, pairs(inventory.Guests(ctx)), c.hearDefined) {
		if h.ended != nil {
			return h.ended
		}
		onGuest(h.Name, h.err)
		c.keep(h.foundGuest)
		c.add(h)
	}
	for h := range atOnce(ctx, c.jobs, pairs(inventory.Transient(ctx)), c.hearTransient) {
		if h.ended != nil {
			return h.ended
		}
		c.add(h)
	}
	return ctx.Err()
}

// keep keeps a guest for the report on it, while there is room.
func (c *collector) keep(g foundGuest) {
	if c.keptBytes += g.size(); c.keptBytes > maxKept {
		c.keptAll = false
	}
	if c.keptAll {
		c.kept = append(c.kept, g)
	}
}

// guests yields the guests that have a definition again: those that were kept, and the
// others anew.
func (c *collector) guests(ctx context.Context, inventory Inventory) iter.Seq[foundGuest] {
	return func(yield func(foundGuest) bool) {
		known := make(map[string]bool)
		for i, g := range c.kept {
			c.kept[i] = foundGuest{}
			known[g.Name] = true
			if !yield(g) {
				return
			}
		}
		if c.keptAll {
			return
		}
		for g := range pairs(inventory.Guests(ctx)) {
			if (g.Guest == nil || !known[g.Name]) && !yield(g) {
				return
			}
		}
	}
}

// add adds what was heard to the evidence.
func (c *collector) add(h heard) {
	if c.search != nil {
		c.search.add(h)
	}
	for _, read := range h.read {
		for _, err := range read.Missing {
			h.warnings = append(h.warnings, fmt.Errorf("what is stated of an image is not known: %w", err))
		}
		c.evidence.AddRead(read)
	}
	for _, err := range h.warnings {
		c.warn(h.Name, err)
	}
}

// hearDefined hears a guest that has a definition.
func (c *collector) hearDefined(ctx context.Context, g foundGuest) heard {
	h := heard{foundGuest: g}
	if g.Guest == nil {
		h.ended = g.err
		return h
	}
	if h.err == nil {
		var doc *xmlfix.Document
		if doc, h.err = xmlfix.Parse(g.Name, g.Definition); h.err == nil {
			h.ended = c.definition(ctx, &h, doc)
		}
	}
	if h.ended == nil {
		h.ended = c.otherXML(ctx, &h)
	}
	return h
}

// hearTransient hears a guest that runs without a definition.
func (c *collector) hearTransient(ctx context.Context, g foundGuest) heard {
	h := heard{foundGuest: g}
	switch {
	case g.Guest == nil:
		h.ended = g.err
	case g.err != nil:
		h.warnings = []error{g.err}
	default:
		h.ended = c.otherXML(ctx, &h)
	}
	return h
}

// definition hears the disks of a definition, with the chains that they have without
// anybody's help.
func (c *collector) definition(ctx context.Context, h *heard, doc *xmlfix.Document) error {
	disks, err := doc.Walk(ctx, c.walker, false)
	if err != nil {
		return err
	}
	for _, d := range disks {
		if d.IsEvidence() {
			h.read = append(h.read, c.evidence.Read(ctx, chain.Defined, d.Stated, d.Chain))
		}
	}
	if c.search != nil {
		c.searchDefinition(ctx, h, disks)
	}
	return nil
}

// otherXML hears the disks of the XML that there is of a guest besides its
// definition.
func (c *collector) otherXML(ctx context.Context, h *heard) error {
	if h.Live != nil {
		occasion := chain.Running
		if h.BlockJob {
			occasion = chain.RunningJob
		}
		doc, err := xmlfix.Parse(h.Name, h.Live)
		if err != nil {
			h.warnings = append(h.warnings, err)
		} else {
			c.disks(ctx, h, occasion, doc.Disks())
			if c.search != nil {
				if err := c.searchLive(ctx, h, doc); err != nil {
					return err
				}
			}
		}
	}
	all := []*Metadata{}
	for metadata, err := range h.Metadata(ctx) {
		if metadata == nil {
			return err
		}
		if err == nil {
			all = append(all, metadata) // of another nothing more can be said
		}
		var disks []*xmlfix.Disk
		if err == nil {
			disks, err = metadata.disks(h.Name)
		}
		if err != nil {
			h.warnings = append(h.warnings, err)
			continue
		}
		c.disks(ctx, h, chain.Past, disks)
		if c.search != nil {
			if err := c.searchStored(ctx, h, metadata); err != nil {
				return err
			}
		}
	}
	h.remembered = all
	return nil
}

// disks reads the disks of the definition that libvirt keeps a copy of.
func (m *Metadata) disks(guest string) ([]*xmlfix.Disk, error) {
	doc, err := xmlfix.ParseMetadata(guest+"/"+m.Name, m.XML)
	if err != nil {
		return nil, err
	}
	return doc.Disks(), nil
}

func (c *collector) disks(ctx context.Context, h *heard, occasion chain.Occasion, disks []*xmlfix.Disk) {
	for _, disk := range disks {
		// A disk that libvirt would not accept is nobody's.
		if stated, err := disk.Stated(); err == nil {
			stated.Guest = h.Name // a copy may have an earlier name
			h.read = append(h.read, c.evidence.Read(ctx, occasion, stated, nil))
		}
	}
}
