package host

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/xmlfix"
)

// Run is the folder of an apply: the old and the new definition of every
// planned guest, and the manifest with its progress. Only its owner can read
// it: definitions contain secrets.
type Run struct {
	// Dir is the path of the folder; "" for a run that has no folder because it
	// has not planned a guest yet.
	Dir string
	// Origin says which chainfix made the run, and for which libvirt.
	Origin Origin
	// Begun is when that was.
	Begun time.Time
	// Finished says that the run has ended, successfully or not.
	Finished bool

	stateDir string // the folder that Dir will be in
	made     bool   // Dir is new
	root     *os.Root
	manifest *manifest
	guests   []*runGuest // in the order in which they were planned
	byKey    map[string]*runGuest
	lock     *os.File
}

// runGuest is the state of one entry of the manifest: a guest's definition, or
// one of its snapshots, checkpoints or saved states.
type runGuest struct {
	name, uuid string
	stored     Stored // the zero Stored for the guest's definition
	step       Step
	old, new   string // checksums
	reason     string
	// mayHaveNew says that libvirt has or may have the new definition. The stored
	// old one may then be the only copy.
	mayHaveNew bool
	// takenBack says that a rollback has restored the old definition.
	takenBack bool
}

var (
	// ErrBusy is returned if another apply or rollback is using the state folder.
	ErrBusy = errors.New("another run is active")
	// ErrChanged is returned for a guest that somebody changed meanwhile, and
	// which is skipped.
	ErrChanged = errors.New("somebody changed the guest meanwhile")
)

// openState opens or creates the folder of the runs, and locks it.
func openState(dir string) (lock *os.File, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, quotePath(err)
	}
	lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, quotePath(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w in %q", ErrBusy, dir)
		}
		return nil, fmt.Errorf("flock %q: %w", dir, err)
	}
	return lock, nil
}

// closeState releases the lock immediately. Closing the file would not
// suffice: a child process that is just being started may have it open for a
// moment.
func closeState(lock *os.File) error {
	return errors.Join(unix.Flock(int(lock.Fd()), unix.LOCK_UN), lock.Close())
}

// beginRun returns the unfinished run of the same libvirt in the state folder,
// or a new one, whose folder [Run.make] creates. The state folder is locked
// until the run is closed; Run.make also creates an absent state folder.
func beginRun(ctx context.Context, dir string, origin Origin, known *knownGuests) (*Run, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return &Run{Origin: origin, stateDir: dir}, nil
	}
	lock, err := openState(dir)
	if err != nil {
		return nil, err
	}
	run, err := newest(dir, origin, func(r *Run) (bool, error) { return known.unfinished(ctx, r) })
	if err != nil {
		closeState(lock)
		return nil, err
	}
	if run == nil {
		run = &Run{Origin: origin, stateDir: dir}
	}
	run.lock = lock
	return run, nil
}

// make creates the folder of the run, if it has none.
func (r *Run) make() error {
	if r.Dir != "" {
		return nil
	}
	if err := r.makeState(); err != nil {
		return err
	}
	name := time.Now().UTC().Format("20060102T150405.000Z") + "-" + strings.ToLower(rand.Text()[:8])
	dir := filepath.Join(r.stateDir, name)
	err := os.Mkdir(dir, 0o700)
	if err != nil {
		return quotePath(err)
	}
	r.Dir, r.made = dir, true
	r.root, err = openFolder(dir)
	if err == nil {
		r.manifest, err = createManifest(r.root, r.Origin)
	}
	if err == nil {
		err = cmp.Or(syncDir(dir), syncDir(r.stateDir))
	}
	return quotePath(err)
}

// makeState creates the folder of the runs, if it was absent when the run
// began. If another run has begun there meanwhile, this one fails.
func (r *Run) makeState() (err error) {
	if r.lock != nil {
		return nil
	}
	if r.lock, err = openState(r.stateDir); err != nil {
		return err
	}
	for range Runs(r.stateDir) {
		return fmt.Errorf("%w in %q, or was just now", ErrBusy, r.stateDir)
	}
	return nil
}

// discard removes the folder that this run created, if it has changed nothing.
// The folder of an interrupted run stays.
func (r *Run) discard() error {
	if !r.made {
		return nil
	}
	err := cmp.Or(os.RemoveAll(r.Dir), syncDir(r.stateDir))
	if err == nil {
		r.Dir = ""
	}
	return quotePath(err)
}

// openRun opens the run in a folder, and locks it. It creates nothing in a
// folder that is not a run's.
func openRun(dir string) (*Run, error) {
	if dir == "" {
		return nil, ErrManifest
	}
	before, err := loadRun(dir, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	before.Close()
	lock, err := openState(filepath.Dir(filepath.Clean(dir)))
	if err != nil {
		return nil, err
	}
	// From now on no other run writes into it.
	run, err := loadRun(dir, os.O_RDWR)
	if err != nil {
		closeState(lock)
		return nil, err
	}
	run.lock = lock
	return run, nil
}

// loadRun reads the manifest of a run; access os.O_RDWR allows appending to
// it.
func loadRun(dir string, access int) (*Run, error) {
	root, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	run := &Run{Dir: dir, root: root}
	run.manifest, err = openManifest(root, access, func(line int, r record) error {
		if line == 1 {
			run.Origin, run.Begun = r.Origin, r.Time
			return nil
		}
		run.note(r)
		if len(run.guests) > maxGuests {
			return fmt.Errorf("%w: its manifest has more than %d guests", ErrManifest, maxGuests)
		}
		return nil
	})
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("%q: %w", dir, err)
	}
	return run, nil
}

// openFolder is [os.OpenRoot] that does not block on a FIFO, as os.OpenRoot
// does (Go 1.26).
func openFolder(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir + string(filepath.Separator))
	var e *fs.PathError
	if errors.As(err, &e) {
		return nil, fmt.Errorf("open %q: %w", dir, e.Err)
	}
	return root, err
}

// note applies a record.
func (r *Run) note(rec record) {
	if rec.Finished {
		r.Finished = true
		return
	}
	r.Finished = false
	g := r.byKey[rec.key()]
	if g == nil {
		g = &runGuest{uuid: rec.UUID, stored: Stored{rec.Kind, rec.Name}}
		r.guests = append(r.guests, g)
		if r.byKey == nil {
			r.byKey = make(map[string]*runGuest)
		}
		r.byKey[g.key()] = g
	}
	g.name, g.step, g.reason = rec.Guest, rec.Step, rec.Reason
	switch rec.Step {
	case Defining:
		g.mayHaveNew, g.takenBack = true, false
	case Left:
		g.mayHaveNew = false
	case Restored:
		g.mayHaveNew, g.takenBack = false, true
	}
	if rec.Old != "" {
		g.old = rec.Old
	}
	if rec.New != "" {
		g.new = rec.New
	}
}

// record appends a record to the manifest.
func (r *Run) record(rec record) error {
	if err := r.manifest.append(rec); err != nil {
		return fmt.Errorf("the manifest of the run: %w", err)
	}
	r.note(rec)
	return nil
}

func (r *Run) step(g *runGuest, step Step, reason string) error {
	rec := g.at(step)
	rec.Reason = reason
	return r.record(rec)
}

// finish records that the run has ended.
func (r *Run) finish() error {
	if r.Dir == "" {
		return nil // no guest was planned
	}
	return r.record(record{Finished: true})
}

// keep stores a definition in the folder, completely and on the disk, or not
// at all.
func (r *Run) keep(name string, definition []byte) error {
	part := name + ".part"
	// An existing file is from an interrupted run, or from another user who could
	// read what is written into it.
	if err := r.root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return quotePath(err)
	}
	file, err := r.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return quotePath(err)
	}
	_, err = file.Write(definition)
	err = cmp.Or(err, file.Sync(), file.Close())
	if err == nil {
		err = r.root.Rename(part, name)
	}
	if err == nil {
		err = syncDir(r.Dir)
	}
	if err != nil {
		r.root.Remove(part)
	}
	return quotePath(err)
}

// kept reads a stored definition of a guest, and verifies it. Errors wrap
// [ErrManifest].
func (r *Run) kept(g *runGuest, name, checksum string) ([]byte, error) {
	file, err := r.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, quotePath(err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, xmlfix.MaxInput+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, quotePath(err))
	}
	if sum(data) != checksum {
		return nil, fmt.Errorf("%w: %q does not match its manifest", ErrManifest, name)
	}
	if !g.owns(data) {
		return nil, fmt.Errorf("%w: %q belongs to another guest", ErrManifest, name)
	}
	return data, nil
}

func (r *Run) keptOld(g *runGuest) ([]byte, error) { return r.kept(g, g.oldFile(), g.old) }
func (r *Run) keptNew(g *runGuest) ([]byte, error) { return r.kept(g, g.newFile(), g.new) }

func (g *runGuest) oldFile() string { return g.file() + ".old.xml" }
func (g *runGuest) newFile() string { return g.file() + ".new.xml" }

// Close closes and unlocks the folder.
func (r *Run) Close() error {
	var errs []error
	if r.manifest != nil {
		errs = append(errs, r.manifest.Close())
	}
	if r.root != nil {
		errs = append(errs, r.root.Close())
	}
	if r.lock != nil {
		errs = append(errs, closeState(r.lock))
	}
	return errors.Join(errs...)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return cmp.Or(dir.Sync(), dir.Close())
}
