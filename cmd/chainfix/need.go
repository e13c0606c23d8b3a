package main

import (
	"context"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/need"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
	"github.com/chainfix/chainfix/xmlfix"
)

// needsOf finds out whether the disks of one document need an explicit chain, for the libvirt
// that reads the result, or for any libvirt if that is unknown. It reads no image on a header's
// word that the walk did not read.
func needsOf(ctx context.Context, w *chain.Walker, e *xmlfix.Examination) ([]predict.Need, error) {
	targets := []libvirt.Pair{{Libvirt: w.Policy.Target}}
	if !w.Policy.Target.Known() {
		targets = need.AnyLibvirt()
	}
	var needs []predict.Need
	for _, disk := range e.Disks {
		if disk.Chain != nil && disk.Chain.Verdict != chain.Skipped {
			lookAtStated(ctx, w, disk.Stated)
		}
		need, err := need.OfSeen(ctx, w, disk, targets)
		if err != nil {
			return nil, err
		}
		needs = append(needs, need)
	}
	return needs, nil
}

// lookAtStated reads the images that the XML itself names, so that the prediction finds them in
// the cache. Failures are cached too.
func lookAtStated(ctx context.Context, w *chain.Walker, stated chain.Stated) {
	for _, layer := range stated.Layers {
		layer, err := w.Locate(ctx, layer)
		if path, local := layer.LocalPath(); err == nil && local && strings.HasPrefix(path, "/") {
			w.Identify(ctx, layer.At())
			w.Look(ctx, layer.At(), layer.HeaderFormat())
		}
	}
}

// need returns the greatest need of its disks, or Unknown for a document that cannot be
// read.
func (e *examined) need() predict.Need {
	if e.Err != nil {
		return predict.Unknown
	}
	return slices.Max(append([]predict.Need{predict.Recorded}, e.needs...))
}

// shownNeed returns the need as text after a verdict. For an explicit chain it says something
// only if the chain is wrong.
func shownNeed(v chain.Verdict, n predict.Need) string {
	switch {
	case n == predict.Recorded && (v == chain.Explicit || v == chain.Skipped):
		return ""
	case n == predict.Recorded:
		return "; not needed"
	case n == predict.Unknown:
		return "; unknown whether it is needed"
	}
	return "; needed: " + text.Because(n.String())
}

// shownVerdict returns a verdict as text.
func shownVerdict(v chain.Verdict) string {
	if v == chain.Refused {
		return text.NeedsDecision
	}
	return v.String()
}
