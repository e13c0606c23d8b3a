// Package finding has what the other packages report about a disk. A [Finding] has
// a stable [Code], a [Severity], a text for people, and a [Remedy]: what to do, in
// words and as data. [Explain] returns what a code means.
//
// The functions that make remedies ([Say], [Join], [Command], [Trust]) are for
// packages that report findings.
package finding

import (
	"fmt"
	"slices"
)

// Severity is what a [Finding] means for the disk.
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

// Level returns "info", "warning" or "error", the words for people.
func (s Severity) Level() string {
	switch s {
	case Warn:
		return "warning"
	case Refuse:
		return "error"
	}
	return s.String()
}

// WholeDisk is the [Finding.Layer] of a finding that concerns no layer.
const WholeDisk = -1

// Finding is one thing to say about a disk. Names and header bytes in Text and
// Remedy are quoted, so that they may be printed to a terminal.
type Finding struct {
	Code     Code     // what was found; see [Explain]
	Severity Severity // the same code may be a warning in one place and a refusal in another
	Layer    int      // index in the Layers of the chain, 0 the top; or [WholeDisk]
	Text     string   // one line, lower case, no full stop
	Remedy   Remedy   // what to do; may say nothing
	// ByName says that somebody should look at the disk before its chain is
	// written into the XML. A program that changes many guests should change
	// this one only if the operator names it.
	ByName bool
	// Misopens says that the XML's own chain contradicts the headers of its images,
	// beyond doubt and so that a guest which starts with it as it is sees other bytes
	// than the headers tell. Nothing that could not be looked at is needed to say so.
	Misopens bool
}

// Explanation says, for people, what findings with a code mean and what to do about
// them.
type Explanation struct {
	Code    Code
	Summary string // one line, as in a list
	Meaning string // what was found, and why it matters
	Remedy  string // what to do
}

// Explain returns the explanation of code; false if there is no such code.
func Explain(code Code) (Explanation, bool) {
	for _, group := range explanations {
		for _, e := range group {
			if e.Code == code {
				return e, true
			}
		}
	}
	return Explanation{}, false
}

// Explanations returns the explanation of every code: first those about documents,
// last those about chains.
func Explanations() []Explanation { return slices.Concat(explanations...) }

// What several codes' remedies have in common.
const (
	decide = "Find out which is right (qemu-img info --backing-chain on images that you trust, the guest's history, the " +
		"backup tool's log). --refresh rebuilds the chain in the XML from the headers; --keep-xml keeps what the XML says, " +
		"and so does, for one disk and for good, an entry under \"disks\" of the policy file."
	state = "If you know what the image is, say so: --trust PATH=FORMAT. Say raw if any guest has or had it as a raw disk. " +
		"Better still, record the format in the overlay, where every tool will find it: " +
		"qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY (the guest must be off; no data is touched)."
)

// explanations has those of all codes, by what the findings are about.
var explanations = [][]Explanation{aboutDocuments, aboutGuests, aboutDisks, aboutImages, aboutFormats, aboutChains}
