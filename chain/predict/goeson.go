package predict

import (
	"context"
	"errors"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
)

// GoesOn says why a guest that goes on may have another chain open than the one that the
// images tell: one that was saved, or arrives from another host, was started by a
// libvirt that is not known, which may have detected the chain of the disk wrongly. It
// returns "" where every libvirt detects it as it is. Of the operator's statements no
// libvirt knew; they count in w all the same.
//
// The error is of [Disk], but none wraps [ErrUnseen]: that is a reason.
func GoesOn(ctx context.Context, w *chain.Walker, stated chain.Stated) (why string, err error) {
	for _, version := range libvirt.Detectors() {
		p, err := Disk(ctx, w, stated, libvirt.Pair{Libvirt: version})
		switch {
		case errors.Is(err, ErrUnseen):
			p.Reason = "it is not known what happens: " + err.Error()
		case err != nil:
			return "", err
		case p.Outcome != Misopens:
			continue
		}
		return "the guest goes on, and may have another chain open than the headers tell: under libvirt " + version.String() + ", " + p.Reason, nil
	}
	return "", nil
}
