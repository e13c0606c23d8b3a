package host

import (
	"context"
	"fmt"
	"iter"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/ordered"
	"github.com/chainfix/chainfix/xmlfix"
)

// These bound the number of guests that are examined concurrently (most of
// them wait for storage), and the total size of their definitions in bytes;
// parsing needs a multiple of that.
const (
	maxUnderWay      = 1024
	maxBytesUnderWay = 16 << 20
)

// maxKept bounds the total size of the definitions that are kept between the
// two passes over the guests, in bytes.
const maxKept = 256 << 20

// foundGuest is what an [Inventory] yields.
type foundGuest struct {
	*Guest
	err error
}

// atOnce calls do for guests concurrently, and yields the results in their
// order.
func atOnce[R any](ctx context.Context, jobs int, guests iter.Seq[foundGuest], do func(context.Context, foundGuest) R) iter.Seq[R] {
	return ordered.Map(ctx, ordered.Bounds{AtOnce: jobs, Items: maxUnderWay, Bytes: maxBytesUnderWay}, guests, func(ctx context.Context, take ordered.Take, g foundGuest) R {
		if err := take(g.size()); err != nil {
			g = foundGuest{err: err}
		}
		return do(ctx, g)
	})
}

// size returns the total size of a guest's texts in bytes.
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

// pairs combines each guest and its error into one value.
func pairs(guests iter.Seq2[*Guest, error]) iter.Seq[foundGuest] {
	return func(yield func(foundGuest) bool) {
		for guest, err := range guests {
			if !yield(foundGuest{guest, err}) {
				return
			}
		}
	}
}

// collector collects what all disks of a host state about images: in
// definitions, live XML, snapshots, checkpoints and saved states.
type collector struct {
	jobs     int           // number of guests that are examined concurrently
	walker   *chain.Walker // without evidence
	evidence *chain.Evidence
	warn     func(guest string, err error)
	search   *usageSearch // nil if the caller does not search for an image

	kept      []foundGuest // of those with a definition, the first ones
	keptBytes int64
	keptAll   bool
}

// guestFacts is what the XML of one guest states.
type guestFacts struct {
	foundGuest
	read     []chain.ReadEvidence
	warnings []error // of the guest, but not of its definition
	ended    error   // why nothing more comes
	found    foundUses
	now      []chain.Layer // see statedNow; only where somebody asks who uses an image
}

// collect reads every guest of an inventory. It calls warn for what cannot be
// read and leaves that out; it calls onGuest with every name, and the error if
// the guest's definition could not be read. The error is that of an inventory
// that has ended, or of ctx.
func (c *collector) collect(ctx context.Context, inventory Inventory, onGuest func(guest string, err error)) error {
	c.keptAll = true
	for h := range atOnce(ctx, c.jobs, pairs(inventory.Guests(ctx)), c.readDefined) {
		if h.ended != nil {
			return h.ended
		}
		onGuest(h.Name, h.err)
		c.keep(h.foundGuest)
		c.add(h)
	}
	for h := range atOnce(ctx, c.jobs, pairs(inventory.Transient(ctx)), c.readTransient) {
		if h.ended != nil {
			return h.ended
		}
		c.add(h)
	}
	return ctx.Err()
}

// keep stores a guest for its report, within maxKept.
func (c *collector) keep(g foundGuest) {
	if c.keptBytes += g.size(); c.keptBytes > maxKept {
		c.keptAll = false
	}
	if c.keptAll {
		c.kept = append(c.kept, g)
	}
}

// guests yields the guests with a definition again: the kept ones, and the
// others by reading them again.
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

// add adds what was collected to the evidence.
func (c *collector) add(h guestFacts) {
	if c.search != nil {
		c.search.add(h)
	}
	for _, read := range h.read {
		for _, err := range read.Missing {
			h.warnings = append(h.warnings, fmt.Errorf("evidence about an image is missing: %w", err))
		}
		c.evidence.AddRead(read)
	}
	for _, err := range h.warnings {
		c.warn(h.Name, err)
	}
}

// readDefined reads a guest with a definition.
func (c *collector) readDefined(ctx context.Context, g foundGuest) guestFacts {
	h := guestFacts{foundGuest: g}
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

// readTransient reads a guest that runs without a definition.
func (c *collector) readTransient(ctx context.Context, g foundGuest) guestFacts {
	h := guestFacts{foundGuest: g}
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

// definition reads the disks of a definition, with their chains as walked
// without evidence.
func (c *collector) definition(ctx context.Context, h *guestFacts, doc *xmlfix.Document) error {
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

// otherXML reads the disks of a guest's other XML: live, snapshots,
// checkpoints, saved state.
func (c *collector) otherXML(ctx context.Context, h *guestFacts) error {
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
			all = append(all, metadata) // skip others
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

// disks returns the disks of the copy of a definition.
func (m *Metadata) disks(guest string) ([]*xmlfix.Disk, error) {
	doc, err := xmlfix.ParseMetadata(guest+"/"+m.Name, m.XML)
	if err != nil {
		return nil, err
	}
	return doc.Disks(), nil
}

func (c *collector) disks(ctx context.Context, h *guestFacts, occasion chain.Occasion, disks []*xmlfix.Disk) {
	for _, disk := range disks {
		// A disk that libvirt would not accept is ignored.
		if stated, err := disk.Stated(); err == nil {
			stated.Guest = h.Name // a copy may have an earlier name
			h.read = append(h.read, c.evidence.Read(ctx, occasion, stated, nil))
		}
	}
}
