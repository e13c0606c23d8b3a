package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/chain/limit"
)

// GuestNames returns the names of all guests, including those that run without
// a definition.
func (d *Daemon) GuestNames(ctx context.Context) ([]string, error) {
	listed, err := d.listDomains(ctx, 0)
	var names []string
	for _, domain := range listed {
		names = append(names, domain.Name)
	}
	return names, err
}

// Left returns nothing: libvirt has no metadata of unknown guests.
func (d *Daemon) Left(context.Context, func(string) bool) ([]*Guest, error) { return nil, nil }

// Unseen returns nothing.
func (d *Daemon) Unseen(context.Context) []error { return nil }

// GuestNames are the names of the files of definitions, and of those of running guests.
func (f *Folder) GuestNames(ctx context.Context) (names []string, err error) {
	for _, dir := range []string{f.Definitions, f.StatusDir} {
		if dir == "" {
			continue
		}
		for file, err := range xmlFiles(ctx, f.Requests, dir) {
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err != nil {
				return nil, err
			}
			names = append(names, file.name)
		}
	}
	return names, nil
}

// Left returns guests that have only snapshots, checkpoints or a saved state,
// for example after an undefine that kept the files.
func (f *Folder) Left(ctx context.Context, known func(string) bool) (guests []*Guest, err error) {
	var names []string
	for _, of := range []struct{ dir, suffix string }{{f.SnapshotDir, ""}, {f.CheckpointDir, ""}, {f.ManagedSaveDir, ".save"}} {
		if of.dir == "" {
			continue
		}
		entries, err := limit.Do(ctx, f.Requests, of.dir, func(context.Context) ([]os.DirEntry, error) { return os.ReadDir(of.dir) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, quotePath(err)
		}
		for _, entry := range entries {
			if name, ok := strings.CutSuffix(entry.Name(), of.suffix); ok && !known(name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		guest := &Guest{Name: name}
		guest.metadata = func(ctx context.Context) iter.Seq2[*Metadata, error] { return f.metadata(ctx, name, true) }
		guests = append(guests, guest)
	}
	return guests, nil
}

// Unseen returns which of the folders that libvirt creates when it starts are
// absent or unknown.
func (f *Folder) Unseen(ctx context.Context) (why []error) {
	if f.StatusDir == "" {
		why = append(why, errors.New("the files do not show which guests run"))
	}
	for _, of := range []struct{ what, dir string }{{"snapshots", f.SnapshotDir}, {"saved states", f.ManagedSaveDir}} {
		if of.dir == "" {
			why = append(why, fmt.Errorf("the folder of %s is unknown", of.what))
		} else if err := f.stat(ctx, filepath.Clean(of.dir)); err != nil {
			why = append(why, fmt.Errorf("%s could not be read: %w", of.what, quotePath(err)))
		}
	}
	return why
}
