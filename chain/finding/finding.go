// Package finding has what there is to say about a disk: findings with a stable
// code, a severity and what to do, and an explanation of every code.
package finding

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Severity says what a [Finding] means for the disk.
type Severity int

const (
	// Info: worth knowing; nothing needs doing.
	Info Severity = iota
	// Warn: the disk is handled, but somebody should look.
	Warn
	// Refuse: the disk's chain cannot be made explicit safely.
	Refuse
)

// String returns "info", "warn" or "refuse", the words of the JSON output.
func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Warn:
		return "warn"
	case Refuse:
		return "refuse"
	}
	return fmt.Sprintf("Severity(%d)", int(s))
}

// WholeDisk is the [Finding.Layer] of a finding that concerns no layer.
const WholeDisk = -1

// Finding is one thing to say about a disk. Names and header bytes in Text and
// Hint are quoted, so that they may be printed to a terminal.
type Finding struct {
	Code     Code     // one of the constants
	Severity Severity // the same code may be a warning in one place and a refusal in another
	Layer    int      // index in [Chain.Layers], 0 the top; or [WholeDisk]
	Text     string   // one line, lower case, no full stop
	Hint     string   // what to do, with the command to paste where one helps; may be ""
	// ByName says that somebody should look before the chain is written down:
	// whoever changes many guests takes this one only if it is named.
	ByName bool
}

// ShellWord quotes s for a POSIX shell, so that a hint can be pasted. A name
// that cannot be shown safely on a terminal becomes PATH.
func ShellWord(s string) string {
	if !utf8.ValidString(s) || s == "" {
		return "PATH"
	}
	plain := true
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return "PATH"
		}
		if r > unicode.MaxASCII || !(unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("/._-+,=@:", r)) {
			plain = false
		}
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// GuestWord names a guest in a command that is to be pasted: VM where its name is
// not known, or is none that a shell and virsh take for a name.
func GuestWord(name string) string {
	word := ShellWord(name)
	if word == "PATH" && name != "PATH" || strings.HasPrefix(name, "-") {
		return "VM"
	}
	return word
}

// Explanation tells people what a finding means and what to do about it.
type Explanation struct {
	Code    Code
	Summary string // one line, as in a list
	Meaning string // what was found, and why it matters
	Remedy  string // what to do
}

// Explain returns the explanation of code.
func Explain(code Code) (Explanation, bool) {
	for _, e := range explanations {
		if e.Code == code {
			return e, true
		}
	}
	return Explanation{}, false
}

// Explanations returns the explanation of every code: first those about documents,
// last those about chains.
func Explanations() []Explanation { return slices.Clone(explanations) }

// What several codes' remedies have in common.
const (
	decide = "Find out which is right (qemu-img info --backing-chain on images that you trust, the guest's history, the " +
		"backup tool's log). --refresh rebuilds the chain in the XML from the headers; --keep-xml keeps what the XML says."
	state = "If you know what the image is, say so: --trust PATH=FORMAT. Say raw if any guest has or had it as a raw disk. " +
		"Better still, record the format in the overlay, where every tool will find it: " +
		"qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY (the guest must be off; no data is touched)."
)

// explanations has those of all codes, by what the findings are about.
var explanations = slices.Concat(aboutDocuments, aboutGuests, aboutDisks, aboutImages, aboutFormats, aboutChains)
