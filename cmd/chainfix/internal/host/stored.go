package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/xmlfix"
)

// Stored names what libvirt keeps of a guest besides its definition: a snapshot, a
// checkpoint or a saved state, which holds a copy of the definition. The zero Stored
// is the definition itself.
type Stored struct {
	Kind MetadataKind
	Name string
}

// String returns what it is and its name, quoted: `snapshot "s1"`; "" for the
// definition.
func (s Stored) String() string {
	switch s.Kind {
	case "":
		return ""
	case SavedState:
		return savedName + " image"
	}
	return string(s.Kind) + " " + strconv.Quote(s.Name)
}

// StoredReport is what a scan finds out about what libvirt keeps of a guest.
type StoredReport struct {
	Stored
	Text []byte // the XML that libvirt keeps, with its secrets
	// Examination is of a definition as it was then, against the images as they are
	// now.
	Examination *xmlfix.Examination
	// Findings say of each disk what there is to mend. There are none where the chains
	// could be made explicit, and nothing needs it.
	Findings []finding.Finding
	// goesOn is why the chains of what holds a guest's memory are not to be changed.
	goesOn string
	// otherBytes is the first disk of which a guest that starts from it would see other
	// bytes once it is mended; "" for none.
	otherBytes string
}

// Verdict is that of the worst disk, as of a definition.
func (s *StoredReport) Verdict() chain.Verdict { return s.Examination.Verdict() }

// Wanted reports whether an apply looks at it at all, as [Report.Wanted] does for the
// guest's definition.
func (s *StoredReport) Wanted(r *Report, all bool) bool {
	return all || r.Named || len(s.Findings) > 0
}

// HeldBack says why it is not to be mended, although its chains may be fixable; nil where
// nothing keeps it from that. r is the guest's report. The error wraps [ErrGuestBusy],
// or [ErrByName] where the guest is not named, and comes with the code of what is the
// matter.
func (s *StoredReport) HeldBack(r *Report) (finding.Code, error) {
	switch {
	case r.Guest.BlockJob:
		return finding.BlockJob, fmt.Errorf("%w: a block job runs on one of its disks", ErrGuestBusy)
	case s.goesOn != "":
		return finding.RanOtherwise, fmt.Errorf("%w: %s", ErrGuestBusy, s.goesOn)
	case r.Named:
		return "", nil
	case s.otherBytes != "":
		return finding.BytesChange, fmt.Errorf("%w: mended, it brings back other bytes on the disk %q than it does as it is", ErrByName, s.otherBytes)
	}
	f, err := byNameOnly(s.Examination)
	return f.Code, err
}

// byNameOnly returns the finding, and an [ErrByName], where somebody should look at a
// disk before its chain is written down.
func byNameOnly(e *xmlfix.Examination) (finding.Finding, error) {
	for _, d := range e.Disks {
		if d.Chain == nil {
			continue
		}
		for _, f := range d.Chain.Findings {
			if f.ByName {
				return f, fmt.Errorf("%w: %s", ErrByName, f.Text)
			}
		}
	}
	return finding.Finding{}, nil
}

// stored examines what libvirt keeps of a guest, and adds what is not as it should be to the
// guest's report. What cannot be read was told when the guests were read.
func (s *Scan) stored(ctx context.Context, w *chain.Walker, r *Report) error {
	now := statedNow(r.Examination)
	for m, err := range r.Guest.Metadata(ctx) {
		if m == nil {
			return err
		}
		if err != nil {
			continue
		}
		found := &StoredReport{Stored: Stored{m.Kind, m.Name}, Text: m.XML}
		found.Examination, err = xmlfix.ExamineMetadata(ctx, w, r.Guest.Name+"/"+m.Name, m.XML, func(past chain.Stated) *chain.Chain {
			return unconfirmed(ctx, w, past, now)
		})
		if err != nil {
			return err
		}
		if found.Examination.Err != nil {
			continue
		}
		if m.Kind == SavedState || readMetadata(m.XML).memory {
			if found.goesOn, err = goesOn(ctx, w, found.Examination); err != nil {
				return err
			}
		}
		for _, d := range found.Examination.Disks {
			need, err := s.need(ctx, w, r, d)
			if err != nil {
				return err
			}
			if need == predict.Misopened && d.Verdict() == chain.Fixable && m.Kind != Checkpoint {
				found.otherBytes = cmp.Or(found.otherBytes, d.Target)
			}
			f, ok := found.differs(r.Guest, s.ApplyFlags, d, need)
			// Of a guest that ran there are two copies of the definition.
			if ok && !slices.ContainsFunc(found.Findings, func(g finding.Finding) bool { return g.Text == f.Text }) {
				found.Findings = append(found.Findings, f)
			}
		}
		if len(found.Findings) > 0 || found.Verdict() == chain.Fixable {
			r.Stored = append(r.Stored, found)
		}
	}
	return nil
}

// goesOn returns why the chains of what holds a guest's memory are not to be changed; ""
// if they may be. What the memory knows of a disk is of the chain that the guest had.
func goesOn(ctx context.Context, w *chain.Walker, e *xmlfix.Examination) (why string, err error) {
	for _, d := range e.Disks {
		if d.Chain == nil {
			continue
		}
		if _, ok := contradiction(d); ok && !isGone(ctx, w, d.Stated) {
			return "the guest goes on with the chain that it had", nil
		}
		if d.Chain.Verdict != chain.Fixable {
			continue // and what a refused one names is not to be looked at
		}
		if why, err = predict.GoesOn(ctx, w, d.Stated); why != "" || err != nil {
			return why, err
		}
	}
	return "", nil
}

// isGone reports whether one of the images that the XML states is not there any more, as
// after a move of them all.
func isGone(ctx context.Context, w *chain.Walker, stated chain.Stated) bool {
	return slices.ContainsFunc(stated.Layers, func(layer chain.Layer) bool {
		layer, err := w.Locate(ctx, layer)
		if err == nil {
			_, err = w.Identify(ctx, layer.At())
		}
		return errors.Is(err, fs.ErrNotExist)
	})
}

// differs returns the finding about a disk of what libvirt keeps, with what it needs.
// applyFlags are [Scan.ApplyFlags].
func (s *StoredReport) differs(g *Guest, applyFlags string, d xmlfix.DiskExamination, need predict.Need) (finding.Finding, bool) {
	if d.Chain == nil {
		return finding.Finding{}, false
	}
	how, mend := "", applyCommand(g, applyFlags+s.flag())
	switch f, contradicted := contradiction(d); {
	case contradicted && d.Chain.Verdict == chain.Fixable:
		how = "its images contradict: " + f.Text
	case contradicted:
		how, mend = "its images contradict: "+f.Text, finding.Say("if the headers are right: %s", applyCommand(g, applyFlags+"--refresh "+s.flag()))
	case need == predict.Recorded:
		return finding.Finding{}, false
	case d.Err != nil:
		how, mend = "cannot be written: "+d.Err.Error(), finding.Remedy{}
	case d.Chain.Verdict == chain.Fixable:
		how = "is not explicit"
	case d.Chain.Verdict == chain.Refused:
		f := refusalOf(d.Chain)
		if slices.Contains(absent, f.Code) {
			return finding.Finding{}, false
		}
		how, mend = "cannot be made explicit: "+f.Text, finding.Join("; then ", f.Remedy, mend)
	default:
		return finding.Finding{}, false
	}
	if s.goesOn != "" {
		how += "; that is not changed: " + s.goesOn
		mend = finding.Say("start the guest from it and shut it down; then fix its definition")
	}
	return finding.Finding{Code: finding.SnapshotDiffers, Severity: s.severity(), Layer: finding.WholeDisk,
		Text: s.effect() + " the disk " + strconv.Quote(d.Target) + " with a chain that " + how, Remedy: mend}, true
}

// effect is what the copy of a definition comes to, of which a disk follows.
func (s *StoredReport) effect() string {
	switch s.Kind {
	case Snapshot:
		return "a revert to " + s.Stored.String() + " brings back"
	case SavedState:
		return "the " + s.Stored.String() + " goes on with"
	}
	return s.Stored.String() + " has"
}

// severity is that of what there is to mend: nothing starts from a checkpoint.
func (s *StoredReport) severity() finding.Severity {
	if s.Kind == Checkpoint {
		return finding.Info
	}
	return finding.Warn
}

// flag is that of host apply which mends what libvirt keeps, with a space after it.
func (s *StoredReport) flag() string {
	if s.Kind == SavedState {
		return "--saved "
	}
	return "--snapshots "
}

// contradictions are what a walk finds where the XML and the headers of its images
// state different chains.
var contradictions = []finding.Code{finding.ChainStale, finding.ChainCut, finding.ChainConflict, finding.FormatConflict, finding.DataFileConflict}

// contradiction returns the finding that the images of a disk contradict its chain.
func contradiction(d xmlfix.DiskExamination) (finding.Finding, bool) {
	for _, f := range d.Chain.Findings {
		if slices.Contains(contradictions, f.Code) {
			return f, true
		}
	}
	return finding.Finding{}, false
}

// absent are the refusals that say nothing of a chain: the images of an older state of
// a guest may be gone for good.
var absent = []finding.Code{finding.ImageMissing, finding.ImageUnreadable, finding.ImageUnanswered, finding.NotAnImage, finding.MirrorRunning}

// refusalOf returns the finding for which a chain is refused.
func refusalOf(c *chain.Chain) finding.Finding {
	for _, f := range c.Findings {
		if f.Severity == finding.Refuse {
			return f
		}
	}
	return finding.Finding{}
}
