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

// RunGuest is what has become of one guest in a [Run].
type RunGuest struct {
	Name, UUID string
	Stored     Stored // what libvirt keeps of the guest; the zero Stored for its definition
	Step       Step
	Reason     string // why it was left; "" for none
	// Changed says that the guest was given its new definition, or may have been.
	// TakenBack says that it has its old one again since, by a rollback.
	Changed, TakenBack bool
}

// Guests are those that the run took on, in the order in which it did.
func (r *Run) Guests() []RunGuest {
	var all []RunGuest
	for _, g := range r.guests {
		all = append(all, RunGuest{Name: g.name, UUID: g.uuid, Stored: g.stored, Step: g.step, Reason: g.reason,
			Changed: g.mayHaveNew || g.takenBack, TakenBack: g.takenBack})
	}
	return all
}

// Runs reads the runs of a state folder, the newest first, one at a time. It keeps
// nobody out, so of a run that is at work it says how far that has come. A run is
// valid until the next one.
//
// An error that comes with a Run is about that one alone, of which nothing but the
// Dir is set; one that comes with none is the last thing that comes. A folder in which
// no run was begun is none; a state folder that is absent has none.
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

// newest returns the newest run of a state folder that is of the libvirt of origin, and
// for which wanted holds; nil if there is none. One that had no time to begin did not change
// anything; one whose manifest cannot be read may have, and is an [ErrManifest].
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

// knownGuests are the guests that a daemon has, which it is asked for at the first
// need. Where several daemons cannot be told apart by their [Origin] their guests can.
type knownGuests struct {
	daemon *Daemon
	known  map[string]libvirt.Domain // by UUID
}

// unfinished reports whether a run was not finished, and the daemon has a guest of it, or
// it is of none yet.
func (k *knownGuests) unfinished(ctx context.Context, run *Run) (bool, error) {
	if run.Finished || len(run.guests) == 0 {
		return !run.Finished, nil
	}
	err := k.ask(ctx)
	return err == nil && slices.ContainsFunc(run.guests, func(g *runGuest) bool { _, ok := k.known[g.uuid]; return ok }), err
}

// changed reports whether a run has changed something that the daemon still has, and that
// is not taken back. A saved state is gone once the guest was restored from it, and would
// hide the older runs for ever.
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

// giver returns the folder of the newest run in the state folder of a run, after that
// one, by which a guest was given the definition that it has now; "" if there is none.
func giver(after *Run, key string, now []byte) string {
	for run, err := range Runs(filepath.Dir(filepath.Clean(after.Dir))) {
		if err != nil {
			continue // it can only make a hint poorer
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
