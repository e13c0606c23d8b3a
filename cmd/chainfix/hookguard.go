package main

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/xmlfix"
)

// The guard stops a guest from starting if its explicit chain certainly contradicts the
// headers of its images, so that it would read other bytes. libvirt never checks: the
// XML wins, silently. In doubt the guest starts.

// errContradicted is returned for a chain with which no guest must start.
var errContradicted = errors.New("the chain contradicts the headers")

// contradiction is an error with the text of another.
type contradiction struct{ error }

func (contradiction) Is(target error) bool { return target == errContradicted }
func (c contradiction) Unwrap() error      { return c.error }

// guardJobs is how many disks of a guest the guard checks at the same time: one that
// hangs must not hide an error in another.
const guardJobs = 16

// guardSays is the guard's result for a disk.
type guardSays struct {
	wrong, doubt *hookNote // why the guest must not start; why the chain could not be checked
}

// guard returns an [errContradicted] if the guest must not start, and another error if
// some disk could not be checked.
func (h *hookRun) guard(ctx context.Context) error {
	w, doc, err := h.document(ctx)
	if err != nil {
		return err
	}
	says := make([]guardSays, len(doc.Disks()))
	var group errgroup.Group
	group.SetLimit(guardJobs)
	for i, disk := range doc.Disks() {
		group.Go(func() error { says[i] = h.guardDisk(ctx, w, disk); return nil })
	}
	group.Wait()
	var wrong, doubts hookNotes
	for _, s := range says {
		if s.wrong != nil {
			wrong = append(wrong, *s.wrong)
		}
		if s.doubt != nil {
			doubts = append(doubts, *s.doubt)
		}
	}
	switch {
	case len(wrong) > 0:
		// Doubts about other disks are only logged.
		for _, doubt := range doubts {
			h.journal.note(doubt)
		}
		return &statusError{exitRefused, contradiction{wrong}}
	case len(doubts) > 0:
		return doubts
	}
	return nil
}

func (h *hookRun) guardDisk(ctx context.Context, w *chain.Walker, disk *xmlfix.Disk) guardSays {
	stated, err := disk.Stated()
	if err != nil {
		f, _ := report.FindingOf(err)
		return guardSays{doubt: &hookNote{stated.Target, f}}
	}
	if !statesChain(stated) {
		return guardSays{}
	}
	stated.Live = false // see [hookRun.explicit]
	found, err := w.Walk(ctx, stated)
	if err != nil {
		return guardSays{doubt: &hookNote{stated.Target, finding.Finding{Severity: finding.Warn, Text: cmp.Or(context.Cause(ctx), err).Error()}}}
	}
	for _, f := range found.Findings {
		if f.Misopens {
			f.Text += ": the guest would read wrong bytes"
			f.Remedy = h.letItStart(f, found)
			return guardSays{wrong: &hookNote{stated.Target, f}}
		}
	}
	if h.call.operation == "start" {
		return guardSays{} // the operator knows what the XML states, and libvirt has read the rest
	}
	for _, f := range found.Findings {
		if f.Severity == finding.Refuse || slices.Contains(unseen, f.Code) {
			return guardSays{doubt: &hookNote{stated.Target, f}}
		}
	}
	return guardSays{}
}

// unseen are the findings about an explicit chain that was not read to its end.
var unseen = []finding.Code{finding.ImageMissing, finding.ImageUnreadable, finding.ChainUnverified, finding.SourceInexpressible}

// statesChain reports whether the XML states something that headers could contradict.
func statesChain(s chain.Stated) bool {
	top := s.Layers[0]
	return len(s.Layers) > 1 || s.Inexpressible != "" || s.Terminated && top.Format.CanHaveBacking() ||
		top.Source != nil && top.Source.DataStore != nil
}

// letItStart says what to do about a chain that stops the guest: fix it, keep it for
// good, or let this guest start unchecked.
func (h *hookRun) letItStart(f finding.Finding, found *chain.Chain) finding.Remedy {
	guest := finding.GuestWord(h.call.guest)
	refresh := "--refresh"
	for _, command := range f.Remedy.Commands {
		if strings.HasPrefix(command, refresh) {
			refresh = command // with the statements of this command line
		}
	}
	return finding.Say("rebuild the chain from the headers: %s; or, if the XML is right, keep it with an entry under \"disks\" in the policy file: %s; "+
		"or let this guest start unchecked with a line at the top of the hook script: %s",
		finding.Command("chainfix host apply "+h.repeatedFlags()+refresh+" "+guest), keptEntry(found.Layers[0]), finding.Command(`case "$1" in `+guest+`) exit 0 ;; esac`))
}

// keptEntry returns the policy file entry that keeps the chain of the disk with this
// image.
func keptEntry(top chain.Layer) finding.Remedy {
	name, key, word := storage.ShownName(top.At()), "path", "PATH"
	if path, local := top.LocalPath(); local && !slices.Contains(strings.Split(path, "/"), "..") {
		name = filepath.Clean(path) // a policy file takes no other
	}
	if finding.ShellWord(name) != word {
		word = strconv.Quote(name)
	}
	if _, local := top.LocalPath(); !local {
		key = "source"
	}
	return finding.Command("- {" + key + ": " + word + ", chain: kept}")
}
