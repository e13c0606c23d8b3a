package host

import (
	"cmp"
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
