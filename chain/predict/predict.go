// Package predict predicts what a given version of libvirt, with its QEMU,
// does with a disk if the definition stays unchanged:
//
//	stated, err := document.Disks()[0].Stated()
//	...
//	prediction, err := predict.Disk(ctx, walker, stated, libvirt.Pair{Libvirt: libvirt.Version{Major: 11, Minor: 3}})
//	if errors.Is(err, predict.ErrUnseen) {
//		// The outcome depends on an image that cannot be read here.
//	}
//
// Package libvirt has the rules that differ between versions. If it is unknown
// whether a version has a rule, the prediction is the worse of both outcomes.
package predict

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// Outcome is what happens to a disk when a guest starts with its unchanged
// definition.
type Outcome int

const (
	// Starts: the guest starts and sees the bytes of its disk.
	Starts Outcome = iota
	// Refuses: libvirt, or the QEMU that it runs, refuses the disk, and the
	// guest does not start.
	Refuses
	// Misopens: the guest starts and sees wrong bytes, such as those of the
	// container file, or zeros instead of a backing image; or QEMU opens a file
	// because an image with a guessed format names it.
	Misopens
)

// String returns "starts", "refuses" or "misopens", the words of the JSON
// output.
func (o Outcome) String() string {
	switch o {
	case Starts:
		return "starts"
	case Refuses:
		return "refuses"
	case Misopens:
		return "misopens"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// Prediction is what a libvirt will do with a disk.
type Prediction struct {
	Outcome Outcome
	// Reason says why, in one line: libvirt's own message, QEMU's objection, or
	// what is opened wrongly. For a disk that starts it is usually ""; otherwise
	// it names a condition beyond the images, such as a file that libvirt does
	// not know of, so that security labels keep QEMU from it. Names are quoted,
	// and credentials are not shown.
	Reason string
	// Layer is the index of the image that the reason is about, 0 the top; or
	// [finding.WholeDisk].
	Layer int
	// Guess is the first format that libvirt or QEMU guesses, or the zero Guess.
	// It matters only for a disk that starts: see [Prediction.Need].
	Guess Guess
	// LeftOut, with Starts, means that libvirt starts the guest without the disk.
	LeftOut bool
}

var (
	// ErrNoTarget: the target has no version of libvirt.
	ErrNoTarget = errors.New("no version of libvirt is given")
	// ErrUnseen: the outcome depends on an image that could not be read here,
	// although libvirt or QEMU may be able to.
	ErrUnseen = errors.New("the outcome depends on an image that cannot be read here")
)

// Disk predicts what a libvirt and its QEMU (by default the one that
// distributions pair with it) do with one disk when the guest starts. stated
// is the unchanged definition; the policy is ignored. The rules come from
// libvirt 7.0, 9.0, 11.3 and 12.9, and from QEMU 5.2, 7.2, 10.0 and 11.1, by
// version where they differ. If it is unknown which of two rules a version has
// ([libvirt.Pair.Does]), the outcome is the worse of the two, and the reason
// says so.
//
// Disk reads what a walk of w reads, and shares its cache: after a Walk it
// opens no image again. It does not touch files that are named only by an
// image with an unstated format, though libvirt or QEMU might open them; the
// rules alone then decide the outcome. A signature in an image that is stated
// to be raw is ignored: the guest was given these bytes. Disk assumes that
// servers answer, that QEMU may read the files, and that pools are active. It
// reads only headers: an image with truncated or damaged tables or data is
// predicted to start.
//
// QEMU opens extents and data files because a header names them. If the
// image's format was stated, that is no worse than following a backing image,
// so the guest [Starts], with a remark; if it was guessed, the disk
// [Misopens]. A libvirt that itself follows a guess (a backing image of qed)
// misopens too, even if the next image may be refused.
//
// The error is the cause of a context that has ended, or wraps [ErrUnseen] and
// the error of an image that could not be read, or is [ErrNoTarget] or
// [chain.ErrNoTop].
func Disk(ctx context.Context, w *chain.Walker, stated chain.Stated, target libvirt.Pair) (Prediction, error) {
	return disk(ctx, w, stated, target, nil)
}

// disk is [Disk]. It records the facts that it needed in asked, if that is not
// nil.
func disk(ctx context.Context, w *chain.Walker, stated chain.Stated, target libvirt.Pair, asked *answers) (Prediction, error) {
	switch {
	case len(stated.Layers) == 0:
		return Prediction{}, chain.ErrNoTop
	case !target.Libvirt.Known():
		return Prediction{}, ErrNoTarget
	}
	return worst(&predictor{Walker: w, ctx: ctx, stated: stated, target: target.Complete(), asked: asked})
}

// worst predicts the outcome. If that depends on facts that may or may not
// hold for the version (there are few), it returns the worst outcome of all
// their combinations, including newer behaviour with older.
func worst(p *predictor) (Prediction, error) {
	assumed := p.assumed
	found, err := p.predict()
	if p.undecided == nil || err != nil && !errors.Is(err, ErrUnseen) {
		return found, err
	}
	fact := *p.undecided
	assume := func(holds bool) (Prediction, error) {
		with := maps.Clone(assumed)
		if with == nil {
			with = make(map[libvirt.Fact]bool)
		}
		with[fact] = holds
		return worst(&predictor{Walker: p.Walker, ctx: p.ctx, stated: p.stated, target: p.target, asked: p.asked, assumed: with})
	}
	without, err := assume(false)
	if err != nil {
		return Prediction{}, err
	}
	with, err := assume(true)
	if err != nil {
		return Prediction{}, err
	}
	if without.Outcome == with.Outcome {
		if with.Need() > without.Need() {
			return with, nil
		}
		return without, nil
	}
	found = without
	if with.Outcome > without.Outcome {
		found = with
	}
	found.Reason += "; it is unknown whether " + p.versionOf(fact) + " " + strings.ReplaceAll(fact.What, "`", "")
	return found, nil
}

// versionOf returns the program and the version that a fact is about, for
// messages.
func (p *predictor) versionOf(f libvirt.Fact) string {
	if f.OfQEMU {
		return "QEMU " + p.target.QEMU.String()
	}
	return "libvirt " + p.target.Libvirt.String()
}

// predict is one prediction.
func (p *predictor) predict() (Prediction, error) {
	ctx := p.ctx
	p.found = Prediction{Layer: finding.WholeDisk}
	err := p.run()
	if err == nil || errors.Is(err, errNoMore) {
		err = p.late
	}
	if p.nested != nil && !isEarly(err) && !(errors.Is(err, ErrUnseen) && p.optional()) {
		err = p.nested
	}
	if err == nil || errors.Is(err, ErrUnseen) && !p.optional() {
		err = cmp.Or(p.leftover(), err)
	}
	if err := ctx.Err(); err != nil {
		return Prediction{}, err
	}
	var r *refusal
	switch {
	case errors.As(err, &r) && r.early && p.optional():
		return Prediction{Outcome: Starts, Reason: "libvirt starts the guest without the disk, which is optional: " + r.reason, Layer: r.layer, LeftOut: true}, nil
	case errors.As(err, &r):
		return Prediction{Outcome: Refuses, Reason: r.reason, Layer: r.layer}, nil
	case err != nil:
		return Prediction{}, err
	}
	p.found.Guess = p.guess
	return p.found, nil
}

// refusal ends a prediction: the guest does not start.
type refusal struct {
	layer  int
	reason string
	// early: libvirt refuses the disk while it detects the chain. Then it leaves
	// out an optional disk. Later errors, when it builds QEMU's command line or
	// from QEMU itself, refuse an optional disk like any other (libvirt 9.0).
	early bool
}

func (r *refusal) Error() string { return r.reason }

func isEarly(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.early
}

// predictor is the state of one Predict.
type predictor struct {
	*chain.Walker
	ctx    context.Context
	stated chain.Stated
	target libvirt.Pair // complete
	layer  int          // current layer
	ids    []image.ID

	// layers are the XML's layers that libvirt uses; start is the one from which
	// it detects the rest.
	layers     []chain.Layer
	terminated bool
	start      chain.Layer

	// assumed has the assumed values of facts that may or may not hold for the
	// version; undecided is the first such fact that was needed and is not in
	// assumed. It is assumed not to hold.
	assumed   map[libvirt.Fact]bool
	undecided *libvirt.Fact
	asked     *answers // all facts that were needed; nil if the caller does not need them

	found Prediction // valid if nothing is refused
	guess Guess      // see [Prediction.Guess]
	late  error      // a refusal of an optional disk that is not early
	// nested refuses a chain that is nested too deeply, which libvirt notices
	// only after it has followed the whole chain.
	nested error
}

// does reports whether a fact holds for the libvirt or its QEMU.
func (p *predictor) does(f libvirt.Fact) bool {
	does, known := p.target.Does(f)
	p.asked.add(answer{f, does, known})
	if known {
		return does
	}
	holds, ok := p.assumed[f]
	if !ok && p.undecided == nil {
		p.undecided = &f
	}
	return holds
}

// refusesQEMU reports whether the QEMU of the pair, which must be complete, is
// too old for its libvirt.
func refusesQEMU(pair libvirt.Pair) bool {
	does, _ := pair.Does(libvirt.NeedsQEMU72)
	return does && pair.QEMU.Before(libvirt.Version{Major: 7, Minor: 2})
}

// libvirt ends the prediction: libvirt refuses the chain while it detects it.
func (p *predictor) libvirt(words string) error { return &refusal{p.layer, words, true} }

// commandLine ends the prediction: libvirt refuses to build QEMU's command
// line.
func (p *predictor) commandLine(words string) error { return &refusal{p.layer, words, false} }

// qemu ends the prediction: QEMU refuses the disk.
func (p *predictor) qemu(words string) error { return &refusal{p.layer, words, false} }

// optional reports whether the guest may start without the disk.
func (p *predictor) optional() bool { return p.stated.Layers[0].Source.StartupPolicy == "optional" }

// postpone stores a refusal of an optional disk that is not early, and reports
// that it did: libvirt checks the rest of the chain before QEMU starts, and
// may leave the disk out. It returns every other error.
func (p *predictor) postpone(err error) (postponed bool, _ error) {
	var r *refusal
	if !p.optional() || !errors.As(err, &r) || r.early {
		return false, err
	}
	p.late = cmp.Or(p.late, err)
	return true, nil
}

// afterwards turns a refusal of images that libvirt does not check into QEMU's
// refusal.
func afterwards(err error) error {
	var r *refusal
	if errors.As(err, &r) {
		return &refusal{r.layer, r.reason, false}
	}
	return err
}

// misopens records what is opened wrongly. Only the first is reported, and
// only if nothing is refused.
func (p *predictor) misopens(words string) {
	if p.found.Outcome != Misopens {
		p.found = Prediction{Outcome: Misopens, Reason: words, Layer: p.layer}
	}
}

// guesses records that the format of the current image is guessed.
func (p *predictor) guesses(f probe.Format) {
	if p.guess == (Guess{}) {
		p.guess = Guess{p.layer, f}
	}
}

// remark adds a reason to a disk that starts.
func (p *predictor) remark(words string) {
	if p.found.Reason == "" {
		p.found = Prediction{Outcome: Starts, Reason: words, Layer: p.layer}
	}
}

func (p *predictor) run() error {
	layers, terminated := p.stated.Layers, p.stated.Terminated
	top := layers[0]
	if refusesQEMU(p.target) {
		return p.commandLine("libvirt " + p.target.Libvirt.String() + " does not run QEMU " + p.target.QEMU.String())
	}
	if storage.IsEmpty(top.Source) || storage.IsChainless(top.Source, top.Format) {
		return nil
	}
	onDrive := !p.does(libvirt.ExplicitChains) || p.stated.Bus == "sd"
	if onDrive {
		// libvirt discards the explicit chain (sd: libvirt 9.0 and 11.3).
		layers, terminated = layers[:1:1], false
	}
	if p.stated.Shareable && !p.stated.ReadOnly && top.HeaderFormat() != "" && top.Format != probe.Raw {
		return p.commandLine("shared access for disk '" + p.stated.Target + "' requires use of supported storage format")
	}
	if err := p.bounded(len(layers), top); err != nil {
		return err
	}
	for i, layer := range layers {
		if p.nests(i+1, layer.Format); !layer.Format.CanHaveBacking() {
			break // QEMU does not get the rest of the chain
		}
	}
	p.layers, p.terminated, p.start = layers, terminated, top
	last, l, err := p.explicit()
	if err != nil || last.Source == nil {
		return err
	}
	if !onDrive {
		return p.detect(last, l)
	}
	if p.does(libvirt.ExplicitChains) {
		// libvirt still follows the chain and may refuse it, but does not pass the
		// result to QEMU.
		before := *p
		var r *refusal
		if err := p.detect(last, l); errors.As(err, &r) && r.early {
			return err
		}
		before.undecided = p.undecided
		*p = before
	}
	return p.follow(last, l.Header)
}

// bounded refuses a chain of n layers that is too deep.
func (p *predictor) bounded(n int, of chain.Layer) error {
	switch {
	case n > chain.MaxLayers && !p.does(libvirt.CountsLayers):
		return p.libvirt(fmt.Sprintf("backing chains more than %d layers deep are not supported", chain.MaxLayers))
	case n > chain.MaxLayers:
		return p.libvirt("backing store for " + storage.Describe(of.Source) + " is self-referential or too deeply nested")
	}
	return nil
}

// nests records that with the nth image of a chain, which has a format,
// libvirt can no longer parse QEMU's description of the chain.
func (p *predictor) nests(n int, format probe.Format) {
	if n > libvirt.DeepestNested && format != probe.Raw && p.does(libvirt.NestingIsBounded) {
		p.nested = p.commandLine(fmt.Sprintf("libvirt 10.8 to 11.10 cannot start a guest on a chain of more than about %d layers: its JSON library refuses the nesting", libvirt.DeepestNested))
	}
}
