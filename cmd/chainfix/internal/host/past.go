package host

import (
	"context"
	"strconv"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/xmlfix"
)

// A snapshot's XML was written in the past. Since then the image may have been
// a raw disk that a guest has written, without any trace in a current
// definition. So files in its header are followed only if something current
// states the image's format.

// statedNow returns the images of a guest's disks with a currently stated
// format: by <driver type>, the operator, another disk, or an overlay with a
// stated format. It leaves out images that were not opened.
func statedNow(e *xmlfix.Examination) (all []chain.Layer) {
	for _, d := range e.Disks {
		if d.Chain == nil {
			continue
		}
		for i, layer := range d.Chain.Layers {
			stated := layer.From == chain.Header || layer.From == chain.Trust || layer.From == chain.Libvirt || layer.From == chain.XML && i == 0
			if layer.From == chain.XML && i > 0 {
				above := d.Chain.Layers[i-1].Header
				stated = above != nil && above.Backing != nil && storage.ReadRecord(above.Backing).Format == layer.Format
			}
			if !stated {
				break
			}
			if layer.ID != (storage.FileID{}) {
				all = append(all, layer)
			}
		}
	}
	return all
}

// unconfirmed returns nil for a disk of the past that may be walked, otherwise
// its chain without a walk: an explicit one needs no fix, any other is
// refused.
func unconfirmed(ctx context.Context, w *chain.Walker, past chain.Stated, now []chain.Layer) *chain.Chain {
	top, err := w.Locate(ctx, past.Layers[0])
	if err != nil || !top.Format.CanHaveBacking() {
		return nil
	}
	id, err := w.Identify(ctx, top.At())
	if err != nil {
		return nil // nothing to follow
	}
	facts := w.FactsOf(ctx, top, chain.DiskName{})
	if facts.States(top.Format) {
		return nil
	}
	if len(facts.RawDisks) == 0 {
		slice, _ := storage.SliceOf(top.Source)
		for _, layer := range now {
			its, _ := storage.SliceOf(layer.Source)
			if layer.ID == id && its == slice && layer.Format == top.Format {
				return nil
			}
		}
	}
	if trusted(ctx, w, past, top) {
		return nil
	}
	if past.Terminated {
		return &chain.Chain{Verdict: chain.Explicit, Layers: past.Layers}
	}
	name := storage.ShownName(top.At())
	return &chain.Chain{Verdict: chain.Refused, Layers: past.Layers, Findings: []finding.Finding{{
		Code: finding.ProbedBacking, Severity: finding.Refuse,
		Text:   "no current definition says that " + strconv.Quote(name) + " is still " + string(top.Format) + ", so the files in its header are not touched",
		Remedy: finding.Say("if no guest used it as a raw disk since, state it: %s", finding.Trust(name, string(top.Format)))}}}
}

// trusted reports whether the operator states that a disk's own image still
// has the format from then.
func trusted(ctx context.Context, w *chain.Walker, past chain.Stated, top chain.Layer) bool {
	if len(w.Policy.Trust) == 0 {
		return false
	}
	// For a disk without a <driver type> only the operator can state the format.
	found, err := w.Walk(ctx, chain.Stated{Guest: past.Guest, Target: past.Target, Layers: []chain.Layer{{Source: top.Source, Located: top.Located}}})
	return err == nil && len(found.Layers) > 0 && found.Layers[0].From == chain.Trust && found.Layers[0].Format == top.Format
}
