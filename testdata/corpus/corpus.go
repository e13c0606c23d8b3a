// Package corpus gathers the domain XMLs that other projects test themselves
// with.
//
// They are fetched from Debian's source packages, by whatever the machine's own
// apt is set up for, and stay in the user's cache folder: nothing of them is
// part of this repository.
package corpus

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Document is one file.
type Document struct {
	Name string
	Data []byte
}

// Package returns every *.xml of a Debian source package. What was fetched
// once is not fetched again.
func Package(name string) ([]Document, error) {
	folder, err := fetched(name)
	if err != nil {
		return nil, err
	}
	archives, err := filepath.Glob(filepath.Join(folder, "*.tar.*"))
	if err != nil {
		return nil, err
	}
	var all []Document
	for _, archive := range archives {
		if strings.HasSuffix(archive, ".asc") {
			continue
		}
		found, err := unpack(archive)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", archive, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// unpack returns every *.xml of an archive.
func unpack(archive string) ([]Document, error) {
	file, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if strings.HasSuffix(archive, ".gz") {
		plain, err := gzip.NewReader(file)
		if err != nil {
			return nil, err
		}
		return read(plain)
	}
	xz := exec.Command("xz", "--decompress", "--stdout")
	xz.Stdin = file
	plain, err := xz.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := xz.Start(); err != nil {
		return nil, err
	}
	found, err := read(plain)
	io.Copy(io.Discard, plain) // what may stand behind the archive's end
	if failed := xz.Wait(); err == nil && failed != nil {
		err = fmt.Errorf("xz: %w", failed)
	}
	return found, err
}

func read(plain io.Reader) ([]Document, error) {
	var found []Document
	archive := tar.NewReader(plain)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg || filepath.Ext(header.Name) != ".xml" {
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		found = append(found, Document{header.Name, data})
	}
}

// Folder returns every *.xml in a folder and those below it.
func Folder(dir string) ([]Document, error) {
	var found []Document
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(path) != ".xml" {
			return err
		}
		data, err := os.ReadFile(path)
		found = append(found, Document{path, data})
		return err
	})
	return found, err
}
