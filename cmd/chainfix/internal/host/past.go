package host

import (
	"context"
	"strconv"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/xmlfix"
)

// What libvirt keeps of a snapshot was stated in the past. Since then the image may have
// been a raw disk, of which the guest has written every byte, and no definition tells of
// that any more. So what its header names is followed only if something of now says of
// what format the image is.

// statedNow returns the images of a guest's disks of which the format is stated now: by
// the <driver type>, by the operator, by another disk's, or by the record of an image of
// which it is stated. Images that were not opened are not among them.
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

// unconfirmed returns nil for a disk of the past that may be walked, and else its chain:
// one that is explicit has nothing to mend, any other cannot be found out.
func unconfirmed(ctx context.Context, w *chain.Walker, past chain.Stated, now []chain.Layer) *chain.Chain {
	top, err := w.Locate(ctx, past.Layers[0])
	if err != nil || !top.Format.CanHaveBacking() {
		return nil
	}
	id, err := w.Identify(ctx, top.At())
	if err != nil {
		return nil // there is nothing to be followed
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
		Text:   "nothing of now says that " + strconv.Quote(name) + " is still " + string(top.Format) + ", so what its header names is not looked at",
		Remedy: finding.Say("if no guest had it as a raw disk since, state it: %s", finding.Trust(name, string(top.Format)))}}}
}

// trusted reports whether the operator states that a disk's own image is of the format
// that it had.
func trusted(ctx context.Context, w *chain.Walker, past chain.Stated, top chain.Layer) bool {
	if len(w.Policy.Trust) == 0 {
		return false
	}
	// Of a disk without a <driver type> the operator alone says what is followed.
	found, err := w.Walk(ctx, chain.Stated{Guest: past.Guest, Target: past.Target, Layers: []chain.Layer{{Source: top.Source, Located: top.Located}}})
	return err == nil && len(found.Layers) > 0 && found.Layers[0].From == chain.Trust && found.Layers[0].Format == top.Format
}
