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

	"github.com/chainfix/chainfix/xmlfix"
)

// document is a file NAME.xml of libvirt's.
type document struct{ name, path string }

// documents lists those of a folder, sorted by name. The error is the only
// thing that comes with it.
func documents(dir string) iter.Seq2[document, error] {
	return func(yield func(document, error) bool) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			yield(document{}, quotePath(err))
			return
		}
		var all []document
		for _, entry := range entries {
			name, ok := strings.CutSuffix(entry.Name(), ".xml")
			if ok && !entry.IsDir() {
				all = append(all, document{name, filepath.Join(dir, entry.Name())})
			}
		}
		// The suffix took part in the order so far.
		slices.SortFunc(all, func(a, b document) int { return cmp.Compare(a.name, b.name) })
		for _, d := range all {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// text is a document that was read.
type text struct {
	document
	data []byte
}

// texts reads the documents of a folder; one that is not there has none. Those
// that disappear meanwhile are left out. An error that comes with a text is of
// that one alone; one that comes with none is the last thing that comes.
func texts(ctx context.Context, dir string) iter.Seq2[*text, error] {
	return func(yield func(*text, error) bool) {
		for file, err := range documents(dir) {
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
			data, err := file.read()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if !yield(&text{file, data}, err) {
				return
			}
		}
	}
}

// read returns the bytes of a regular file, at most as many as package xmlfix
// takes. It does not wait for anything else, such as a FIFO.
func (d document) read() ([]byte, error) {
	f, err := os.OpenFile(d.path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, quotePath(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, quotePath(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q: %w: it is no regular file", d.path, ErrDefinition)
	}
	data, err := io.ReadAll(io.LimitReader(f, xmlfix.MaxInput+1))
	if err != nil {
		return nil, quotePath(err)
	}
	if len(data) > xmlfix.MaxInput {
		return nil, fmt.Errorf("%q: %w: more than %d bytes", d.path, ErrTooLong, xmlfix.MaxInput)
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
