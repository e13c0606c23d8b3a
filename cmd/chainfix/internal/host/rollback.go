package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
)

// Rollback restores the old definitions of the guests of a [Run], byte for
// byte. It skips a guest that somebody has changed since the run, and one with
// a managed save image or a block job.
//
// If libvirt was upgraded since the run, it may write the same definitions
// differently. Rollback then restores only the disks of the old definition, if
// the guest still has those of the run, and keeps the rest.
type Rollback struct {
	Daemon *Daemon
	// Connect is the URI for virsh in hints; "" for none.
	Connect string
	// DryRun only reports what would be done.
	DryRun    bool
	OnOutcome func(Outcome) // may be nil
}

var (
	// ErrOtherHost is returned for a run of another libvirt or machine than the
	// connected one.
	ErrOtherHost = errors.New("the run belongs to another libvirt")
	// ErrNoRun is returned if no run can be rolled back.
	ErrNoRun = errors.New("there is no run to roll back")
)

// Run restores the guests of the run in a folder, the last one first. The
// error wraps [ErrLeft] if guests were skipped. It wraps [ErrManifest] if the
// folder was modified since the run; then nothing was changed.
func (b *Rollback) Run(ctx context.Context, dir string) error {
	open := openRun
	if b.DryRun {
		open = func(dir string) (*Run, error) { return loadRun(dir, os.O_RDONLY) }
	}
	run, err := open(dir)
	if err != nil {
		return err
	}
	defer run.Close()
	return b.takeBack(ctx, run)
}

// RunNewest does so for the newest run in a state folder with changes that are
// not all rolled back, in guests, snapshots or checkpoints that the Daemon
// still has, and returns its folder. The error wraps [ErrNoRun] if there is
// none.
func (b *Rollback) RunNewest(ctx context.Context, stateDir string) (dir string, err error) {
	if _, err := os.Stat(stateDir); errors.Is(err, fs.ErrNotExist) {
		return "", ErrNoRun // do not create it
	}
	var lock *os.File
	if !b.DryRun {
		if lock, err = openState(stateDir); err != nil {
			return "", err
		}
	}
	known := &knownGuests{daemon: b.Daemon}
	run, err := newest(stateDir, b.Daemon.origin(), func(r *Run) (bool, error) { return known.changed(ctx, r) })
	if run == nil && err == nil {
		err = ErrNoRun
	}
	if err != nil {
		if lock != nil {
			closeState(lock)
		}
		return "", err
	}
	run.lock = lock
	defer run.Close()
	return run.Dir, b.takeBack(ctx, run)
}

func (b *Rollback) takeBack(ctx context.Context, run *Run) error {
	if o := run.Origin; !o.sameLibvirt(b.Daemon.origin()) {
		return fmt.Errorf("%w: %q of user %s, on the machine %q", ErrOtherHost, o.Driver, o.User, o.Machine)
	}
	for _, g := range run.guests {
		if !g.mayHaveNew {
			continue
		}
		if _, err := run.keptOld(g); err != nil {
			return err
		}
	}
	left := false
	for _, g := range slices.Backward(run.guests) {
		outcome := Outcome{Guest: g.name, UUID: g.uuid, Stored: g.stored, Step: Restored, Already: true}
		switch {
		case g.mayHaveNew:
			why := b.restore(ctx, run, g)
			if why != nil && fatal(ctx, why) {
				return why
			}
			if outcome.Already = false; why != nil {
				left = true
				outcome.Step, outcome.Err, outcome.Remedy = Left, why, b.remedy(run, g, why)
			}
		case !g.takenBack:
			continue
		}
		if b.OnOutcome != nil {
			b.OnOutcome(outcome)
		}
	}
	if !b.DryRun {
		if err := run.finish(); err != nil {
			return err
		}
	}
	if left {
		return ErrLeft
	}
	return nil
}

// restore restores a guest's old definition. If that fails, the guest's step
// does not change, and the next rollback tries again.
func (b *Rollback) restore(ctx context.Context, run *Run, g *runGuest) error {
	old, err := run.keptOld(g)
	if err != nil {
		return err
	}
	now, err := g.inspect(ctx, b.Daemon)
	switch {
	case ends(ctx, err):
		return err
	case err != nil:
		return &leftError{err}
	}
	given, err := b.given(run, g, old, now.Definition)
	if errors.Is(err, ErrChanged) {
		if newer := giver(run, g.key(), now.Definition); newer != "" {
			err = &againError{newer}
		}
	}
	switch {
	case err != nil:
		return &leftError{err}
	case b.DryRun && string(given) == string(now.Definition):
		return nil
	case string(given) == string(now.Definition):
		return run.step(g, Restored, "")
	}
	if busy := guestFindings(now, ""); len(busy) > 0 {
		return &leftError{&busyError{busy[0]}}
	}
	if b.DryRun {
		return nil
	}
	if err := run.step(g, Restoring, ""); err != nil {
		return err
	}
	if err := g.define(ctx, b.Daemon, given); err != nil {
		if errors.Is(err, ErrGone) || ctx.Err() != nil {
			return err
		}
		return &leftError{err}
	}
	now, err = g.inspect(ctx, b.Daemon)
	switch {
	case ends(ctx, err):
		return err
	case err != nil:
		return &leftError{err}
	case !agrees(given, now.Definition):
		return &leftError{ErrReadBack}
	}
	return run.step(g, Restored, "")
}

// given returns the definition to restore, which equals now if there is
// nothing to do.
func (b *Rollback) given(run *Run, g *runGuest, old, now []byte) ([]byte, error) {
	sameVersion := false
	if then, err := libvirt.ParseVersion(run.Origin.Libvirt); err == nil {
		sameVersion = then == b.Daemon.Version()
	}
	if sum(now) == g.old || sameVersion && sum(now) == g.new {
		return old, nil
	}
	wanted, err := run.keptNew(g)
	switch {
	case err != nil:
		return nil, ErrChanged // the new definition is unknown
	case !sameVersion:
		return disksGivenBack(old, wanted, now)
	case same(old, wanted, now) != nil:
		return nil, ErrChanged
	}
	return old, nil
}

// againError is the [ErrChanged] for a guest that a newer run has changed.
type againError struct{ run string }

func (e *againError) Error() string { return fmt.Sprintf("the newer run %q changed it again", e.run) }
func (e *againError) Unwrap() error { return ErrChanged }

// busyError is an [ErrGuestBusy] with the finding that says why.
type busyError struct{ finding.Finding }

func (e *busyError) Error() string { return ErrGuestBusy.Error() + ": " + e.Text }
func (e *busyError) Unwrap() error { return ErrGuestBusy }

// remedy says what to do about a skipped guest.
func (b *Rollback) remedy(run *Run, g *runGuest, why error) finding.Remedy {
	virsh, connect := "virsh ", ""
	if b.Connect != "" {
		virsh += "-c " + finding.ShellWord(b.Connect) + " "
		connect = "--connect " + finding.ShellWord(b.Connect) + " "
	}
	file := filepath.Join(run.Dir, g.oldFile())
	define := finding.Command(virsh + g.givenBy(finding.ShellWord(file)))
	var busy *busyError
	var again *againError
	switch {
	case errors.As(why, &again):
		return finding.Say("roll that one back first: %s", finding.Command("chainfix host rollback "+connect+finding.ShellWord(again.run)))
	case errors.As(why, &busy):
		return busy.Remedy
	case errors.Is(why, ErrNoGuest):
		return finding.Say("to restore it: %s", define)
	case !errors.Is(why, ErrChanged):
		return finding.Remedy{} // the images of a deleted snapshot may be deleted too
	case g.stored != (Stored{}):
		return finding.Say("to restore its definition from before the run, without that change: %s", define)
	}
	return finding.Say("to remove only the chains and keep that change: %s; or to restore its definition from before the run, without that change: %s",
		finding.Command(virsh+"dumpxml --inactive --security-info "+finding.GuestWord(g.name)+" | chainfix strip | "+virsh+"define /dev/stdin"), define)
}
