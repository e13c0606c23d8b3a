package predict

import (
	"fmt"

	"github.com/chainfix/chainfix/probe"
)

// Need says whether a disk needs an explicit chain, and why: what of it, as it is, is
// nobody's word. A greater Need is a worse one, and a guest, or a disk under several libvirts,
// has the greatest of all: [max] returns it.
type Need int

const (
	// Recorded: nothing is guessed. The definition and the headers state every
	// format, and the guest sees its disk.
	Recorded Need = iota
	// Unknown: it depends on what cannot be read here.
	Unknown
	// Guessed: the guest sees its disk, because libvirt or QEMU guesses a format
	// rightly that nobody stated.
	Guessed
	// Refused: the guest does not start, or it starts without this disk. Whether an
	// explicit chain mends that is another question: it does not bring back an
	// image that is missing.
	Refused
	// Misopened: the guest starts and sees other bytes than its disk's. With an
	// explicit chain it sees the disk, and that is a change of what it sees.
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

// Guess is a format that a libvirt or a QEMU takes an image for, though nobody stated it.
type Guess struct {
	Layer  int // index of the image, 0 the top
	Format probe.Format
}

// Need says whether a disk for which this is predicted needs an explicit chain. Of
// one that is not known to start, since an error came instead of a prediction, the
// need is [Unknown].
//
// A disk that is optional and whose image is not there is no disk of the guest's,
// and needs nothing.
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
