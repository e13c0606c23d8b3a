package predict

import (
	"context"
	"errors"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
)

// GoesOn says why a restored or migrated guest may have another chain open
// than the headers record: an unknown version of libvirt started it and may
// have detected the chain of the disk wrongly. It returns "" if every libvirt
// detects the chain rightly. The operator's statements in w are used, although
// no libvirt knew them.
//
// The error comes from [Disk], but never wraps [ErrUnseen], which becomes a
// reason.
func GoesOn(ctx context.Context, w *chain.Walker, stated chain.Stated) (why string, err error) {
	for _, version := range libvirt.Detectors() {
		p, err := Disk(ctx, w, stated, libvirt.Pair{Libvirt: version})
		switch {
		case errors.Is(err, ErrUnseen):
			p.Reason = "the outcome is unknown: " + err.Error()
		case err != nil:
			return "", err
		case p.Outcome != Misopens:
			continue
		}
		return "the guest resumes, and may have another chain open than the headers record: under libvirt " + version.String() + ", " + p.Reason, nil
	}
	return "", nil
}
