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

// Run is the folder of an apply: the old and the new definition of every guest
// that it takes on, and the manifest that says how far it has come. Only its
// owner can read it: definitions hold secrets.
type Run struct {
	// Dir is the path of the folder; "" of a run that has none, because it has taken
	// on no guest yet.
	Dir string
	// Origin says by what the run was made, and of which libvirt it is.
	Origin Origin
	// Begun is when that was.
	Begun time.Time
	// Finished says that the run is done, with whatever outcome.
	Finished bool

	stateDir string // the folder that Dir will be in
	made     bool   // Dir is new
	root     *os.Root
	manifest *manifest
	guests   []*runGuest // in the order in which they were planned
	byKey    map[string]*runGuest
	lock     *os.File
}

// runGuest is what the manifest says of one guest, or of what libvirt keeps of it.
type runGuest struct {
	name, uuid string
	stored     Stored // the zero Stored: it is about the guest's definition
	step       Step
	old, new   string // checksums
	reason     string
	// mayHaveNew says that libvirt was given the new definition, or may have been,
	// and is not known to have the old one again. What is kept of the old
	// one may be all that there is of it.
	mayHaveNew bool
	// takenBack says that it was given the new one and has the old one again, by
	// a rollback.
	takenBack bool
}

var (
	// ErrBusy is returned where another apply or rollback is at work in the state
	// folder.
	ErrBusy = errors.New("another run is at work")
	// ErrChanged is returned where somebody changed a guest meanwhile, so that it
	// is not touched.
	ErrChanged = errors.New("somebody changed the guest meanwhile")
)

// openState opens the folder that holds the runs, makes it if it is not there,
// and keeps every other run out of it.
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

// closeState releases the lock at once. Closing the file would not do: a process
// that another part of this one is just starting has it open for a moment too.
func closeState(lock *os.File) error {
	return errors.Join(unix.Flock(int(lock.Fd()), unix.LOCK_UN), lock.Close())
}

// beginRun returns the run of the state folder that was not finished on the
// same libvirt, or a new one, which has no folder before [Run.make] has made it. No
// other run is at work in the state folder until it is closed; one that is absent is
// made by Run.make, too.
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

// make makes the folder of the run, if it has none.
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

// makeState makes the folder of the runs, if that was absent when the run began. Another
// run that began meanwhile, and knows nothing of this one, goes first.
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

// discard takes the folder away again that this run has made, and in which it has changed
// nothing. That of a run that was cut short stays.
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

// openRun opens the run in a folder, and keeps others out. In a folder that is
// no run's it makes nothing.
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
	// From now on nobody else writes into it.
	run, err := loadRun(dir, os.O_RDWR)
	if err != nil {
		closeState(lock)
		return nil, err
	}
	run.lock = lock
	return run, nil
}

// loadRun reads the manifest of a run, to which more can be written with the access
// os.O_RDWR.
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

// openFolder is [os.OpenRoot], which waits for somebody to open the other end
// where it is given a FIFO (Go 1.26).
func openFolder(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir + string(filepath.Separator))
	var e *fs.PathError
	if errors.As(err, &e) {
		return nil, fmt.Errorf("open %q: %w", dir, e.Err)
	}
	return root, err
}

// note takes over what a record says.
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

// record writes a step of a guest down.
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

// finish writes down that every guest has had its turn.
func (r *Run) finish() error {
	if r.Dir == "" {
		return nil // none was taken on
	}
	return r.record(record{Finished: true})
}

// keep puts a definition into the folder: whole and on the disk, or not at all.
func (r *Run) keep(name string, definition []byte) error {
	part := name + ".part"
	// One that is there is of a run that was cut short, or of somebody else's
	// who could read what is written into it.
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

// kept reads a definition of a guest's back, and checks that it is the one that
// was kept. Errors wrap [ErrManifest].
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
		return nil, fmt.Errorf("%w: %q is not what its manifest says", ErrManifest, name)
	}
	if !g.owns(data) {
		return nil, fmt.Errorf("%w: %q is another guest's", ErrManifest, name)
	}
	return data, nil
}

func (r *Run) keptOld(g *runGuest) ([]byte, error) { return r.kept(g, g.oldFile(), g.old) }
func (r *Run) keptNew(g *runGuest) ([]byte, error) { return r.kept(g, g.newFile(), g.new) }

func (g *runGuest) oldFile() string { return g.file() + ".old.xml" }
func (g *runGuest) newFile() string { return g.file() + ".new.xml" }

// Close closes the folder and lets other runs in.
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
