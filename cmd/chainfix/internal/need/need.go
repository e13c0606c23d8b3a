// Package need says which disks of a document need an explicit chain: it
// predicts what each version of libvirt does with an unchanged disk, and sums
// that up.
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

// Prediction is what a version of libvirt does with an unchanged disk.
type Prediction struct {
	Target libvirt.Pair
	predict.Prediction
	// Err says why that is unknown here: it wraps [predict.ErrUnseen], or is
	// about a disk that could not be read. Then the rest is not valid.
	Err error
}

// Predict predicts what each of the targets does with an unchanged disk. The
// error is the cause of a context that has ended.
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

// Of returns the need of a disk with these predictions: the greatest one.
func Of(predictions []Prediction) predict.Need {
	worst := predict.Recorded
	for _, p := range predictions {
		worst = max(worst, p.Need())
	}
	return worst
}

// OfSeen predicts the need of a disk from the images that w has read, and
// reads no others. If those might show a problem in a chain that looks right,
// the need is unknown.
func OfSeen(ctx context.Context, w *chain.Walker, disk xmlfix.DiskExamination, targets []libvirt.Pair) (predict.Need, error) {
	remembering, missed := w.CachedOnly()
	predictions, err := Predict(ctx, remembering, disk, targets)
	need := Of(predictions)
	if need < predict.Refused && missed() {
		need = predict.Unknown
	}
	return need, err
}

// Need returns the disk's need under this libvirt: [predict.Unknown] with an
// Err.
func (p Prediction) Need() predict.Need {
	if p.Err != nil {
		return predict.Unknown
	}
	return p.Prediction.Need()
}

// AnyLibvirt returns the libvirts to predict for if the version is unknown:
// one for each way of detecting a chain. Features that an older QEMU lacks are
// ignored, since an explicit chain does not help there.
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

// unreadable returns the prediction for a disk that could not be read, or was
// not walked because of [xmlfix.MaxChains].
func unreadable(disk xmlfix.DiskExamination, target libvirt.Pair) Prediction {
	var e *xmlfix.Error
	if errors.As(disk.Err, &e) {
		if words, sure := e.Objection.By(target.Libvirt); sure {
			return Prediction{Target: target, Prediction: predict.Prediction{Outcome: predict.Refuses, Reason: words, Layer: finding.WholeDisk}}
		}
	}
	return Prediction{Target: target, Err: fmt.Errorf("the outcome for this disk is unknown: %w", disk.Err)}
}
