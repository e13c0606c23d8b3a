// Package finding defines what the other packages report about a disk. A
// [Finding] has a stable [Code], a [Severity], a text, and a [Remedy]: what to
// do, as text and as data. [Explain] returns what a code means.
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
	// Info: worth knowing; nothing to do.
	Info Severity = iota
	// Warn: the chain can be made explicit, but somebody should look at the disk.
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

// WholeDisk is the [Finding.Layer] of a finding about the disk, not about one
// layer.
const WholeDisk = -1

// Finding is one observation about a disk. Names and header bytes in Text and
// Remedy are quoted and safe to print on a terminal.
type Finding struct {
	Code     Code     // what was found; see [Explain]
	Severity Severity // the same code may be a warning in one place and a refusal in another
	Layer    int      // index in the Layers of the chain, 0 the top; or [WholeDisk]
	Text     string   // one line, lower case, no full stop
	Remedy   Remedy   // what to do; may be zero
	// ByName means that somebody should look at the disk before its chain is
	// written into the XML. A program that changes many guests should change this
	// one only if the operator names it.
	ByName bool
	// Misopens means that the chain in the XML certainly contradicts the image
	// headers: a guest that starts with it reads other bytes than the headers
	// describe. It is set only if all images involved could be read.
	Misopens bool
}

// Explanation says what findings with a code mean and what to do about them.
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

// Texts that the remedies of several codes share.
const (
	decide = "Find out which is right (qemu-img info --backing-chain on images that you trust, the guest's history, the " +
		"backup tool's log). --refresh rebuilds the chain in the XML from the headers; --keep-xml keeps the chain in the XML; an entry under \"disks\" of the policy file keeps it for one disk permanently."
	state = "If you know the format of the image, state it: --trust PATH=FORMAT. State raw if any guest uses or used it as a raw disk. Better still, record the format in the overlay, where every tool finds it: qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY (the guest must be off; no data is touched)."
)

// explanations has all tables of explanations, in the order of
// docs/findings.md.
var explanations = [][]Explanation{aboutDocuments, aboutGuests, aboutDisks, aboutImages, aboutFormats, aboutChains}
