package host

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/digitalocean/go-libvirt"
)

// RunGuest is the state of one guest in a [Run].
type RunGuest struct {
	Name, UUID string
	Stored     Stored // a snapshot, checkpoint or saved state; the zero Stored for the definition
	Step       Step
	Reason     string // why it was left; "" for none
	// Changed says that the new definition was or may have been defined.
	// TakenBack says that a rollback has restored the old one since.
	Changed, TakenBack bool
}

// Guests returns the guests of the run, in the order in which they were
// planned.
func (r *Run) Guests() []RunGuest {
	var all []RunGuest
	for _, g := range r.guests {
		all = append(all, RunGuest{Name: g.name, UUID: g.uuid, Stored: g.stored, Step: g.step, Reason: g.reason,
			Changed: g.mayHaveNew || g.takenBack, TakenBack: g.takenBack})
	}
	return all
}

// Runs reads the runs of a state folder, the newest first, one at a time. It
// does not lock the folder, so it shows the progress of an active run. A run
// is valid until the next one.
//
// An error with a Run is about that one alone, with only Dir set; one without
// a Run is the last element. A folder in which no run was begun is left out;
// an absent state folder has no runs.
func Runs(stateDir string) iter.Seq2[*Run, error] { return runsIn(stateDir, os.O_RDONLY) }

func runsIn(stateDir string, access int) iter.Seq2[*Run, error] {
	return func(yield func(*Run, error) bool) {
		entries, err := os.ReadDir(stateDir)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(nil, quotePath(err))
			return
		}
		slices.Reverse(entries) // their names begin with the time
		for _, entry := range entries {
			if !entry.IsDir() {
				continue
			}
			dir := filepath.Join(stateDir, entry.Name())
			run, err := loadRun(dir, access)
			if errors.Is(err, errNotBegun) {
				continue
			}
			if err != nil {
				run = &Run{Dir: dir}
			}
			more := yield(run, err)
			run.Close()
			if !more {
				return
			}
		}
	}
}

// newest returns the newest wanted run of origin's libvirt in a state folder,
// or nil. A run that did not begin has changed nothing; one with an unreadable
// manifest may have, and is an [ErrManifest].
func newest(stateDir string, origin Origin, wanted func(*Run) (bool, error)) (*Run, error) {
	for run, err := range runsIn(stateDir, os.O_RDONLY) {
		if err != nil {
			return nil, err
		}
		if !run.Origin.sameLibvirt(origin) {
			continue
		}
		switch ok, err := wanted(run); {
		case err != nil:
			return nil, err
		case ok:
			return loadRun(run.Dir, os.O_RDWR)
		}
	}
	return nil, nil
}

// knownGuests are the guests of a daemon, listed when first needed. They
// distinguish daemons with the same [Origin].
type knownGuests struct {
	daemon *Daemon
	known  map[string]libvirt.Domain // by UUID
}

// unfinished reports whether a run is not finished, and has no guests yet or a
// guest of the daemon.
func (k *knownGuests) unfinished(ctx context.Context, run *Run) (bool, error) {
	if run.Finished || len(run.guests) == 0 {
		return !run.Finished, nil
	}
	err := k.ask(ctx)
	return err == nil && slices.ContainsFunc(run.guests, func(g *runGuest) bool { _, ok := k.known[g.uuid]; return ok }), err
}

// changed reports whether a run has changes that are not rolled back, in
// something that the daemon still has. A saved state disappears when the guest
// is restored, and would otherwise hide older runs forever.
func (k *knownGuests) changed(ctx context.Context, run *Run) (bool, error) {
	for _, g := range run.guests {
		if !g.mayHaveNew {
			continue
		}
		if _, err := g.inspect(ctx, k.daemon); !gone(err) {
			return true, ctx.Err()
		}
	}
	return false, ctx.Err()
}

func (k *knownGuests) ask(ctx context.Context) error {
	if k.known != nil {
		return nil
	}
	listed, err := k.daemon.listDomains(ctx, libvirt.ConnectListDomainsPersistent)
	if err != nil {
		return err
	}
	k.known = make(map[string]libvirt.Domain)
	for _, domain := range listed {
		k.known[formatUUID(domain.UUID)] = domain
	}
	return nil
}

// giver returns the folder of the newest later run in the same state folder
// that defined the guest's current definition, or "".
func giver(after *Run, key string, now []byte) string {
	for run, err := range Runs(filepath.Dir(filepath.Clean(after.Dir))) {
		if err != nil {
			continue // only a hint depends on it
		}
		if filepath.Base(run.Dir) <= filepath.Base(after.Dir) {
			break
		}
		if g := run.byKey[key]; g != nil && g.mayHaveNew && g.new == sum(now) {
			return run.Dir
		}
	}
	return ""
}
