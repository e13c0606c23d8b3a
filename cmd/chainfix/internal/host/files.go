package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/xmlfix"
)

// xmlFile is one of libvirt's files NAME.xml.
type xmlFile struct{ name, path string }

// xmlFiles lists those of a folder, sorted by name. With an error it returns
// no files.
func xmlFiles(ctx context.Context, requests *limit.Requests, dir string) iter.Seq2[xmlFile, error] {
	return listFiles(ctx, requests, dir, false)
}

// listFiles lists the files of a folder as xmlFiles does, or all of them, whatever their
// suffix: so libvirt reads the metadata of snapshots and checkpoints.
func listFiles(ctx context.Context, requests *limit.Requests, dir string, all bool) iter.Seq2[xmlFile, error] {
	return func(yield func(xmlFile, error) bool) {
		entries, err := limit.Do(ctx, requests, dir, func(context.Context) ([]os.DirEntry, error) { return os.ReadDir(dir) })
		if err != nil {
			yield(xmlFile{}, quotePath(err))
			return
		}
		var files []xmlFile
		for _, entry := range entries {
			name, ok := strings.CutSuffix(entry.Name(), ".xml")
			if (ok || all) && !entry.IsDir() {
				files = append(files, xmlFile{name, filepath.Join(dir, entry.Name())})
			}
		}
		// So far the suffix affected the order.
		slices.SortFunc(files, func(a, b xmlFile) int { return cmp.Compare(a.name, b.name) })
		for _, file := range files {
			if !yield(file, nil) {
				return
			}
		}
	}
}

// fileText is an xmlFile that was read.
type fileText struct {
	xmlFile
	data []byte
}

// readFiles reads the files NAME.xml of a folder; an absent folder has none. It
// leaves out files that disappear meanwhile. An error with a text is about that
// text alone; one without a text is the last element.
func readFiles(ctx context.Context, requests *limit.Requests, dir string) iter.Seq2[*fileText, error] {
	return readListed(ctx, requests, xmlFiles(ctx, requests, dir))
}

func readListed(ctx context.Context, requests *limit.Requests, files iter.Seq2[xmlFile, error]) iter.Seq2[*fileText, error] {
	return func(yield func(*fileText, error) bool) {
		for file, err := range files {
			if errors.Is(err, fs.ErrNotExist) {
				return
			}
			if err == nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			data, err := file.read(ctx, requests)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if !yield(&fileText{file, data}, err) {
				return
			}
		}
	}
}

// read returns the bytes of a regular file, up to the limit of package xmlfix.
// It never blocks on a FIFO.
func (x xmlFile) read(ctx context.Context, requests *limit.Requests) ([]byte, error) {
	return limit.Do(ctx, requests, x.path, func(context.Context) ([]byte, error) { return x.readNow() })
}

func (x xmlFile) readNow() ([]byte, error) {
	f, err := os.OpenFile(x.path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, quotePath(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, quotePath(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q: %w: it is not a regular file", x.path, ErrDefinition)
	}
	data, err := io.ReadAll(io.LimitReader(f, xmlfix.MaxInput+1))
	if err != nil {
		return nil, quotePath(err)
	}
	if len(data) > xmlfix.MaxInput {
		return nil, fmt.Errorf("%q: %w: more than %d bytes", x.path, ErrTooLong, xmlfix.MaxInput)
	}
	return data, nil
}

// quotePath quotes the path in an error of package os.
func quotePath(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return fmt.Errorf("%s %q: %w", e.Op, e.Path, e.Err)
	}
	return err
}
