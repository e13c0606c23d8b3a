package predict

import (
	"context"
	"iter"
	"slices"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
)

// Disks is [Disk] for several targets, in their order. Most disks are the same to most
// versions: where all facts that a prediction asked for hold for another target too, or
// hold for neither, that gets the same one.
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
			// Words may name the version.
			if err == nil && p.Reason == "" {
				known = append(known, answered{p, asked})
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// answers are what [libvirt.Pair.Does] says of the facts that a prediction asks for. There
// are few, which are asked for again for each image.
type answers []answer

type answer struct {
	fact        libvirt.Fact
	does, known bool
}

// add adds an answer. A nil *answers takes none.
func (a *answers) add(one answer) {
	if a != nil && !slices.Contains(*a, one) {
		*a = append(*a, one)
	}
}

// answered is a prediction, and the answers that it is from.
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
