// Package predict says what a libvirt of some version, with a QEMU of its time, does
// with a disk as its definition is:
//
//	stated, err := document.Disks()[0].Stated()
//	...
//	prediction, err := predict.Disk(ctx, walker, stated, libvirt.Version{Major: 11, Minor: 3})
//	if errors.Is(err, predict.ErrUnseen) {
//		// It depends on an image that cannot be read here.
//	}
//
// The rules that differ from version to version are in package libvirt.
package predict

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
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
}

var (
	// ErrNoTarget: a prediction was asked for without a version of libvirt.
	ErrNoTarget = errors.New("no version of libvirt is given")
	// ErrUnseen: what happens depends on an image that could not be looked
	// at here, although libvirt or QEMU may be able to.
	ErrUnseen = errors.New("what happens depends on an image that cannot be read here")
)

// Disk says what the libvirt of version target, with a QEMU of its time,
// does with one disk when the guest starts. stated is the definition as it is;
// of a policy nothing counts. The rules are those of libvirt 9.0 and 11.3, by
// version where they differ, and of QEMU 7.2 and 10.0.
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
func Disk(ctx context.Context, w *chain.Walker, stated chain.Stated, target libvirt.Version) (Prediction, error) {
	switch {
	case len(stated.Layers) == 0:
		return Prediction{}, chain.ErrNoTop
	case !target.Known():
		return Prediction{}, ErrNoTarget
	}
	p := &predictor{Walker: w, ctx: ctx, stated: stated, target: target, found: Prediction{Layer: finding.WholeDisk}}
	err := p.run()
	if err == nil {
		err = p.late
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
		return Prediction{Starts, "libvirt starts the guest without the disk, which is optional: " + r.reason, r.layer}, nil
	case errors.As(err, &r):
		return Prediction{Refuses, r.reason, r.layer}, nil
	case err != nil:
		return Prediction{}, err
	}
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

// predictor is the state of one Predict.
type predictor struct {
	*chain.Walker
	ctx    context.Context
	stated chain.Stated
	target libvirt.Version
	layer  int // that is being looked at
	ids    []image.ID

	// layers are those of the XML that libvirt takes, and start the one from
	// which it goes on by itself.
	layers     []chain.Layer
	terminated bool
	start      chain.Layer

	found Prediction // as long as nothing is refused
	late  error      // a refusal of an optional disk that is not early
}

// does reports whether the libvirt does what a fact says.
func (p *predictor) does(f libvirt.Fact) bool { return f.Holds(p.target) }

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
		p.found = Prediction{Misopens, words, p.layer}
	}
}

// remark notes something about a disk that starts.
func (p *predictor) remark(words string) {
	if p.found.Reason == "" {
		p.found = Prediction{Starts, words, p.layer}
	}
}

func (p *predictor) run() error {
	layers, terminated := p.stated.Layers, p.stated.Terminated
	top := layers[0]
	if storage.IsEmpty(top.Source) || storage.IsChainless(top.Source, top.Format) {
		return nil
	}
	onDrive := !p.does(libvirt.ExplicitChains) || p.stated.Bus == "sd"
	if onDrive {
		// libvirt forgets the explicit chain (sd: 9.0 and 11.3).
		layers, terminated = layers[:1:1], false
	}
	if err := p.bounded(len(layers), top); err != nil {
		return err
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
		*p = before
	}
	return p.follow(last, l.Header)
}

// bounded refuses a chain of n layers that is too deep.
func (p *predictor) bounded(n int, of chain.Layer) error {
	switch {
	case n > chain.MaxLayers:
		return p.libvirt("backing store for " + storage.Describe(of.Source) + " is self-referential or too deeply nested")
	case n > libvirt.DeepestNested && p.does(libvirt.NestingIsBounded):
		return p.commandLine(fmt.Sprintf("libvirt 10.8 to 11.10 cannot start a guest on a chain of more than about %d layers: its JSON library refuses the nesting", libvirt.DeepestNested))
	}
	return nil
}
