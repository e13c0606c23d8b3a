// Package corpus collects the domain XMLs of other projects' tests, and the
// schemas of a libvirt that is newer than the machine's own.
//
// It downloads Debian packages with the machine's apt configuration into the
// user's cache folder: they are not part of this repository.
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

// Package returns every *.xml of a Debian source package. Each package is
// downloaded only once.
func Package(name string) ([]Document, error) {
	// A mirror may lack a source that its lists name: then use another release's.
	folder, err := fetched(name, source, ownSuite, newSuite)
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
		return read(plain, ".xml")
	}
	xz := exec.Command("xz", "--decompress", "--stdout")
	xz.Stdin = file
	return readFrom(xz, ".xml")
}

// readFrom reads the archive that a command prints.
func readFrom(cmd *exec.Cmd, extension string) ([]Document, error) {
	plain, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	found, err := read(plain, extension)
	io.Copy(io.Discard, plain) // what may stand after the archive's end
	if failed := cmd.Wait(); err == nil && failed != nil {
		err = fmt.Errorf("%s: %w", cmd.Args[0], failed)
	}
	return found, err
}

// newSuite is the release of Debian that has libvirt 11.3.
const newSuite = "trixie"

// Schemas writes the RELAX NG schemas of libvirt 11.3 into a folder: they have
// elements that the machine's own libvirt may lack, such as <dataStore> (since
// 10.10). The one of a domain is domain.rng.
func Schemas(dir string) error {
	folder, err := fetched("libvirt-common", binary, newSuite)
	if err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(folder, "*.deb"))
	if err != nil {
		return err
	}
	for _, name := range packages {
		found, err := readFrom(exec.Command("dpkg-deb", "--fsys-tarfile", name), ".rng")
		if err != nil {
			return err
		}
		for _, d := range found {
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(d.Name)), d.Data, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func read(plain io.Reader, extension string) ([]Document, error) {
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
		if header.Typeflag != tar.TypeReg || filepath.Ext(header.Name) != extension {
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		found = append(found, Document{header.Name, data})
	}
}

// Folder returns every *.xml in a folder and its subfolders.
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
