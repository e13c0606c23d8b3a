package predict

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
)

// LeftoverFinding finds the file that keeps a guest with a transient disk from
// starting: the overlay that libvirt makes for the disk is there already, left
// behind by a run that a power cut ended, for example. stated must not be of a
// guest that runs: there the file is in use.
func LeftoverFinding(ctx context.Context, w *chain.Walker, stated chain.Stated) (f finding.Finding, found bool) {
	path := leftoverOf(ctx, w, stated)
	if path == "" {
		return finding.Finding{}, false
	}
	return finding.Finding{Code: finding.TransientLeftover, Severity: finding.Warn, Layer: finding.WholeDisk,
		Text:   "the overlay of the transient disk " + strconv.Quote(stated.Target) + " is there already, " + strconv.Quote(path) + ": libvirt does not start the guest",
		Remedy: finding.Say("make sure that the guest does not run, and remove the file: %s", finding.Command("rm "+finding.ShellWord(path)))}, true
}

// leftoverOf returns the path of the overlay of a transient disk that is there;
// "" if there is none.
func leftoverOf(ctx context.Context, w *chain.Walker, stated chain.Stated) (path string) {
	if !stated.Transient || stated.Guest == "" || strings.Contains(stated.Guest, "/") || len(stated.Layers) == 0 {
		return ""
	}
	top := stated.Layers[0].Source
	image, ok := storage.LocalPath(top)
	if !ok || top.File == nil || storage.IsEmpty(top) {
		return ""
	}
	path = image + ".TRANSIENT-" + stated.Guest
	// Of a symlink libvirt looks where it leads, and of what is there it does
	// not care what it is (libvirt 9.0).
	if _, err := w.Identify(ctx, storage.LocalSource(path, false)); err != nil && !errors.Is(err, storage.ErrNotImage) {
		return ""
	}
	return path
}

// leftover refuses a transient disk whose overlay is there already.
func (p *predictor) leftover() error {
	path := leftoverOf(p.ctx, p.Walker, p.stated)
	if path == "" {
		return nil
	}
	p.layer = 0
	return p.commandLine("Overlay file " + strconv.Quote(path) + " for transient disk '" + p.stated.Target + "' already exists")
}
