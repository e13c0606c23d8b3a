package host

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/xmlfix"
)

// Apply makes the chains of a host's guests explicit.
//
// Before the first change the old and the new definition of every guest are in
// the folder of a [Run], whose manifest is written ahead. Then each guest is
// given its new definition, which is read back and compared; a guest of which
// libvirt makes anything else gets its old one again. Of a running guest the
// persistent definition is changed, and nothing of one that has a managed save
// image, a block job, or a definition that is not the one that was scanned.
//
// Ended at any moment, every guest has its old definition or its new one, and
// the manifest says which, but for one guest at most, of which it says that it
// has one of the two. The next Apply carries on in the same folder.
type Apply struct {
	Daemon *Daemon
	Scan   *Scan // of the Daemon
	// Connect names the host in the manifest: the URI of the Daemon.
	Connect string
	// StateDir is the folder that holds the runs; it is made if it is not
	// there.
	StateDir string
	// Tell is called with the outcome of every guest that was fixable when
	// it was scanned, and of those that a run before this one left half
	// done. It may be nil.
	Tell func(Outcome)
}

// Outcome is what has become of a guest.
type Outcome struct {
	Guest string
	Step  Step // Defined or Left; of a rollback Restored or Left
	// Err says why the guest was left; it wraps [ErrChanged] or [ErrNoGuest]
	// where that is the reason, [ErrHeld] or [ErrReadBack].
	Err error
}

var (
	// ErrHeld: the guest has a managed save image, or a block job runs.
	ErrHeld = errors.New("the guest is not to be changed now")
	// ErrReadBack: libvirt made something else of a definition than it was
	// given; the guest has its old one again.
	ErrReadBack = errors.New("libvirt made something else of the definition")
	// ErrLeftOut: guests were left out, because their chains are refused or
	// they are not to be changed now ([ErrHeld]).
	ErrLeftOut = errors.New("guests were left out")
	// ErrLeft: guests that were taken on could not be changed.
	ErrLeft = errors.New("guests were left as they are")
)

// Report is told of every guest of the scan; Run applies to what is fixable.
// The path of the run's folder is returned whenever there is one, with an error
// too: one that wraps [ErrGone] or is of the folder's file system ends the run
// where it is; [ErrLeft] and [ErrLeftOut] come when all is done that can be.
func (a *Apply) Run(ctx context.Context, report func(*Report) error) (dir string, err error) {
	run, err := beginRun(a.StateDir, a.Connect, a.Daemon.Version())
	if err != nil {
		return "", err
	}
	defer run.Close()
	leftOut, err := a.plan(ctx, run, report)
	if err != nil {
		return run.Dir, err
	}
	left := false
	for _, g := range run.guests {
		if g.step != Planned {
			continue
		}
		why := a.define(ctx, run, g)
		if why != nil && fatal(ctx, why) {
			return run.Dir, why
		}
		held := errors.Is(why, ErrHeld)
		leftOut, left = leftOut || held, left || why != nil && !held
		a.tell(g, why)
	}
	if err := run.manifest.append(record{Finished: true}); err != nil {
		return run.Dir, err
	}
	switch {
	case left:
		return run.Dir, ErrLeft
	case leftOut:
		return run.Dir, ErrLeftOut
	}
	return run.Dir, nil
}

func (a *Apply) tell(g *runGuest, why error) {
	if a.Tell == nil {
		return
	}
	a.Tell(Outcome{Guest: g.name, Step: g.step, Err: why})
}

// fatal reports that there is no going on after an error: the daemon or ctx has
// ended, or the manifest cannot be written.
func fatal(ctx context.Context, err error) bool {
	var left *leftError
	return ctx.Err() != nil || errors.Is(err, ErrGone) || !errors.As(err, &left)
}

// leftError is why one guest was left as it is.
type leftError struct{ error }

func (e *leftError) Unwrap() error { return e.error }

// plan scans the host and keeps the definitions of all guests that can be
// fixed. Nothing is changed before it is done.
func (a *Apply) plan(ctx context.Context, run *Run, report func(*Report) error) (leftOut bool, err error) {
	planned := make(map[string]bool) // by UUID
	for _, g := range run.guests {
		if g.step == Defining {
			if err := a.resolve(ctx, run, g); err != nil {
				return false, err
			}
		}
	}
	for r, err := range a.Scan.Reports(ctx) {
		if err != nil {
			return leftOut, err
		}
		if err := report(r); err != nil {
			return leftOut, err
		}
		switch f, held := r.Held(); {
		case r.Verdict() == chain.Refused:
			leftOut = true
		case r.Verdict() != chain.Fixable:
		case held:
			leftOut = true
			a.tell(&runGuest{name: r.Guest.Name, step: Left}, fmt.Errorf("%w: %s", ErrHeld, f.Text))
		default:
			if err := a.planGuest(run, r); err != nil {
				return leftOut, err
			}
			planned[r.Guest.UUID] = true
		}
	}
	for _, g := range run.guests {
		if g.step == Planned && !planned[g.uuid] {
			// By a run that was cut short, and it is not to be done any more.
			if err := run.step(g, Left, "it is no longer to be changed"); err != nil {
				return leftOut, err
			}
		}
	}
	return leftOut, nil
}

// planGuest keeps the definitions of one guest that is fixable.
func (a *Apply) planGuest(run *Run, r *Report) error {
	g := run.guest(r.Guest.UUID)
	old := r.Guest.Definition
	if g != nil && g.step != Left && g.step != Restored && g.old != sum(old) {
		// The run has the definition that it found, and that one is not to
		// be lost for a later one.
		return run.step(g, Left, ErrChanged.Error())
	}
	fixed, err := r.Examination.Document.Bytes()
	if err != nil {
		return err
	}
	planned := record{Guest: r.Guest.Name, UUID: r.Guest.UUID, Step: Planned, Old: sum(old), New: sum(fixed)}
	files := &runGuest{uuid: r.Guest.UUID}
	if err := errors.Join(run.keep(files.oldFile(), old), run.keep(files.newFile(), fixed)); err != nil {
		return err
	}
	return run.record(planned)
}

// resolve finds out which definition a guest has that a run before this one was
// giving its new one.
func (a *Apply) resolve(ctx context.Context, run *Run, g *runGuest) error {
	now, err := a.Daemon.Inspect(ctx, g.uuid)
	if errors.Is(err, ErrNoGuest) {
		return run.step(g, Left, ErrNoGuest.Error())
	}
	if err != nil {
		return err
	}
	old, wanted, err := g.definitions(run)
	if err != nil {
		return err
	}
	switch {
	case sum(now.Definition) == g.old:
		return run.step(g, Planned, "")
	case same(old, wanted, now.Definition) == nil:
		defer a.tell(g, nil)
		return run.record(record{Guest: g.name, UUID: g.uuid, Step: Defined, New: sum(now.Definition)})
	}
	defer a.tell(g, ErrChanged)
	return run.step(g, Left, ErrChanged.Error())
}

func (g *runGuest) definitions(run *Run) (old, wanted []byte, err error) {
	if old, err = run.kept(g.oldFile(), g.old); err != nil {
		return nil, nil, err
	}
	wanted, err = run.kept(g.newFile(), g.new)
	return old, wanted, err
}

// define gives a guest its new definition. The error is a *leftError if the
// guest has its old one.
func (a *Apply) define(ctx context.Context, run *Run, g *runGuest) error {
	old, wanted, err := g.definitions(run)
	if err != nil {
		return err
	}
	leave := func(why error) error {
		if err := run.step(g, Left, why.Error()); err != nil {
			return err
		}
		return &leftError{why}
	}
	now, err := a.Daemon.Inspect(ctx, g.uuid)
	switch {
	case errors.Is(err, ErrNoGuest):
		return leave(err)
	case err != nil:
		return err
	case sum(now.Definition) != g.old:
		return leave(ErrChanged)
	}
	if held := guestFindings(now); len(held) > 0 {
		return leave(fmt.Errorf("%w: %s", ErrHeld, held[0].Text))
	}
	if err := run.step(g, Defining, ""); err != nil {
		return err
	}
	if err := a.Daemon.Define(ctx, wanted); err != nil {
		if errors.Is(err, ErrGone) || ctx.Err() != nil {
			return err
		}
		return leave(err) // libvirt's own refusal: it has kept the old one
	}
	now, err = a.Daemon.Inspect(ctx, g.uuid)
	if err != nil {
		return err
	}
	if difference := same(old, wanted, now.Definition); difference != nil {
		if err := a.Daemon.Define(ctx, old); err != nil {
			return err
		}
		return leave(fmt.Errorf("%w: %w", ErrReadBack, difference))
	}
	return run.record(record{Guest: g.name, UUID: g.uuid, Step: Defined, New: sum(now.Definition)})
}

// same reports how what libvirt has made of a definition differs from what it
// was given: it must state the same chains, and be the old definition once
// these are taken out. libvirt may write them in another way.
func same(old, wanted, got []byte) error {
	if string(wanted) == string(got) {
		return nil
	}
	want, err := statedIn(wanted)
	if err != nil {
		return err
	}
	have, err := statedIn(got)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(want, have) {
		return errors.New("the disks state something else")
	}
	before, err := stripped(old)
	if err != nil {
		return err
	}
	after, err := stripped(got)
	if err != nil {
		return err
	}
	if string(before) != string(after) {
		return errors.New("more than the chains has changed")
	}
	return nil
}

func statedIn(definition []byte) ([]chain.Stated, error) {
	doc, err := xmlfix.Parse("definition", definition)
	if err != nil {
		return nil, err
	}
	var all []chain.Stated
	for _, disk := range doc.Disks() {
		stated, err := disk.Stated()
		if err != nil {
			return nil, err
		}
		all = append(all, stated)
	}
	return all, nil
}

func stripped(definition []byte) ([]byte, error) {
	doc, err := xmlfix.Parse("definition", definition)
	if err != nil {
		return nil, err
	}
	for _, disk := range doc.Disks() {
		disk.RemoveChain()
	}
	return doc.Bytes()
}
