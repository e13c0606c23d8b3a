package predict

import (
	"fmt"

	"github.com/chainfix/chainfix/probe"
)

// Need says whether a disk needs an explicit chain, and why. A greater Need is
// worse; for a guest, or a disk under several libvirts, use the [max].
type Need int

const (
	// Recorded: nothing is guessed. The definition and the headers state every
	// format, and the guest sees the right bytes.
	Recorded Need = iota
	// Unknown: it depends on what cannot be read here.
	Unknown
	// Guessed: the guest sees the right bytes, because libvirt or QEMU guesses an
	// unstated format rightly.
	Guessed
	// Refused: the guest does not start, or it starts without this disk. An
	// explicit chain may or may not fix that: it does not restore a missing
	// image.
	Refused
	// Misopened: the guest starts and sees wrong bytes. An explicit chain changes
	// what the guest sees.
	Misopened
)

// String returns "recorded", "unknown", "guessed", "refused" or "misopened".
func (n Need) String() string {
	switch n {
	case Recorded:
		return "recorded"
	case Unknown:
		return "unknown"
	case Guessed:
		return "guessed"
	case Refused:
		return "refused"
	case Misopened:
		return "misopened"
	}
	return fmt.Sprintf("Need(%d)", int(n))
}

// Guess is an unstated format that a libvirt or a QEMU assumes for an image.
type Guess struct {
	Layer  int // index of the image, 0 the top
	Format probe.Format
}

// Need says whether a disk with this prediction needs an explicit chain. If
// Disk returned an error instead of a prediction, the need is [Unknown].
//
// An optional disk with a missing image is left out of the guest and needs
// nothing.
func (p Prediction) Need() Need {
	switch {
	case p.Outcome == Misopens:
		return Misopened
	case p.Outcome == Refuses, p.LeftOut && p.Layer > 0:
		return Refused
	case p.LeftOut:
		return Recorded
	case p.Guess != Guess{}:
		return Guessed
	}
	return Recorded
}
