// Package finding has what there is to say about a disk: findings with a stable
// code, a severity and what to do, and an explanation of every code.
package finding

import "fmt"

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
// Remedy are quoted, so that they may be printed to a terminal.
type Finding struct {
	Code     Code     // one of [Codes]
	Severity Severity // the same code may be a warning in one place and a refusal in another
	Layer    int      // index in the Layers of the chain, 0 the top; or [WholeDisk]
	Text     string   // one line, lower case, no full stop
	Remedy   Remedy   // what to do; may say nothing
	// ByName says that somebody should look before the chain is written down:
	// whoever changes many guests takes this one only if it is named.
	ByName bool
}
