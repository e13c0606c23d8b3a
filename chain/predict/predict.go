// Package predict says what a libvirt of some version, with the QEMU that it runs, does
// with a disk as its definition is:
//
//	stated, err := document.Disks()[0].Stated()
//	...
//	prediction, err := predict.Disk(ctx, walker, stated, libvirt.Pair{Libvirt: libvirt.Version{Major: 11, Minor: 3}})
//	if errors.Is(err, predict.ErrUnseen) {
//		// It depends on an image that cannot be read here.
//	}
//
// The rules that differ from version to version are in package libvirt. Where it is
// not known whether a version has one, the worse of both is predicted.
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

// Outcome is what becomes of a disk when a guest is started with its
// definition as it is.
type Outcome int

const (
	// Starts: the guest starts and sees the bytes of its disk.
	Starts Outcome = iota
	// Refuses: libvirt, or the QEMU that it runs, refuses the disk, and the
	// guest does not start.
	Refuses
	// Misopens: the guest starts and sees bytes that are not its disk's, such
	// as a container's, or zeros in the place of a base; or QEMU opens a file
	// that nobody stated, on the word of an image whose format was guessed.
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
	// Reason says why, in one line: libvirt's own words where it refuses, what
	// QEMU objects to, or what is opened wrongly. Of a disk that starts it
	// says what depends on more than the images, such as a file that libvirt
	// does not know of and a host with security labels keeps QEMU from; mostly
	// it is "". Names are quoted, and credentials are not shown.
	Reason string
	// Layer is the index of the image that the reason is about, 0 the top; or
	// [finding.WholeDisk].
	Layer int
	// Guess is the first format that libvirt or QEMU guesses, the zero Guess if there is
	// none. It counts only of a disk that starts: see [Prediction.Need].
	Guess Guess
	// LeftOut says of a disk that starts that libvirt starts the guest without it.
	LeftOut bool
}

var (
	// ErrNoTarget: a prediction was asked for without a version of libvirt.
	ErrNoTarget = errors.New("no version of libvirt is given")
	// ErrUnseen: what happens depends on an image that could not be looked
	// at here, although libvirt or QEMU may be able to.
	ErrUnseen = errors.New("what happens depends on an image that cannot be read here")
)

// Disk says what a libvirt and its QEMU, or the one that a distribution pairs with it,
// do with one disk when the guest starts. stated is the definition as it is;
// of a policy nothing counts. The rules are those of libvirt 7.0, 9.0, 11.3 and 12.9, by
// version where they differ, and of QEMU 5.2, 7.2, 10.0 and 11.1. Where it is not known
// which of two rules holds ([libvirt.Pair.Does]) the outcome is the worse of
// the two, and the reason says so.
//
// It reads what a walk of w reads, and shares its memory: after a Walk it opens
// nothing that was opened before. An image that is only named by one whose format nobody stated
// is not looked at, though libvirt or QEMU might open it; the rules alone then
// say how it ends. That an image which is stated to be raw bears another
// format's signature counts for nothing: that is what the guest was given.
// Servers are taken to answer, files to be readable by QEMU, and pools to be
// active. Only headers are read: an image whose tables or data are cut off or
// damaged starts.
//
// QEMU opens extents and data files on the word of a header. Of an image whose
// format somebody stated that is no more than following its backing image's
// name, so such a guest [Starts], with a remark; of one whose format was guessed
// it [Misopens]. A libvirt that follows a guess itself (below qed) misopens,
// too, though what it comes to may be refused.
//
// The error is for a context that has ended, wraps the error of an image that
// could not be looked at together with [ErrUnseen], or is [ErrNoTarget] or
// [chain.ErrNoTop].
func Disk(ctx context.Context, w *chain.Walker, stated chain.Stated, target libvirt.Pair) (Prediction, error) {
	return disk(ctx, w, stated, target, nil)
}

// disk is [Disk]. It notes the facts that it asks for, if asked is not nil.
func disk(ctx context.Context, w *chain.Walker, stated chain.Stated, target libvirt.Pair, asked *answers) (Prediction, error) {
	switch {
	case len(stated.Layers) == 0:
		return Prediction{}, chain.ErrNoTop
	case !target.Libvirt.Known():
		return Prediction{}, ErrNoTarget
	}
	return worst(&predictor{Walker: w, ctx: ctx, stated: stated, target: target.Complete(), asked: asked})
}

// worst predicts, and if that depends on a fact of which it is not known whether it
// holds, predicts the worse of both: as long as there are such facts, which are few.
// What happens with newer ones and older ones together counts too.
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
	found.Reason += "; it is not known whether " + p.versionOf(fact) + " " + strings.ReplaceAll(fact.What, "`", "")
	return found, nil
}

// versionOf returns the program and the version that a fact is about, for people.
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
	// early: libvirt refuses the disk while it finds out what is in the chain.
	// Then it leaves out a disk that is optional. What it objects to after
	// that, as it makes QEMU's command line, and what QEMU objects to, refuses
	// an optional disk like any other (libvirt 9.0).
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
	layer  int          // that is being looked at
	ids    []image.ID

	// layers are those of the XML that libvirt takes, and start the one from
	// which it goes on by itself.
	layers     []chain.Layer
	terminated bool
	start      chain.Layer

	// assumed are the facts of which it is not known whether they hold, as they
	// are taken to be, and undecided the first one that was asked for and is not
	// among them. It is taken not to hold.
	assumed   map[libvirt.Fact]bool
	undecided *libvirt.Fact
	asked     *answers // all that was asked for; nil where nobody wants to know

	found Prediction // as long as nothing is refused
	guess Guess      // see [Prediction.Guess]
	late  error      // a refusal of an optional disk that is not early
	// nested refuses a chain that is nested too deeply, which libvirt finds out
	// when it has been through the whole of it.
	nested error
}

// does reports whether the libvirt or its QEMU does what a fact says.
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

// refusesQEMU reports whether a libvirt runs no QEMU as old as the one of the pair, which
// is complete.
func refusesQEMU(pair libvirt.Pair) bool {
	does, _ := pair.Does(libvirt.NeedsQEMU72)
	return does && pair.QEMU.Before(libvirt.Version{Major: 7, Minor: 2})
}

// libvirt ends the prediction with the refusal of a libvirt that finds out what
// is in the chain.
func (p *predictor) libvirt(words string) error { return &refusal{p.layer, words, true} }

// commandLine ends it with the refusal of a libvirt that makes QEMU's command
// line.
func (p *predictor) commandLine(words string) error { return &refusal{p.layer, words, false} }

// qemu ends it with QEMU's.
func (p *predictor) qemu(words string) error { return &refusal{p.layer, words, false} }

// optional reports whether the guest may start without the disk.
func (p *predictor) optional() bool { return p.stated.Layers[0].Source.StartupPolicy == "optional" }

// postpone keeps a refusal of an optional disk that is not early, and reports
// that it did: libvirt looks at the rest of the chain before QEMU sees any of it,
// and may leave the disk out. Every other error is returned.
func (p *predictor) postpone(err error) (postponed bool, _ error) {
	var r *refusal
	if !p.optional() || !errors.As(err, &r) || r.early {
		return false, err
	}
	p.late = cmp.Or(p.late, err)
	return true, nil
}

// afterwards makes what is wrong with images that libvirt does not look at
// QEMU's refusal.
func afterwards(err error) error {
	var r *refusal
	if errors.As(err, &r) {
		return &refusal{r.layer, r.reason, false}
	}
	return err
}

// misopens notes what is opened wrongly. The first one is told, and only if
// nothing is refused.
func (p *predictor) misopens(words string) {
	if p.found.Outcome != Misopens {
		p.found = Prediction{Outcome: Misopens, Reason: words, Layer: p.layer}
	}
}

// guesses notes that the format of the image that is being looked at is guessed.
func (p *predictor) guesses(f probe.Format) {
	if p.guess == (Guess{}) {
		p.guess = Guess{p.layer, f}
	}
}

// remark notes something about a disk that starts.
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
		// libvirt forgets the explicit chain (sd: 9.0 and 11.3).
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
			break // QEMU sees nothing of the chain below
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
		// libvirt walks the chain all the same, and may refuse it; what it
		// finds it does not tell QEMU.
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

// nests notes that with the nth image of a chain, which has a format, libvirt cannot
// read any more what QEMU says of the chain.
func (p *predictor) nests(n int, format probe.Format) {
	if n > libvirt.DeepestNested && format != probe.Raw && p.does(libvirt.NestingIsBounded) {
		p.nested = p.commandLine(fmt.Sprintf("libvirt 10.8 to 11.10 cannot start a guest on a chain of more than about %d layers: its JSON library refuses the nesting", libvirt.DeepestNested))
	}
}
