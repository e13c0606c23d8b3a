package host

import (
	"context"
	"slices"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/xmlfix"
)

// The texts of a guest in which a [collector] looks for uses of an image.

// searchDefinition looks for uses in a definition.
func (c *collector) searchDefinition(ctx context.Context, h *heard, disks []xmlfix.DiskExamination) {
	r := c.usageReader(ctx, h.Guest, inDefinition)
	r.disks(disks)
	r.elsewhere(h.Definition)
	h.now = statedNow(&xmlfix.Examination{Disks: disks})
	h.found.append(r.found)
}

// searchLive looks for uses in the XML that a guest runs with.
func (c *collector) searchLive(ctx context.Context, h *heard, doc *xmlfix.Document) error {
	r := c.usageReader(ctx, h.Guest, inLive)
	disks, err := r.running(doc)
	if err != nil {
		return err
	}
	if h.Definition == nil {
		h.now = statedNow(&xmlfix.Examination{Disks: disks})
	}
	r.elsewhere(h.Live)
	h.found.append(r.found)
	return nil
}

// searchStored looks for uses in what libvirt keeps of a guest.
func (c *collector) searchStored(ctx context.Context, h *heard, m *Metadata) error {
	r := c.usageReader(ctx, h.Guest, Stored{m.Kind, m.Name}.String())
	r.past = true
	e, err := xmlfix.ExamineMetadata(ctx, c.walker, h.Name+"/"+m.Name, m.XML, func(past chain.Stated) *chain.Chain {
		return unconfirmed(ctx, c.walker, past, h.now)
	})
	if err != nil {
		return err
	}
	if e.Err != nil {
		r.doubt("", reasonOf(e.Err))
	}
	r.disks(e.Disks)
	r.elsewhere(m.XML)
	switch {
	case m.Kind != SavedState:
	case m.File != "":
		r.use("", asSaved, false, chain.Layer{Source: storage.LocalSource(m.File, false)})
	case slices.Contains(c.search.target.bases, h.Name+".save"):
		// A daemon does not tell the path.
		r.doubt("", "the guest has a saved state in a file of that name")
	}
	h.found.append(r.found)
	return nil
}

func (f *foundUses) append(other foundUses) {
	f.uses = append(f.uses, other.uses...)
	f.doubts = append(f.doubts, other.doubts...)
	f.again = append(f.again, other.again...)
}
