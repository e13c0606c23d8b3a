package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Step is the progress of a guest in a [Run].
type Step string

const (
	// Planned: the run's folder has its old and new definition; libvirt still has
	// the old one.
	Planned Step = "planned"
	// Defining: the new one is being defined; libvirt has one of the two.
	Defining Step = "defining"
	// Defined: libvirt confirmed the new one.
	Defined Step = "defined"
	// Left: the guest was not changed, or its old definition was restored; the
	// record has the reason.
	Left Step = "left"
	// Changed: the new one was or may have been defined, but now libvirt has
	// neither of the two; the record has the reason.
	Changed Step = "changed"
	// Restoring: the old one is being restored.
	Restoring Step = "restoring"
	// Restored: libvirt has the old one again.
	Restored Step = "restored"
)

// manifestSchema is the name and version of a manifest.
const manifestSchema = "chainfix/run/v1"

// record is one line of a manifest. The first has the Schema and the Origin,
// the last of a finished run has Finished; every other is a step of a guest.
type record struct {
	Time time.Time `json:"time"`

	Schema string `json:"schema,omitempty"`
	Origin

	Guest string `json:"guest,omitempty"`
	UUID  string `json:"uuid,omitempty"`
	// Kind and Name identify a [Stored]; absent for a definition.
	Kind   MetadataKind `json:"kind,omitempty"`
	Name   string       `json:"name,omitempty"`
	Step   Step         `json:"step,omitempty"`
	Old    string       `json:"old,omitempty"` // SHA-256 of the definitions; New is of what libvirt made of it
	New    string       `json:"new,omitempty"`
	Reason string       `json:"reason,omitempty"`

	Finished bool `json:"finished,omitempty"`
}

func sum(definition []byte) string {
	s := sha256.Sum256(definition)
	return hex.EncodeToString(s[:])
}

// manifest is an append-only file of records. A record is on the disk before
// its step is carried out.
type manifest struct {
	file *os.File
	size int64 // of the whole records
}

const manifestName = "manifest.jsonl"

var (
	// ErrManifest is returned if a folder does not have the content of a run's
	// folder.
	ErrManifest = errors.New("not the folder of a run")
	// errNotBegun is the ErrManifest of a folder with at most the beginning of a
	// manifest's first line: such a run has changed nothing.
	errNotBegun = fmt.Errorf("%w: it was not begun", ErrManifest)
)

// openManifest opens the manifest of a run, for os.O_RDONLY or os.O_RDWR, and
// calls note with its records and their line numbers. It drops a truncated
// last line, which the program did not finish writing. All errors wrap
// ErrManifest, or are note's.
func openManifest(root *os.Root, access int, note func(line int, r record) error) (*manifest, error) {
	// In another user's folder that name may be any kind of file.
	file, err := root.OpenFile(manifestName, access|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotBegun
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, quotePath(err))
	}
	data, err := readManifest(file)
	if err == nil {
		data = data[:bytes.LastIndexByte(data, '\n')+1]
		err = parseManifest(data, note)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &manifest{file: file, size: int64(len(data))}, nil
}

func readManifest(file *os.File) ([]byte, error) {
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("its manifest is not a regular file")
	}
	var data []byte
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(file, maxManifest+1))
	}
	if err == nil && len(data) > maxManifest {
		err = ErrTooLong
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, quotePath(err))
	}
	return data, nil
}

// parseManifest does not keep records: a manifest may have millions.
func parseManifest(data []byte, note func(line int, r record) error) error {
	lines := 0
	for line := range bytes.Lines(data) {
		lines++
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("%w: line %d of its manifest: %w", ErrManifest, lines, err)
		}
		if lines == 1 && r.Schema != manifestSchema {
			return fmt.Errorf("%w: its manifest does not begin with %q", ErrManifest, manifestSchema)
		}
		if err := note(lines, r); err != nil {
			return err
		}
	}
	if lines == 0 {
		return errNotBegun
	}
	return nil
}

const (
	// maxManifest is the maximum size of a manifest in bytes: enough for
	// maxGuests entries with a dozen records each.
	maxManifest = 256 << 20
	// maxGuests is the maximum number of entries of a manifest: guests,
	// snapshots, checkpoints and saved states.
	maxGuests = 100_000
)

// createManifest begins a manifest.
func createManifest(root *os.Root, origin Origin) (*manifest, error) {
	file, err := root.OpenFile(manifestName, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	m := &manifest{file: file}
	if err := m.append(record{Schema: manifestSchema, Origin: origin}); err != nil {
		file.Close()
		return nil, err
	}
	return m, nil
}

// append writes a record to the disk, completely or not at all.
func (m *manifest) append(r record) error {
	r.Time = time.Now().UTC()
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	_, err = m.file.WriteAt(line, m.size)
	if err == nil {
		err = m.file.Sync()
	}
	if err != nil {
		m.file.Truncate(m.size)
		return quotePath(err)
	}
	m.size += int64(len(line))
	return nil
}

func (m *manifest) Close() error { return m.file.Close() }
