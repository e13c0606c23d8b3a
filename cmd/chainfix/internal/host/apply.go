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
// Before the first change the folder of a [Run] has the old and the new
// definition of every guest; its manifest is a write-ahead log. Then Apply
// defines each guest, reads the definition back and compares it; if libvirt
// made anything else of it, Apply restores the old one. For a running guest it
// changes the persistent definition. It does not change a guest with a managed
// save image, with a block job, or whose definition has changed since the
// scan.
//
// If the program ends at any moment, every guest has its old or its new
// definition, and the manifest says which, except for at most one guest, which
// has one of the two. The next Apply continues in the same folder.
type Apply struct {
	Daemon *Daemon
	Scan   *Scan // of the Daemon
	// Connect is the URI of the Daemon, and Program the version of chainfix: the
	// manifest shows them to people.
	Connect, Program string
	// StateDir is the folder of the runs; it is created if absent.
	StateDir string
	// All makes every chain explicit, and not only those that need it; all chains
	// of named guests are made explicit anyway ([Report.Wanted]).
	All bool
	// Snapshots also fixes snapshots and checkpoints, and Saved saved states.
	Snapshots, Saved bool
	// OnOutcome, which may be nil, is called with the outcome of every wanted
	// guest that was fixable when it was scanned, and of guests that an earlier
	// interrupted run left half done.
	OnOutcome func(Outcome)
	// OnPlanned, which may be nil, is called with each text before it is changed,
	// and the changed document. The name is the guest's, followed by the
	// snapshot's if it is about one. An error ends the run.
	OnPlanned func(name string, old []byte, doc *xmlfix.Document) error
	// Confirm, which may be nil, is called before the first change, with the
	// number of changes. An error ends the run and removes its folder if this run
	// created it.
	Confirm func(changes int) error
	// Progress, which may be nil, is called after all guests are planned, and
	// then after each of them, with the number of guests that are changed or
	// skipped.
	Progress func(done, total int)
}

// Outcome is the result for a guest.
type Outcome struct {
	Guest, UUID string
	// Stored is the snapshot, checkpoint or saved state that the outcome is
	// about; zero for the definition.
	Stored Stored
	Step   Step // Defined, Left or Changed; of a rollback Restored or Left
	// Err says why the guest was not changed; it may wrap [ErrChanged],
	// [ErrNoGuest], [ErrGuestBusy], [ErrByName] or [ErrReadBack].
	Err error
	// Remedy says what to do about a guest that a rollback skipped; it may be
	// zero.
	Remedy finding.Remedy
	// Already says that the guest already had its old definition before this
	// rollback.
	Already bool
}

var (
	// ErrGuestBusy is returned for a guest that has a managed save image, or a
	// block job.
	ErrGuestBusy = errors.New("the guest cannot be changed now")
	// ErrByName is returned for a guest that is changed only if it is named
	// ([finding.Finding.ByName]).
	ErrByName = errors.New("the guest is changed only if it is named")
	// ErrReadBack is returned if the definition that libvirt returns differs from
	// the one that it was given. The guest has its old one again, unless that
	// differs too; then the error says where it is stored.
	ErrReadBack = errors.New("libvirt stored a different definition")
	// ErrLeftOut is returned if guests were skipped because their chains are
	// refused, because they cannot be changed now ([ErrGuestBusy]), or only if
	// named ([ErrByName]).
	ErrLeftOut = errors.New("guests were skipped")
	// ErrLeft is returned if planned guests could not be changed.
	ErrLeft = errors.New("guests could not be changed")
)

// Run calls report for every guest of the scan, and changes those that are
// fixable and wanted ([Report.Wanted]). It creates a folder for the first of
// these, and returns its path, also with an error. An error that wraps
// [ErrGone] or [ErrManifest], or comes from the folder's file system, ends the
// run at once; [ErrLeft] and [ErrLeftOut] are returned after everything
// possible was done.
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

// outcome reports the result for a guest, and records if it was skipped.
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

// fatal reports whether an error ends the run: the connection or ctx has
// ended, or the manifest cannot be written.
func fatal(ctx context.Context, err error) bool {
	var left *leftError
	return ctx.Err() != nil || errors.Is(err, ErrGone) || !errors.As(err, &left)
}

// leftError says why one guest was not changed.
type leftError struct{ error }

func (e *leftError) Unwrap() error { return e.error }

// leave records that a guest is not changed: Left if it has its old
// definition, or one that somebody else defined before the run did.
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

// plan scans the host and stores the definitions of all guests that can be
// fixed. Nothing is changed before plan returns.
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
			// Planned by an interrupted run, and no longer wanted.
			if err := w.run.step(g, Left, "it no longer needs the change"); err != nil {
				return err
			}
		}
	}
	return nil
}

// ofOneFile reports whether the reason that a file could not be written
// concerns only this file, such as its size or an obstacle with its name. A
// full file system or a missing folder concerns all files.
func ofOneFile(err error) bool {
	for _, reason := range []error{unix.EISDIR, unix.EEXIST, unix.ENOTEMPTY, unix.EPERM, unix.EACCES, unix.EFBIG} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// resolve determines which definition a guest has that an interrupted run left
// in the step [Defining].
func (w *applying) resolve(ctx context.Context, g *runGuest) error {
	now, err := g.inspect(ctx, w.Daemon)
	switch {
	case gone(err):
		err = w.leave(g, err)
	case isLibvirtError(err):
		err = &leftError{err} // unknown; go on with the others
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

// adopt records that a guest without its old definition has its new one; or
// skips it, if it has neither.
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

// define defines a guest anew. The error is a *leftError if the manifest
// records what the guest has instead.
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
		// Somebody else changed it, or the last call of a killed run has only now
		// taken effect.
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
		// It may have become too long for libvirt's protocol.
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
		refusal = errors.New("and a different old one too")
	}
	return w.leave(g, fmt.Errorf("%w, %w; the old one is in %q", difference, refusal, g.oldFile()))
}

// give defines a guest, and reads the result back, even after an error: a
// daemon that only forwards calls (virtproxyd) may not know whether one
// succeeded.
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
