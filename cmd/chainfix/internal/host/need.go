package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/need"
	"github.com/chainfix/chainfix/xmlfix"
)

// Need returns the greatest need of the guest's disks; [predict.Unknown] if
// its definition cannot be read.
func (r *Report) Need() predict.Need {
	if r.Err != nil || r.Examination.Err != nil {
		return predict.Unknown
	}
	worst := predict.Recorded
	for _, need := range r.Needs {
		worst = max(worst, need)
	}
	return worst
}

// Wanted reports whether an apply includes the guest: named guests always, all
// guests if all is set, otherwise only those that need it. A guest that
// somebody should look at is held back ([Report.HeldBack]), not left out.
func (r *Report) Wanted(all bool) bool {
	if all || r.Named || r.Need() != predict.Recorded {
		return true
	}
	_, why := r.HeldBack()
	return errors.Is(why, ErrByName)
}

// predict adds the predictions and the need of a disk to the guest's report,
// and a finding if the guest would see other bytes with an explicit chain.
func (s *Scan) predict(ctx context.Context, w *chain.Walker, r *Report, disk xmlfix.DiskExamination) error {
	all, err := need.Predict(ctx, w, disk, s.pairs(r))
	if err != nil {
		return err
	}
	for i, target := range r.Targets {
		all[i].Target = target
	}
	r.Predictions = append(r.Predictions, all)
	if len(all) == 0 {
		if all, err = need.Predict(ctx, w, disk, need.AnyLibvirt()); err != nil {
			return err
		}
	}
	r.Needs = append(r.Needs, need.Of(all))
	if disk.Chain == nil || disk.Chain.Verdict != chain.Fixable {
		return nil
	}
	if now := s.current(); len(s.Targets) > 0 && now.Libvirt.Known() {
		if all, err = need.Predict(ctx, w, disk, []libvirt.Pair{now}); err != nil {
			return err
		}
	}
	if f, found := changedBytes(r.Guest, s.ApplyFlags, disk, all); found {
		r.Findings = append(r.Findings, f)
	}
	return nil
}

// pairs returns the libvirts that predictions are for, each with its QEMU.
func (s *Scan) pairs(r *Report) []libvirt.Pair {
	targets := make([]libvirt.Pair, len(r.Targets))
	for i, target := range r.Targets {
		targets[i] = s.withOwn(target)
	}
	return targets
}

// need returns the need of a disk outside of the guest's definition, for
// example in a snapshot, without reading anything: guests may have written its
// images since.
func (s *Scan) need(ctx context.Context, w *chain.Walker, r *Report, disk xmlfix.DiskExamination) (predict.Need, error) {
	targets := s.pairs(r)
	if len(targets) == 0 {
		targets = need.AnyLibvirt()
	}
	return need.OfSeen(ctx, w, disk, targets)
}

// changedBytes returns the finding that a guest sees, or may see, other bytes
// of a disk with an explicit chain: that is so if one of the predictions is
// Misopens or unknown, or guesses another format than the chain has.
// applyFlags are [Scan.ApplyFlags].
func changedBytes(g *Guest, applyFlags string, disk xmlfix.DiskExamination, predictions []need.Prediction) (f finding.Finding, found bool) {
	layers := disk.Chain.Layers
	guessedElse := func(p need.Prediction) bool {
		return p.Need() == predict.Guessed && p.Guess.Layer < len(layers) && layers[p.Guess.Layer].Format != p.Guess.Format
	}
	i := slices.IndexFunc(predictions, func(p need.Prediction) bool { return p.Need() == predict.Misopened })
	if i < 0 {
		i = slices.IndexFunc(predictions, func(p need.Prediction) bool { return p.Need() == predict.Unknown || guessedElse(p) })
	}
	if i < 0 {
		return finding.Finding{}, false
	}
	worst := predictions[i]
	now := worst.Reason
	switch {
	case worst.Err != nil:
		now = "unknown (" + worst.Err.Error() + ")"
	case guessedElse(worst):
		worst.Layer = worst.Guess.Layer
		now = "the data of " + storage.Describe(layers[worst.Layer].Source) + " as " + string(worst.Guess.Format) + ", which is guessed"
	}
	return finding.Finding{Code: finding.BytesChange, Severity: finding.Warn, Layer: finding.WholeDisk, ByName: true,
		Text: "an explicit chain changes what the guest sees on the disk " + strconv.Quote(disk.Target) + ". Now, with libvirt " + worst.Target.Libvirt.String() + ": " + now +
			". Then: the data of " + shownFrom(disk.Chain, worst.Layer),
		Remedy: finding.Say("find out which of the two is the guest's data; if it is the second: %s", applyCommand(g, applyFlags))}, true
}

// shownFrom describes the images of a chain and their formats, from the one
// that a prediction is about.
func shownFrom(c *chain.Chain, from int) string {
	const most = 2 // images
	layers := c.Layers[min(max(from, 0), len(c.Layers)-1):]
	text := ""
	for i, layer := range layers[:min(len(layers), most)] {
		if i > 0 {
			text += " over "
		}
		text += storage.Describe(layer.At()) + " as " + string(layer.Format)
	}
	if more := len(layers) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
