package host

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/strictxml"
	"github.com/chainfix/chainfix/xmlfix"
)

// A run changes definitions, and the XML of snapshots, checkpoints and saved
// states. Each is an entry of its manifest, goes through the same steps, and
// has an old and a new text in its folder. This file has the differences.

// key returns the key of an entry: for a definition the guest's UUID.
func (r *record) key() string { return entryKey(r.UUID, Stored{r.Kind, r.Name}) }
func (g *runGuest) key() string {
	return entryKey(g.uuid, g.stored)
}

func entryKey(uuid string, s Stored) string {
	if s == (Stored{}) {
		return uuid
	}
	return uuid + "/" + string(s.Kind) + "/" + s.Name
}

// at returns the record of a step of an entry.
func (g *runGuest) at(step Step) record {
	return record{Guest: g.name, UUID: g.uuid, Kind: g.stored.Kind, Name: g.stored.Name, Step: step}
}

// title returns the name of the entry's text in messages.
func (g *runGuest) title() string {
	if g.stored == (Stored{}) {
		return g.name
	}
	return g.name + "/" + g.stored.Name
}

// file returns the prefix of the entry's file names. It has a checksum of a
// snapshot's name, which may not be a valid file name.
func (g *runGuest) file() string {
	if g.stored == (Stored{}) {
		return g.uuid
	}
	return g.uuid + "." + strings.ReplaceAll(string(g.stored.Kind), " ", "-") + "-" + sum([]byte(g.stored.Name))[:16]
}

// inspect reads an entry from libvirt: the Definition of the Guest is the
// entry's text.
func (g *runGuest) inspect(ctx context.Context, d *Daemon) (*Guest, error) {
	if g.stored == (Stored{}) {
		return d.Inspect(ctx, g.uuid)
	}
	return d.inspectStored(ctx, g.uuid, g.stored)
}

// define gives libvirt a text for an entry.
func (g *runGuest) define(ctx context.Context, d *Daemon, text []byte) error {
	if g.stored == (Stored{}) {
		return d.Define(ctx, text)
	}
	return d.defineStored(ctx, g.uuid, g.stored, text)
}

// givenBy returns the virsh command that defines the entry from a file.
func (g *runGuest) givenBy(file string) string {
	guest := finding.GuestWord(g.name)
	switch g.stored.Kind {
	case Snapshot:
		return "snapshot-create " + guest + " " + file + " --redefine"
	case Checkpoint:
		return "checkpoint-create " + guest + " " + file + " --redefine"
	case SavedState:
		return "managedsave-define " + guest + " " + file
	}
	return "define " + file
}

// refused explains why libvirt does not accept a text. It refuses to redefine
// a snapshot of a guest that has checkpoints and is off, because it then does
// not know whether the guest's QEMU supports both (libvirt 9.0,
// qemuDomainSupportsCheckpointsBlockjobs).
func (g *runGuest) refused(err error) error {
	if g.stored.Kind == Snapshot && hasCode(err, codeUnsupported) {
		return fmt.Errorf("%w: %w", ErrGuestBusy, err)
	}
	return err
}

// gone reports whether an error says that the entry no longer exists.
func gone(err error) bool { return errors.Is(err, ErrNoGuest) || errors.Is(err, ErrNoStored) }

// AsksFor reports whether [Apply.Snapshots] and [Apply.Saved] include a kind.
func AsksFor(kind MetadataKind, snapshots, saved bool) bool {
	if kind == SavedState {
		return saved
	}
	return snapshots
}

// planStored plans the fixes of a guest's snapshots, checkpoints and saved
// state that were requested.
func (w *applying) planStored(r *Report, planned map[string]bool) error {
	for _, s := range r.Stored {
		if !AsksFor(s.Kind, w.Snapshots, w.Saved) || !s.Wanted(r, w.All) {
			continue
		}
		if s.Verdict() == chain.Refused {
			w.leftOut = true
			continue
		}
		_, why := s.HeldBack(r)
		entry := &runGuest{name: r.Guest.Name, uuid: r.Guest.UUID, stored: s.Stored}
		if err := w.planEntry(entry, why, s.Text, s.Examination.Document, planned); err != nil {
			return err
		}
	}
	return nil
}

// planEntry plans one entry with the edited document as its new text, and adds
// it to planned. The entry is skipped if why says so, or after an error that
// concerns only this entry.
func (w *applying) planEntry(entry *runGuest, why error, old []byte, doc *xmlfix.Document, planned map[string]bool) error {
	if why == nil {
		why = w.keepBoth(entry, old, doc)
	}
	var left *leftError
	switch {
	case why == nil:
		planned[entry.key()] = true
		if w.OnPlanned != nil {
			return w.OnPlanned(entry.title(), old, doc)
		}
	case errors.As(why, &left):
		why = left.error
		fallthrough
	case errors.Is(why, ErrGuestBusy), errors.Is(why, ErrByName):
		entry.step = Left
		w.outcome(entry, why)
	default:
		return why
	}
	return nil
}

// keepBoth stores the old and the new text of an entry, and records that it is
// planned. An error that concerns only this entry is a *leftError.
func (w *applying) keepBoth(entry *runGuest, old []byte, doc *xmlfix.Document) error {
	g := w.run.byKey[entry.key()]
	if g != nil && g.step != Left && g.step != Restored && g.old != sum(old) {
		// The run has stored the definition that it found, which a later one must
		// not replace.
		return w.leave(g, ErrChanged)
	}
	if g == nil && len(w.run.guests) == maxGuests {
		return &leftError{fmt.Errorf("%w: a run can have at most %d entries", ErrTooLong, maxGuests)}
	}
	fixed, err := doc.Bytes()
	if err != nil {
		return &leftError{err}
	}
	if err := w.run.make(); err != nil {
		return err
	}
	if err := cmp.Or(w.run.keep(entry.oldFile(), old), w.run.keep(entry.newFile(), fixed)); ofOneFile(err) {
		return &leftError{err}
	} else if err != nil {
		return err
	}
	rec := entry.at(Planned)
	rec.Old, rec.New = sum(old), sum(fixed)
	return w.run.record(rec)
}

// owns reports whether a text is one of the entry.
func (g *runGuest) owns(text []byte) bool {
	switch g.stored.Kind {
	case "", SavedState:
		_, uuid, err := identify(text)
		return err == nil && uuid == g.uuid
	}
	m := readMetadata(text)
	return m.name == g.stored.Name && m.uuid == g.uuid
}

// metadataFacts are a snapshot's or checkpoint's name, its guest's UUID, and
// whether it includes the guest's memory, so that a reverted guest resumes.
// Missing facts are zero.
type metadataFacts struct {
	name, uuid string
	memory     bool
}

// readMetadata reads as much as possible. Like libvirt it uses the first of
// each element.
func readMetadata(text []byte) metadataFacts {
	var m metadataFacts
	decoder := xml.NewTokenDecoder(strictxml.NewBoundedReader(text, xmlfix.MaxDepth))
	if root, err := element(decoder); err != nil || root == nil || !slices.Contains([]string{"domainsnapshot", "domaincheckpoint"}, root.Name.Local) {
		return m
	}
	var domain struct {
		UUID string `xml:"uuid"`
	}
	var memory struct {
		Snapshot string `xml:"snapshot,attr"`
	}
	wanted := map[string]any{"name": &m.name, "domain": &domain, "memory": &memory}
	for {
		child, err := element(decoder)
		if err != nil || child == nil {
			break
		}
		if target := wanted[child.Name.Local]; target != nil {
			delete(wanted, child.Name.Local)
			err = decoder.DecodeElement(target, child)
		} else {
			err = decoder.Skip()
		}
		if err != nil {
			break
		}
	}
	m.uuid, m.memory = strings.TrimSpace(domain.UUID), memory.Snapshot != "" && memory.Snapshot != "no"
	return m
}
