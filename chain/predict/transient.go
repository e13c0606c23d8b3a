package predict

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
)

// LeftoverFinding finds the file that keeps a guest with a transient disk from
// starting: an overlay that an earlier run of the guest left, for example
// because of a power cut. The guest of stated must not be running: then the
// file is in use. There is no finding for a libvirt that deletes the file
// itself.
func LeftoverFinding(ctx context.Context, w *chain.Walker, stated chain.Stated) (f finding.Finding, found bool) {
	path, _ := leftoverOf(ctx, w, stated)
	if path == "" || libvirt.DeletesLeftovers.Holds(w.Policy.Target) {
		return finding.Finding{}, false
	}
	return finding.Finding{Code: finding.TransientLeftover, Severity: finding.Warn, Layer: finding.WholeDisk,
		Text:   "the overlay of the transient disk " + strconv.Quote(stated.Target) + " already exists, " + strconv.Quote(path) + ": libvirt does not start the guest",
		Remedy: finding.Say("make sure that the guest does not run, and remove the file: %s", finding.Command("rm "+finding.ShellWord(path)))}, true
}

// leftoverOf returns the path of the leftover overlay of a transient disk, or
// "", and whether it is a folder.
func leftoverOf(ctx context.Context, w *chain.Walker, stated chain.Stated) (path string, folder bool) {
	if !stated.Transient || stated.Guest == "" || strings.Contains(stated.Guest, "/") || len(stated.Layers) == 0 {
		return "", false
	}
	top := stated.Layers[0].Source
	image, ok := storage.LocalPath(top)
	if !ok || top.File == nil || storage.IsEmpty(top) {
		return "", false
	}
	path = image + ".TRANSIENT-" + stated.Guest
	// libvirt follows a symlink, and does not care what kind of file the target
	// is (libvirt 9.0).
	_, err := w.Identify(ctx, storage.LocalSource(path, false))
	if err != nil && !errors.Is(err, storage.ErrNotImage) {
		return "", false
	}
	return path, errors.Is(err, storage.ErrDirectory)
}

// leftover refuses a transient disk whose overlay already exists.
func (p *predictor) leftover() error {
	path, folder := leftoverOf(p.ctx, p.Walker, p.stated)
	if path == "" || !p.does(libvirt.RefusesLeftovers) {
		return nil
	}
	p.layer = 0
	switch deletes := p.does(libvirt.DeletesLeftovers); {
	case deletes && folder:
		return p.commandLine("Failed to delete overlay file " + strconv.Quote(path) + " for transient disk '" + p.stated.Target + "': Is a directory")
	case deletes:
		return nil
	}
	return p.commandLine("Overlay file " + strconv.Quote(path) + " for transient disk '" + p.stated.Target + "' already exists")
}
