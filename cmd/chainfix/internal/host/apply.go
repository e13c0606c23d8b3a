package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
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
	// Connect is the URI of the Daemon, and Program the version of chainfix: the
	// manifest has them for people.
	Connect, Program string
	// StateDir is the folder that holds the runs; it is made if it is not
	// there.
	StateDir string
	// All says to make every chain explicit, and not only those that need it; of named
	// guests all are taken in any case ([Report.Wanted]).
	All bool
	// Snapshots says to mend what libvirt keeps of snapshots and checkpoints too, and
	// Saved what it keeps of saved states.
	Snapshots, Saved bool
	// OnOutcome, which may be nil, is called with the outcome of every guest that was wanted, and fixable when
	// it was scanned, and of those that a run before this one left half
	// done.
	OnOutcome func(Outcome)
	// OnPlanned, which may be nil, is called with each text that is to be changed, and the
	// document that it becomes. The name is the guest's, with that of the snapshot behind
	// it, if it is of one. An error ends the run.
	OnPlanned func(name string, old []byte, doc *xmlfix.Document) error
	// Confirm, which may be nil, is called before the first change, with how many there
	// are. An error ends the run, and if that has a folder of its own, there is none any
	// more.
	Confirm func(changes int) error
	// Progress, which may be nil, is called once all guests are planned, and then after
	// each of them, with how many of them have been given their new definition, or left.
	Progress func(done, total int)
}

// Outcome is what has become of a guest.
type Outcome struct {
	Guest, UUID string
	// Stored is what libvirt keeps of the guest, where the outcome is about that
	// and not about its definition.
	Stored Stored
	Step   Step // Defined, Left or Changed; of a rollback Restored or Left
	// Err says why the guest was left; it wraps [ErrChanged] or [ErrNoGuest]
	// where that is the reason, [ErrGuestBusy], [ErrByName] or [ErrReadBack].
	Err error
	// Remedy says what to do about a guest that a rollback left; it may say nothing.
	Remedy finding.Remedy
	// Already says that the guest had its old definition again before this rollback.
	Already bool
}

var (
	// ErrGuestBusy is returned for a guest that has a managed save image, or a
	// block job.
	ErrGuestBusy = errors.New("the guest is not to be changed now")
	// ErrByName is returned for a guest that is changed only if it is named
	// ([finding.Finding.ByName]).
	ErrByName = errors.New("the guest is changed only if it is named")
	// ErrReadBack is returned where libvirt made something else of a definition than it was
	// given. The guest has its old one again, unless libvirt did so with that
	// one too; then the error says where it is.
	ErrReadBack = errors.New("libvirt made something else of the definition")
	// ErrLeftOut is returned where guests were left out, because their chains are refused or
	// they are not to be changed now ([ErrGuestBusy]), or not without being named
	// ([ErrByName]).
	ErrLeftOut = errors.New("guests were left out")
	// ErrLeft is returned where guests that were taken on could not be changed.
	ErrLeft = errors.New("guests were left as they are")
)

// Run calls report for every guest of the scan, and changes those that are fixable and
// wanted ([Report.Wanted]).
// A folder is made for the first of these. Its path is returned whenever there is one,
// with an error too: one that wraps [ErrGone] or [ErrManifest], or is of the folder's file
// system, ends the run where it is; [ErrLeft] and [ErrLeftOut] come when all is
// done that can be.
func (a *Apply) Run(ctx context.Context, report func(*Report) error) (dir string, err error) {
	origin := a.Daemon.origin()
	origin.Connect, origin.Program = a.Connect, a.Program
	run, err := beginRun(ctx, a.StateDir, origin, &knownGuests{daemon: a.Daemon})
	if err != nil {
		return "", err
	}
	defer run.Close()
	w := &applying{Apply: a, run: run}
	if err := w.plan(ctx, report); err != nil {
		return run.Dir, err
	}
	var planned []*runGuest
	for _, g := range run.guests {
		if g.step == Planned {
			planned = append(planned, g)
		}
	}
	if len(planned) > 0 && a.Confirm != nil {
		if err := a.Confirm(len(planned)); err != nil {
			err = cmp.Or(run.discard(), err)
			return run.Dir, err
		}
	}
	a.progress(0, len(planned))
	for i, g := range planned {
		why := w.define(ctx, g)
		if why != nil && fatal(ctx, why) {
			return run.Dir, why
		}
		w.outcome(g, why)
		a.progress(i+1, len(planned))
	}
	if err := run.finish(); err != nil {
		return run.Dir, err
	}
	switch {
	case w.left:
		return run.Dir, ErrLeft
	case w.leftOut:
		return run.Dir, ErrLeftOut
	}
	return run.Dir, nil
}

func (a *Apply) progress(done, total int) {
	if a.Progress != nil {
		a.Progress(done, total)
	}
}

// applying is an Apply under way.
type applying struct {
	*Apply
	run           *Run
	left, leftOut bool
}

// outcome reports what has become of a guest, and remembers if it was left.
func (w *applying) outcome(g *runGuest, why error) {
	switch {
	case errors.Is(why, ErrGuestBusy), errors.Is(why, ErrByName):
		w.leftOut = true
	case why != nil:
		w.left = true
	}
	if w.OnOutcome != nil {
		w.OnOutcome(Outcome{Guest: g.name, UUID: g.uuid, Stored: g.stored, Step: g.step, Err: why})
	}
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

// leave writes down that a guest is left as it is, which is Left if it has the
// definition that it had, or one that somebody else gave it before the run did.
func (w *applying) leave(g *runGuest, why error) error {
	step := Left
	if g.mayHaveNew {
		step = Changed
	}
	return w.leaveAs(g, step, why)
}

func (w *applying) leaveAs(g *runGuest, step Step, why error) error {
	if err := w.run.step(g, step, why.Error()); err != nil {
		return err
	}
	return &leftError{why}
}

// plan scans the host and keeps the definitions of all guests that can be
// fixed. Nothing is changed before it is done.
func (w *applying) plan(ctx context.Context, report func(*Report) error) error {
	for _, g := range w.run.guests {
		if g.step == Defining {
			if err := w.resolve(ctx, g); err != nil {
				return err
			}
		}
	}
	planned := make(map[string]bool) // by the keys of entries
	for r, err := range w.Scan.Reports(ctx) {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if err := report(r); err != nil {
			return err
		}
		switch _, why := r.HeldBack(); {
		case !r.Wanted(w.All):
		case r.Verdict() == chain.Refused:
			w.leftOut = true
		case r.Verdict() == chain.Fixable:
			err = w.planEntry(&runGuest{name: r.Guest.Name, uuid: r.Guest.UUID}, why, r.Guest.Definition, r.Examination.Document, planned)
		}
		if err == nil {
			err = w.planStored(r, planned)
		}
		if err != nil {
			return err
		}
	}
	for _, g := range w.run.guests {
		if g.step == Planned && !planned[g.key()] {
			// By a run that was cut short, and it is not to be done any more.
			if err := w.run.step(g, Left, "it is no longer to be changed"); err != nil {
				return err
			}
		}
	}
	return nil
}

// ofOneFile reports that a file could not be written for a reason that need not
// be one for the next: what is in its place, or its size. Where there is no room,
// or the folder is gone, no guest's definitions are kept.
func ofOneFile(err error) bool {
	for _, reason := range []error{unix.EISDIR, unix.EEXIST, unix.ENOTEMPTY, unix.EPERM, unix.EACCES, unix.EFBIG} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// resolve finds out which definition a guest has that was left in the step
// [Defining] by a run before this one.
func (w *applying) resolve(ctx context.Context, g *runGuest) error {
	now, err := g.inspect(ctx, w.Daemon)
	switch {
	case gone(err):
		err = w.leave(g, err)
	case isLibvirtError(err):
		err = &leftError{err} // nobody knows; the others need not wait for it
	case err != nil:
		return err
	case sum(now.Definition) == g.old:
		return w.run.step(g, Planned, "")
	default:
		err = w.adopt(g, now)
	}
	if err != nil && fatal(ctx, err) {
		return err
	}
	w.outcome(g, err)
	return nil
}

// adopt writes down that a guest, which has not its old definition, has its new
// one; or leaves it, if it has neither.
func (w *applying) adopt(g *runGuest, now *Guest) error {
	old, wanted, err := g.definitions(w.run)
	if err != nil {
		return err
	}
	if same(old, wanted, now.Definition) != nil {
		return w.leave(g, ErrChanged)
	}
	return w.defined(g, now)
}

func (w *applying) defined(g *runGuest, now *Guest) error {
	rec := g.at(Defined)
	rec.New = sum(now.Definition)
	return w.run.record(rec)
}

func (g *runGuest) definitions(run *Run) (old, wanted []byte, err error) {
	if old, err = run.keptOld(g); err != nil {
		return nil, nil, err
	}
	wanted, err = run.keptNew(g)
	return old, wanted, err
}

// define gives a guest its new definition. The error is a *leftError if the
// manifest says what it has instead.
func (w *applying) define(ctx context.Context, g *runGuest) error {
	old, wanted, err := g.definitions(w.run)
	if err != nil {
		return err
	}
	now, err := g.inspect(ctx, w.Daemon)
	switch {
	case ends(ctx, err):
		return err
	case err != nil:
		return w.leave(g, err)
	case sum(now.Definition) != g.old:
		// Somebody else changed it, or the last call of a run that was killed
		// has ended only now.
		return w.adopt(g, now)
	}
	if busy := guestFindings(now, ""); len(busy) > 0 {
		return w.leaveAs(g, Left, fmt.Errorf("%w: %s", ErrGuestBusy, busy[0].Text))
	}
	if err := w.run.step(g, Defining, ""); err != nil {
		return err
	}
	now, refusal, err := w.give(ctx, g, wanted)
	var difference error
	switch {
	case errors.Is(err, errLost), isLibvirtError(err):
		// It may have grown beyond what fits into libvirt's protocol.
		difference, refusal = err, nil
		now = &Guest{}
	case err != nil:
		return err
	default:
		difference = same(old, wanted, now.Definition)
	}
	switch {
	case difference == nil:
		return w.defined(g, now)
	case sum(now.Definition) == g.old && refusal != nil:
		return w.leaveAs(g, Left, g.refused(refusal))
	case refusal != nil:
		return w.leave(g, ErrChanged)
	}
	difference = fmt.Errorf("%w: %w", ErrReadBack, difference)
	now, refusal, err = w.give(ctx, g, old)
	switch {
	case errors.Is(err, errLost):
		refusal = err
	case err != nil:
		return err
	case agrees(old, now.Definition):
		return w.leaveAs(g, Left, difference)
	case refusal == nil:
		refusal = errors.New("and something else of its old one too")
	}
	return w.leave(g, fmt.Errorf("%w, %w; that is in %q", difference, refusal, g.oldFile()))
}

// give defines a guest, and reads back what libvirt has then. A refusal alone proves
// nothing: the daemon that answers may only hand calls on
// (virtproxyd), and not know what has become of one.
func (w *applying) give(ctx context.Context, g *runGuest, definition []byte) (now *Guest, refusal, err error) {
	refusal = g.define(ctx, w.Daemon, definition)
	if ends(ctx, refusal) {
		return nil, nil, refusal
	}
	now, err = g.inspect(ctx, w.Daemon)
	switch {
	case errors.Is(err, ErrNoStored) && refusal != nil:
		err = fmt.Errorf("%w: %w", errLost, refusal)
	case gone(err):
		err = w.leave(g, err)
	}
	return now, refusal, err
}
