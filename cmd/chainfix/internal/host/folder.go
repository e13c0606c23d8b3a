package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/limit"
)

// Folder is a host read from libvirt's files, without connecting to libvirt.
// Only these files are opened, only for reading.
//
// All folders but the first may be missing or "": they then count as empty.
type Folder struct {
	Definitions    string // the guests' definitions, GUEST.xml
	SnapshotDir    string // the metadata of their snapshots, GUEST/SNAPSHOT.xml, or with any suffix
	CheckpointDir  string // the metadata of their checkpoints, the same way
	ManagedSaveDir string // their managed save images, GUEST.save
	StatusDir      string // the XML of those that run, GUEST.xml
	PoolDir        string // the definitions of storage pools, POOL.xml

	// Requests limits the time of reading a file; nil means no limit.
	Requests *limit.Requests
}

// FolderAt returns the host with its definitions in dir, and the other folders
// where libvirt 9.0 has them:
//
//   - for ROOT/etc/libvirt/qemu those of the system's daemon, in
//     ROOT/var/lib/libvirt/qemu and, of what runs, in ROOT/run/libvirt/qemu;
//   - for any other those of a session's daemon, within dir. The folder of its running guests is unknown.
//
// Storage pools are in the folder "storage" beside dir.
func FolderAt(dir string) *Folder {
	f := &Folder{Definitions: dir, PoolDir: filepath.Join(dir, "..", "storage")}
	state := absolute(dir) // saved states are compared with images, whose names are absolute
	if root, ok := strings.CutSuffix(state, "/etc/libvirt/qemu"); ok {
		state = root + "/var/lib/libvirt/qemu"
		f.StatusDir = root + "/run/libvirt/qemu"
	}
	f.SnapshotDir = filepath.Join(state, "snapshot")
	f.CheckpointDir = filepath.Join(state, "checkpoint")
	f.ManagedSaveDir = filepath.Join(state, "save")
	return f
}

func absolute(dir string) string {
	if path, err := filepath.Abs(dir); err == nil {
		return path
	}
	return dir
}

// Version is unknown.
func (f *Folder) Version() libvirt.Version { return libvirt.Version{} }

// QEMU implements [Inventory]: the version is unknown.
func (f *Folder) QEMU() libvirt.Version { return libvirt.Version{} }

// Guests reads the guests. See [Inventory]. Those of one folder are sorted by
// the names of their files, which in libvirt's own folder are the guests'.
// Files with another suffix than ".xml", and folders, are ignored. The error
// is [ErrDefinition] for a file that is not a definition, and [ErrTooLong] for
// one of more than 64 MiB. A folder without any such file is an
// [ErrNoDefinitions]: it is probably the wrong folder.
func (f *Folder) Guests(ctx context.Context) iter.Seq2[*Guest, error] {
	return func(yield func(*Guest, error) bool) {
		none := true
		for file, err := range xmlFiles(ctx, f.Requests, f.Definitions) {
			none = false
			if err == nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			guest, err := limit.Row(ctx, f.Requests, func(ctx context.Context) (*Guest, error) { return f.read(ctx, file) })
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				guest = &Guest{Name: file.name, File: file.path}
			}
			if !yield(guest, err) {
				return
			}
		}
		if none {
			yield(nil, fmt.Errorf("%w: %q", ErrNoDefinitions, f.Definitions))
		}
	}
}

func (f *Folder) read(ctx context.Context, file xmlFile) (*Guest, error) {
	definition, err := file.read(ctx, f.Requests)
	if err != nil {
		return nil, err
	}
	guest := &Guest{File: file.path, Definition: definition}
	if guest.Name, guest.UUID, err = identify(definition); err != nil {
		return nil, fmt.Errorf("%q: %w", file.path, err)
	}
	name := guest.Name
	guest.metadata = func(ctx context.Context) iter.Seq2[*Metadata, error] { return f.metadata(ctx, name, guest.ManagedSave) }

	if f.StatusDir != "" {
		status, err := xmlFile{path: filepath.Join(f.StatusDir, name+".xml")}.read(ctx, f.Requests)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		default:
			guest.Active, guest.record = true, status
			if guest.Live, guest.BlockJob, err = readStatus(status); err != nil {
				return nil, fmt.Errorf("%q: %w", f.StatusDir, err)
			}
		}
	}
	if f.ManagedSaveDir != "" {
		err := f.stat(ctx, filepath.Join(f.ManagedSaveDir, name+".save"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, quotePath(err)
		}
		guest.ManagedSave = err == nil
	}
	return guest, nil
}

func (f *Folder) stat(ctx context.Context, path string) error {
	_, err := limit.Do(ctx, f.Requests, path, func(context.Context) (fs.FileInfo, error) { return os.Stat(path) })
	return err
}

// Transient reads the status files of running guests without a definition. See
// [Inventory].
func (f *Folder) Transient(ctx context.Context) iter.Seq2[*Guest, error] {
	return func(yield func(*Guest, error) bool) {
		if f.StatusDir == "" {
			return
		}
		for file, err := range readFiles(ctx, f.Requests, f.StatusDir) {
			if file == nil {
				yield(nil, err)
				return
			}
			if f.defines(ctx, file.name) {
				continue
			}
			guest := &Guest{Name: file.name, File: file.path, Active: true}
			if err == nil {
				guest.record = file.data
				guest.Live, guest.BlockJob, err = readStatus(file.data)
			}
			if err == nil {
				name := guest.Name
				guest.metadata = func(ctx context.Context) iter.Seq2[*Metadata, error] { return f.metadata(ctx, name, true) }
			} else {
				err = fmt.Errorf("%q: %w", file.path, err)
			}
			if !yield(guest, err) {
				return
			}
		}
	}
}

// defines reports whether there is a definition in a guest's file, be it one that cannot be
// read. That of another guest, as in a copy that somebody keeps there, is none.
func (f *Folder) defines(ctx context.Context, guest string) bool {
	text, err := xmlFile{path: filepath.Join(f.Definitions, guest+".xml")}.read(ctx, f.Requests)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	name, _, err := identify(text)
	return err != nil || name == guest
}

func (f *Folder) metadata(ctx context.Context, guest string, saved bool) iter.Seq2[*Metadata, error] {
	return func(yield func(*Metadata, error) bool) {
		for _, of := range []struct {
			kind MetadataKind
			dir  string
		}{{Snapshot, f.SnapshotDir}, {Checkpoint, f.CheckpointDir}} {
			if of.dir == "" {
				continue
			}
			files := listFiles(ctx, f.Requests, filepath.Join(of.dir, guest), true)
			for file, err := range readListed(ctx, f.Requests, files) {
				if file == nil {
					yield(nil, err)
					return
				}
				if !yield(&Metadata{Kind: of.kind, Name: file.name, File: file.path, XML: file.data}, err) {
					return
				}
			}
		}
		if f.ManagedSaveDir == "" || !saved {
			return
		}
		path := filepath.Join(f.ManagedSaveDir, guest+".save")
		definition, err := limit.Do(ctx, f.Requests, path, func(context.Context) ([]byte, error) { return readSaved(path) })
		if !errors.Is(err, fs.ErrNotExist) {
			yield(&Metadata{Kind: SavedState, Name: savedName, File: path, XML: definition}, err)
		}
	}
}

// Pools reads the pools' definitions. See [Inventory].
func (f *Folder) Pools(ctx context.Context) iter.Seq2[*Pool, error] {
	return func(yield func(*Pool, error) bool) {
		if f.PoolDir == "" {
			return
		}
		for file, err := range readFiles(ctx, f.Requests, f.PoolDir) {
			if file == nil {
				yield(nil, err)
				return
			}
			if !yield(&Pool{Name: file.name, File: file.path, XML: file.data}, err) {
				return
			}
		}
	}
}
