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

// Stored identifies a snapshot, a checkpoint or a saved state of a guest,
// which contains a copy of the definition. The zero Stored is the definition
// itself.
type Stored struct {
	Kind MetadataKind
	Name string
}

// String returns its kind and its quoted name: `snapshot "s1"`; "" for the
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

// StoredReport is the result of a scan for a snapshot, a checkpoint or a saved
// state.
type StoredReport struct {
	Stored
	Text []byte // libvirt's XML, with secrets
	// Examination compares the definition from then with the images of now.
	Examination *xmlfix.Examination
	// Findings say what to fix in each disk. There are none if the chains could
	// be made explicit, but need not be.
	Findings []finding.Finding
	// goesOn says why the chains of a snapshot or saved state with the guest's
	// memory must not be changed.
	goesOn string
	// otherBytes is the target of the first disk with other bytes for the guest
	// after a fix; "" for none.
	otherBytes string
}

// Verdict returns the verdict of the worst disk, as for a definition.
func (s *StoredReport) Verdict() chain.Verdict { return s.Examination.Verdict() }

// Wanted reports whether an apply includes it, as [Report.Wanted] does for the
// guest's definition.
func (s *StoredReport) Wanted(r *Report, all bool) bool {
	return all || r.Named || len(s.Findings) > 0
}

// HeldBack says why it must not be changed, although its chains may be
// fixable; nil if it may be. r is the guest's report. The error wraps
// [ErrGuestBusy], or [ErrByName] if the guest is not named, and comes with the
// code of the reason.
func (s *StoredReport) HeldBack(r *Report) (finding.Code, error) {
	switch {
	case r.Guest.BlockJob:
		return finding.BlockJob, fmt.Errorf("%w: a block job runs on one of its disks", ErrGuestBusy)
	case s.goesOn != "":
		return finding.RanOtherwise, fmt.Errorf("%w: %s", ErrGuestBusy, s.goesOn)
	case r.Named:
		return "", nil
	case s.otherBytes != "":
		return finding.BytesChange, fmt.Errorf("%w: the fix would change which bytes it brings back on the disk %q", ErrByName, s.otherBytes)
	}
	f, err := byNameOnly(s.Examination)
	return f.Code, err
}

// byNameOnly returns the finding, and an [ErrByName], if somebody should look
// at a disk before its chain is written.
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

// stored examines a guest's snapshots, checkpoints and saved state, and adds
// those with findings to its report. What cannot be read was reported when the
// guests were read.
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
			// A snapshot of a running guest has two copies of the definition.
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

// goesOn returns why the chains of a snapshot or saved state with the guest's
// memory must not be changed; "" if they may be. The memory depends on the
// content of the chain that the guest had.
func goesOn(ctx context.Context, w *chain.Walker, e *xmlfix.Examination) (why string, err error) {
	for _, d := range e.Disks {
		if d.Chain == nil {
			continue
		}
		if _, ok := contradiction(d); ok && !isGone(ctx, w, d.Stated) {
			return "the guest resumes with the chain that it had", nil
		}
		if d.Chain.Verdict != chain.Fixable {
			continue // and files that a refused one names must not be touched
		}
		if why, err = predict.GoesOn(ctx, w, d.Stated); why != "" || err != nil {
			return why, err
		}
	}
	return "", nil
}

// isGone reports whether one of the images that the XML states no longer
// exists, for example because all were moved.
func isGone(ctx context.Context, w *chain.Walker, stated chain.Stated) bool {
	return slices.ContainsFunc(stated.Layers, func(layer chain.Layer) bool {
		layer, err := w.Locate(ctx, layer)
		if err == nil {
			_, err = w.Identify(ctx, layer.At())
		}
		return errors.Is(err, fs.ErrNotExist)
	})
}

// differs returns the finding about a disk of a snapshot, checkpoint or saved
// state, with what to do. applyFlags are [Scan.ApplyFlags].
func (s *StoredReport) differs(g *Guest, applyFlags string, d xmlfix.DiskExamination, need predict.Need) (finding.Finding, bool) {
	if d.Chain == nil {
		return finding.Finding{}, false
	}
	how, fix := "", applyCommand(g, applyFlags+s.flag())
	switch f, contradicted := contradiction(d); {
	case contradicted && d.Chain.Verdict == chain.Fixable:
		how = "its images contradict: " + f.Text
	case contradicted:
		how, fix = "its images contradict: "+f.Text, finding.Say("if the headers are right: %s", applyCommand(g, applyFlags+"--refresh "+s.flag()))
	case need == predict.Recorded:
		return finding.Finding{}, false
	case d.Err != nil:
		how, fix = "cannot be written: "+d.Err.Error(), finding.Remedy{}
	case d.Chain.Verdict == chain.Fixable:
		how = "is not explicit"
	case d.Chain.Verdict == chain.Refused:
		f := refusalOf(d.Chain)
		if slices.Contains(absent, f.Code) {
			return finding.Finding{}, false
		}
		how, fix = "cannot be made explicit: "+f.Text, finding.Join("; then ", f.Remedy, fix)
	default:
		return finding.Finding{}, false
	}
	if s.goesOn != "" {
		how += "; chainfix does not change that: " + s.goesOn
		fix = finding.Say("start the guest from it, shut it down, and fix its definition")
	}
	return finding.Finding{Code: finding.SnapshotDiffers, Severity: s.severity(), Layer: finding.WholeDisk,
		Text: s.effect() + " the disk " + strconv.Quote(d.Target) + " with a chain that " + how, Remedy: fix}, true
}

// effect describes how the copy of a definition is used; the name of a disk
// follows.
func (s *StoredReport) effect() string {
	switch s.Kind {
	case Snapshot:
		return "a revert to " + s.Stored.String() + " brings back"
	case SavedState:
		return "the " + s.Stored.String() + " resumes with"
	}
	return s.Stored.String() + " has"
}

// severity returns the severity of its findings: no guest starts from a
// checkpoint.
func (s *StoredReport) severity() finding.Severity {
	if s.Kind == Checkpoint {
		return finding.Info
	}
	return finding.Warn
}

// flag returns the flag of host apply that fixes it, followed by a space.
func (s *StoredReport) flag() string {
	if s.Kind == SavedState {
		return "--saved "
	}
	return "--snapshots "
}

// contradictions are the codes of conflicts of the XML with the image headers.
var contradictions = []finding.Code{finding.ChainStale, finding.ChainCut, finding.ChainConflict, finding.FormatConflict, finding.DataFileConflict}

// contradiction returns the finding that a disk's image headers contradict its
// chain.
func contradiction(d xmlfix.DiskExamination) (finding.Finding, bool) {
	for _, f := range d.Chain.Findings {
		if slices.Contains(contradictions, f.Code) {
			return f, true
		}
	}
	return finding.Finding{}, false
}

// absent are refusals that do not matter here: the images of an older state of
// a guest may have been deleted.
var absent = []finding.Code{finding.ImageMissing, finding.ImageUnreadable, finding.ImageUnanswered, finding.NotAnImage, finding.MirrorRunning}

// refusalOf returns the finding that refuses a chain.
func refusalOf(c *chain.Chain) finding.Finding {
	for _, f := range c.Findings {
		if f.Severity == finding.Refuse {
			return f
		}
	}
	return finding.Finding{}
}
