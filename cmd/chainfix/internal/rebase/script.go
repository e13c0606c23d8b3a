package rebase

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
)

//go:embed common.sh
var commonScript string

//go:embed rebase.sh
var recordScript string

//go:embed undo.sh
var undoScript string

// Suffixes of the script's name: for the undo script, and for the folder in
// which the first script stores the old headers.
const (
	undoSuffix  = ".undo"
	savedSuffix = ".saved"
)

// ErrThere is returned if a file or folder with that name already exists: it
// may be needed to undo an earlier run.
var ErrThere = errors.New("the file already exists, and an earlier script may need it to be undone: use another name")

// Summary counts the overlays without a record.
type Summary struct {
	Recorded  int // images with a command
	Questions int // images with an unstated format of the backing image
	LeftOut   int // images that the scripts do not change
}

// CheckFree returns [ErrThere] if a file that [Plan.Write] would write already
// exists.
func CheckFree(file string) error {
	for _, suffix := range []string{"", undoSuffix, savedSuffix} {
		if _, err := os.Lstat(file + suffix); err == nil {
			return fmt.Errorf("%q: %w", file+suffix, ErrThere)
		}
	}
	return nil
}

// Write writes the script that records the formats to a new file, and the one
// that undoes it to FILE.undo. Both need a POSIX shell with GNU coreutils, and
// only their owner can read them.
func (p *Plan) Write(ctx context.Context, file string) (Summary, error) {
	var sum Summary
	path, err := filepath.Abs(file)
	if err != nil {
		return sum, err
	}
	if err := CheckFree(path); err != nil {
		return sum, err
	}
	start := "libvirt=" + quote(p.libvirt) + "\nsaved=" + quote(path+savedSuffix) + "\n"
	var record, undo strings.Builder
	record.WriteString(prologue("This records the stated formats of backing images in the headers of their overlays, as a scan of the host found them.",
		"To undo it: sh "+finding.ShellWord(path+undoSuffix)) + start + commonScript + recordScript)
	undo.WriteString(prologue("This undoes the changes of the other script, in images to which nobody has written since.",
		"The other script: sh "+finding.ShellWord(path)) + start + commonScript + undoScript)
	for d := range p.decisions(ctx) {
		switch {
		case d.leftOut != "":
			sum.LeftOut++
			record.WriteString(comment("LEFT OUT", d.overlay, d.leftOut))
		case d.format == "":
			sum.Questions++
			record.WriteString(comment("QUESTION", d.overlay, d.question))
		default:
			sum.Recorded++
			record.WriteString(d.call("record", string(d.format), d.layer.Header.Backing.Name))
			undo.WriteString(d.call("restore"))
		}
	}
	if ctx.Err() != nil {
		return sum, context.Cause(ctx)
	}
	// The last line: a truncated script does nothing.
	const epilogue = "\n\texit \"$failed\"\n}\n\nmain\n"
	if err := writeNew(path+undoSuffix, undo.String()+epilogue); err != nil {
		return sum, err
	}
	if err := writeNew(path, record.String()+epilogue); err != nil {
		os.Remove(path + undoSuffix)
		return sum, err
	}
	return sum, nil
}

// prologue is the head of a script.
func prologue(lines ...string) string {
	text := "#!/bin/sh\n# Written by chainfix host scan --rebase-script.\n"
	for _, line := range lines {
		text += "# " + line + "\n"
	}
	return text + `#
# Each image is checked first: its guests must be shut off, and its header must not have changed. Other images are skipped.
# The exit status is 1 if an image was skipped, otherwise 0. The script may be run again.

`
}

// call returns the call of a script's function for an image; the arguments
// more come before the guests.
func (d *decision) call(function string, more ...string) string {
	key := sha256.Sum256([]byte(d.path))
	words := []string{function, quote(storage.Describe(d.layer.At())), quote(d.path), fmt.Sprintf("%x", key[:8]), strconv.FormatUint(d.cluster, 10), fmt.Sprintf("%x", d.sum)}
	for _, word := range append(more, d.guests...) {
		words = append(words, quote(word))
	}
	return "\n\t" + strings.Join(words, " ") + "\n"
}

// comment returns a comment that says why an overlay has no command.
// Unprintable characters become question marks, so no name can end the
// comment.
func comment(kind string, o *overlay, text string) string {
	all := "\n"
	for i, line := range strings.Split(text, "\n") {
		line = strings.Map(printable, line)
		if i == 0 {
			line = kind + " " + storage.Describe(o.layer.At()) + ": " + line
		} else {
			line = "  " + line
		}
		all += "\t# " + line + "\n"
	}
	return all
}

// printable replaces control characters, line ends and the like by a question
// mark.
func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return '?'
	}
	return r
}

// quote quotes a text without a NUL for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// writeNew writes a file that must not exist.
func writeNew(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		os.Remove(path)
		return err
	}
	return nil
}
