package collect

import (
	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/need"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/xmlfix"
)

// HeldBack returns the code of the finding that makes an apply of the same guests hold
// this one back, or "".
func HeldBack(r *host.Report) finding.Code {
	f, why := r.HeldBack()
	if why == nil || r.Verdict() == chain.Explicit || !r.Wanted(false) {
		return ""
	}
	return f.Code
}

// Changes reports whether an apply of the same guests would change this one.
func Changes(r *host.Report) bool {
	return r.Verdict() == chain.Fixable && r.Wanted(false) && HeldBack(r) == ""
}

// ExaminationOf returns the examination of a guest's definition.
func ExaminationOf(r *host.Report) *xmlfix.Examination {
	if r.Err != nil {
		return &xmlfix.Examination{Err: r.Err}
	}
	return r.Examination
}

// GuestOf returns the report on a single guest, without its state and the keys of images.
func GuestOf(r *host.Report) report.Guest {
	e := ExaminationOf(r)
	g := report.Guest{
		Name: r.Guest.Name, UUID: r.Guest.UUID, Active: r.Guest.Active,
		Verdict: r.Verdict().String(), HeldBack: string(HeldBack(r)), Disks: report.DisksOf(e, r.Needs), Stored: storedOf(r),
		Findings: append(report.FindingsOf(r.Findings...), report.DocumentFindings(e)...), Outcome: outcomesOf(r),
	}
	g.Needed, g.Because = report.NeedOf(r.Need())
	for i := range g.Disks {
		if i < len(r.Predictions) {
			predicted(&g.Disks[i], r.Predictions[i])
		}
	}
	return g
}

// predicted adds the predictions for an unchanged disk.
func predicted(d *report.Disk, predictions []need.Prediction) {
	if len(predictions) == 0 {
		return
	}
	d.Prediction, d.Reason = make(map[string]string), make(map[string]string)
	for _, p := range predictions {
		target := p.Target.String()
		switch {
		case p.Err != nil:
			d.Reason[target] = p.Err.Error()
		default:
			d.Prediction[target] = p.Outcome.String()
			if p.Reason != "" {
				d.Reason[target] = p.Reason
			}
		}
	}
	d.Words = d.Reason
}

// unknownOutcome is the outcome of a guest that cannot be predicted.
const unknownOutcome = "unknown"

// outcomesOf returns how a guest starts if unchanged, by target: it does not start if one of
// its disks is refused, and otherwise reads wrong bytes if one is opened wrongly. It returns
// nil without targets.
func outcomesOf(r *host.Report) map[string]string {
	if len(r.Targets) == 0 {
		return nil
	}
	all := make(map[string]string)
	for i, target := range r.Targets {
		worst, unknown := predict.Starts, r.Err != nil || r.Examination.Err != nil
		for _, disk := range r.Predictions {
			switch p := disk[i]; {
			case p.Err != nil:
				unknown = true
			case p.Outcome == predict.Refuses || worst == predict.Starts:
				worst = p.Outcome
			}
		}
		all[target.String()] = worst.String()
		if unknown && worst == predict.Starts {
			all[target.String()] = unknownOutcome
		}
	}
	return all
}

// storedOf returns the guest's snapshots, checkpoints and saved states in which something
// must change; nil for none.
func storedOf(r *host.Report) (all []report.Stored) {
	for _, s := range r.Stored {
		if len(s.Findings) > 0 {
			all = append(all, report.Stored{Kind: string(s.Kind), Name: s.Name, Verdict: s.Verdict().String(), Findings: report.FindingsOf(s.Findings...)})
		}
	}
	return all
}
