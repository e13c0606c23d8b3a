package predict

import (
	"context"
	"iter"
	"slices"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
)

// Disks is [Disk] for several targets, in their order. Most versions treat
// most disks alike: targets for which all facts that a prediction needed are
// the same share one prediction.
func Disks(ctx context.Context, w *chain.Walker, stated chain.Stated, targets []libvirt.Pair) iter.Seq2[Prediction, error] {
	return func(yield func(Prediction, error) bool) {
		var known []answered
		for _, target := range targets {
			i := slices.IndexFunc(known, func(a answered) bool { return a.holdsFor(target) })
			if i >= 0 {
				if !yield(known[i].prediction, nil) {
					return
				}
				continue
			}
			asked := new(answers)
			p, err := disk(ctx, w, stated, target, asked)
			// A reason may name the version.
			if err == nil && p.Reason == "" {
				known = append(known, answered{p, asked})
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// answers are the results of [libvirt.Pair.Does] for the facts that a
// prediction needed. They are few, though each image needs them again.
type answers []answer

type answer struct {
	fact        libvirt.Fact
	does, known bool
}

// add adds an answer. A nil *answers ignores it.
func (a *answers) add(one answer) {
	if a != nil && !slices.Contains(*a, one) {
		*a = append(*a, one)
	}
}

// answered is a prediction with the answers that it depends on.
type answered struct {
	prediction Prediction
	asked      *answers
}

func (a answered) holdsFor(target libvirt.Pair) bool {
	for _, was := range *a.asked {
		if does, known := target.Does(was.fact); was.does != does || was.known != known {
			return false
		}
	}
	return !refusesQEMU(target.Complete())
}
