// Package finding has what the other packages report about a disk. A [Finding] has
// a stable [Code], a [Severity], a text for people, and a [Remedy]: what to do, in
// words and as data. [Explain] returns what a code means.
//
// The functions that make remedies ([Say], [Join], [Command], [Trust]) are for
// packages that report findings.
package finding

import "fmt"

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

// WholeDisk is the [Finding.Layer] of a finding that concerns no layer.
const WholeDisk = -1

// Finding is one thing to say about a disk. Names and header bytes in Text and
// Remedy are quoted, so that they may be printed to a terminal.
type Finding struct {
	Code     Code     // what was found; [Explain] tells what it means
	Severity Severity // the same code may be a warning in one place and a refusal in another
	Layer    int      // index in the Layers of the chain, 0 the top; or [WholeDisk]
	Text     string   // one line, lower case, no full stop
	Remedy   Remedy   // what to do; may say nothing
	// ByName says that somebody should look at the disk before its chain is
	// written into the XML. A program that changes many guests should change
	// this one only if the operator names it.
	ByName bool
}
