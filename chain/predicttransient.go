package chain

import (
	"context"
	"errors"
	"strconv"
	"strings"
)

// TransientLeftover finds the file that keeps a guest with a transient disk from
// starting: the overlay that libvirt makes for the disk is there already, left
// behind by a run that a power cut ended, for example. stated must not be of a
// guest that runs: there the file is in use.
func (w *Walker) TransientLeftover(ctx context.Context, stated Stated) (f Finding, found bool) {
	path := w.leftoverOf(ctx, stated)
	if path == "" {
		return Finding{}, false
	}
	return Finding{Code: TransientLeftover, Severity: Warn, Layer: WholeDisk,
		Text: "the overlay of the transient disk " + strconv.Quote(stated.Target) + " is there already, " + strconv.Quote(path) + ": libvirt does not start the guest",
		Hint: "make sure that the guest does not run, and remove the file: rm " + shellWord(path)}, true
}

// leftoverOf returns the path of the overlay of a transient disk that is there;
// "" if there is none.
func (w *Walker) leftoverOf(ctx context.Context, stated Stated) (path string) {
	if !stated.Transient || stated.Guest == "" || strings.Contains(stated.Guest, "/") || len(stated.Layers) == 0 {
		return ""
	}
	top := stated.Layers[0].Source
	image, ok := LocalPath(top)
	if !ok || top.File == nil || emptySource(top) {
		return ""
	}
	path = image + ".TRANSIENT-" + stated.Guest
	opener := w.Opener()
	if opener == nil {
		opener = FileOpener{}
	}
	// Of a symlink libvirt looks where it leads, and of what is there it does
	// not care what it is (libvirt 9.0).
	if _, err := opener.Identify(ctx, localSource(path, false)); err != nil && !errors.Is(err, ErrNotImage) {
		return ""
	}
	return path
}

// leftover refuses a transient disk whose overlay is there already.
func (p *predictor) leftover() error {
	path := p.leftoverOf(p.ctx, p.stated)
	if path == "" {
		return nil
	}
	p.layer = 0
	return p.commandLine("Overlay file " + strconv.Quote(path) + " for transient disk '" + p.stated.Target + "' already exists")
}
