// Package need finds out whether the disks of a document need an explicit chain: it predicts what
// each version of libvirt would do with an unchanged disk, and sums that up.
package need

import (
	"context"
	"errors"
	"fmt"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/xmlfix"
)

// Prediction is what a version of libvirt would do with an unchanged disk.
type Prediction struct {
	Target libvirt.Pair
	predict.Prediction
	// Err says why the prediction is unknown: it wraps [predict.ErrUnseen], or
	// is about a disk that could not be read. If it is set, the rest is
	// invalid.
	Err error
}

// Predict predicts what each target would do with an unchanged disk. It returns an
// error only if ctx ends.
func Predict(ctx context.Context, w *chain.Walker, disk xmlfix.DiskExamination, targets []libvirt.Pair) ([]Prediction, error) {
	var all []Prediction
	if disk.Chain == nil {
		for _, target := range targets {
			all = append(all, unreadable(disk, target))
		}
		return all, nil
	}
	for p, err := range predict.Disks(ctx, w, disk.Stated, targets) {
		if err != nil && !errors.Is(err, predict.ErrUnseen) {
			return nil, err
		}
		all = append(all, Prediction{targets[len(all)], p, err})
	}
	return all, nil
}

// Of returns the need of a disk with these predictions: the worst one.
func Of(predictions []Prediction) predict.Need {
	worst := predict.Recorded
	for _, p := range predictions {
		worst = max(worst, p.Need())
	}
	return worst
}

// OfSeen predicts the need of a disk from the images that w has already read; it reads no
// other on a header's word. If another image could show that a chain is wrong that seems
// right, the need is unknown.
func OfSeen(ctx context.Context, w *chain.Walker, disk xmlfix.DiskExamination, targets []libvirt.Pair) (predict.Need, error) {
	remembering, missed := w.Remembering()
	predictions, err := Predict(ctx, remembering, disk, targets)
	need := Of(predictions)
	if need < predict.Refused && missed() {
		need = predict.Unknown
	}
	return need, err
}

// Need is what the disk needs under this libvirt: [predict.Unknown] with an Err.
func (p Prediction) Need() predict.Need {
	if p.Err != nil {
		return predict.Unknown
	}
	return p.Prediction.Need()
}

// AnyLibvirt returns the libvirts to predict for if none is known: one for each way of detecting
// a chain. What an older QEMU lacks does not count, since no chain can supply it.
func AnyLibvirt() []libvirt.Pair {
	var all []libvirt.Pair
	for _, version := range libvirt.Detectors() {
		pair := libvirt.Pair{Libvirt: version}.Complete()
		if complete := (libvirt.Version{Major: 7, Minor: 2}); pair.QEMU.Before(complete) {
			pair.QEMU = complete
		}
		all = append(all, pair)
	}
	return all
}

// unreadable returns the prediction for a disk that could not be read, or was not
// walked because its XML has no room for a chain.
func unreadable(disk xmlfix.DiskExamination, target libvirt.Pair) Prediction {
	var e *xmlfix.Error
	if errors.As(disk.Err, &e) {
		if words, sure := e.Objection.By(target.Libvirt); sure {
			return Prediction{Target: target, Prediction: predict.Prediction{Outcome: predict.Refuses, Reason: words, Layer: finding.WholeDisk}}
		}
	}
	return Prediction{Target: target, Err: fmt.Errorf("the prediction for this disk is unknown: %w", disk.Err)}
}
