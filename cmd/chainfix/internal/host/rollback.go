package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Rollback gives the guests of a [Run] their old definitions again, byte for
// byte. A guest that somebody has changed since the run is left, and so is one
// that has a managed save image or a block job.
type Rollback struct {
	Daemon *Daemon
	// Connect names the host, as in [Apply]: a run of another is an error.
	Connect   string
	OnOutcome func(Outcome) // may be nil
}

// ErrOtherHost is returned for a run of another host than the one that is
// connected.
var ErrOtherHost = errors.New("the run is of another libvirt")

// Run restores the guests of the run in a folder, the last one first. The error
// wraps [ErrLeft] if guests were left. Where the folder is not as the run has
// left it, the error wraps [ErrManifest], and nothing was changed.
func (b *Rollback) Run(ctx context.Context, dir string) error {
	run, err := openRun(dir)
	if err != nil {
		return err
	}
	defer run.Close()
	if run.connect != b.Connect {
		return fmt.Errorf("%w: %q", ErrOtherHost, run.connect)
	}
	var changed []*runGuest
	for _, g := range slices.Backward(run.guests) {
		if !g.mayHaveNew {
			continue
		}
		if _, err := run.keptOld(g); err != nil {
			return err
		}
		changed = append(changed, g)
	}
	left := false
	for _, g := range changed {
		why := b.restore(ctx, run, g)
		if why != nil && fatal(ctx, why) {
			return why
		}
		left = left || why != nil
		if b.OnOutcome != nil {
			step := g.step
			if why != nil {
				step = Left
			}
			b.OnOutcome(Outcome{Guest: g.name, Stored: g.stored, Step: step, Err: why})
		}
	}
	if err := run.finish(); err != nil {
		return err
	}
	if left {
		return ErrLeft
	}
	return nil
}

// restore gives a guest its old definition again. One that cannot be given it
// stays in the step that it is in, for the next rollback.
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
	case sum(now.Definition) == g.old:
		return run.step(g, Restored, "")
	case !g.has(run, old, now.Definition):
		return &leftError{ErrChanged}
	}
	if busy := guestFindings(now); len(busy) > 0 {
		return &leftError{fmt.Errorf("%w: %s", ErrGuestBusy, busy[0].Text)}
	}
	if err := run.step(g, Restoring, ""); err != nil {
		return err
	}
	if err := g.define(ctx, b.Daemon, old); err != nil {
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
	case sum(now.Definition) != g.old:
		return &leftError{ErrReadBack}
	}
	return run.step(g, Restored, "")
}

// has reports whether a definition is the one that the run gave the guest.
func (g *runGuest) has(run *Run, old, now []byte) bool {
	if sum(now) == g.new {
		return true
	}
	wanted, err := run.keptNew(g)
	return err == nil && same(old, wanted, now) == nil
}
