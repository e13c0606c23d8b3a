package collect

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/need"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/xmlfix"
)

// worst is the state of a guest with its cause: a disk, and its prediction.
type worst struct {
	state      report.State
	disk       int              // index
	prediction *need.Prediction // nil without targets
}

// worstOf returns the worst state of the guest's disks under any of the targets.
func worstOf(r *host.Report) worst {
	if r.Err != nil || r.Examination.Err != nil {
		return worst{state: report.Unreadable}
	}
	found := worst{state: report.Fine}
	note := func(disk int, needs predict.Need, p *need.Prediction) {
		if s := stateOf(needs); rank(s) < rank(found.state) {
			found = worst{s, disk, p}
		}
	}
	for i := range r.Examination.Disks {
		if i < len(r.Predictions) && len(r.Predictions[i]) > 0 {
			for j := range r.Predictions[i] {
				p := &r.Predictions[i][j]
				note(i, p.Need(), p)
			}
		} else if i < len(r.Needs) {
			note(i, r.Needs[i], nil)
		}
	}
	return found
}

func stateOf(n predict.Need) report.State {
	switch n {
	case predict.Refused:
		return report.WillNotStart
	case predict.Misopened:
		return report.WrongData
	case predict.Guessed:
		return report.Guessed
	case predict.Unknown:
		return report.Unknown
	}
	return report.Fine
}

// problemKey identifies problems. words is libvirt's error if chainfix has no code or no
// image for it.
type problemKey struct {
	state report.State
	code  finding.Code
	image *imageRecord
	words string
}

// problem is a cause, over all guests.
type problem struct {
	problemKey
	first  finding.Finding // as it was for the first guest
	guests []int32
}

// addProblem records why a guest is not fine. chains are the images of its disks.
func (c *Collector) addProblem(guest int, r *host.Report, w worst, chains [][]*imageRecord) {
	if w.state == report.Fine {
		return
	}
	key := problemKey{state: w.state}
	var f finding.Finding
	if w.state == report.Unreadable {
		f, _ = report.FindingOf(ExaminationOf(r).Err)
	} else {
		f = causeOf(r.Examination.Disks[w.disk], w)
		if w.state == report.WrongData && f.Code == "" && slices.ContainsFunc(r.Findings, func(f finding.Finding) bool { return f.Code == finding.BytesChange }) {
			f.Code = finding.BytesChange // it is about the guest, and says more
		}
		key.image = at(chains[w.disk], f.Layer)
	}
	if key.code = f.Code; key.code == "" && key.image == nil {
		key.words = f.Text
	}
	known := c.problems[key]
	if known == nil {
		known = &problem{problemKey: key, first: f}
		c.problems[key] = known
	}
	known.guests = addOnce(known.guests, guest)
}

// unseen are the findings about what could not be read.
var unseen = []finding.Code{finding.ImageMissing, finding.ImageUnreadable, finding.ImageUnanswered, finding.ChainUnverified, finding.SourceNotLocal}

// causeOf returns the finding that explains the state of a disk: chainfix's own if it has
// one.
func causeOf(d xmlfix.DiskExamination, w worst) finding.Finding {
	if d.Err != nil {
		f, _ := report.FindingOf(d.Err)
		return f
	}
	first := func(is func(finding.Finding) bool) (finding.Finding, bool) {
		if i := slices.IndexFunc(d.Chain.Findings, is); i >= 0 {
			return d.Chain.Findings[i], true
		}
		return finding.Finding{}, false
	}
	if w.state == report.WrongData {
		if f, ok := first(func(f finding.Finding) bool { return f.Misopens }); ok {
			return f
		}
	}
	if f, ok := first(func(f finding.Finding) bool { return f.Severity == finding.Refuse }); ok {
		return f
	}
	if w.state == report.Unknown {
		if f, ok := first(func(f finding.Finding) bool { return slices.Contains(unseen, f.Code) }); ok {
			return f
		}
	}
	f := finding.Finding{Layer: finding.WholeDisk}
	switch p := w.prediction; {
	case p == nil:
	case p.Err != nil:
		f.Text = p.Err.Error()
	case w.state == report.Guessed:
		f.Layer = p.Guess.Layer
	default:
		f.Layer, f.Text = p.Layer, p.Reason
	}
	if w.state == report.WillNotStart || w.state == report.Guessed {
		// libvirt blames the overlay if the format of the image below is not recorded.
		for i := max(f.Layer, 0); i < len(d.Chain.Layers); i++ {
			if from := d.Chain.Layers[i].From; from == chain.Probe || from == chain.Trust || from == chain.Libvirt {
				return finding.Finding{Code: finding.FormatUnrecorded, Layer: i}
			}
		}
	}
	return f
}

// listProblems returns the problems, by state and then by number of guests, most first.
func (c *Collector) listProblems() []report.Problem {
	sorted := make([]*problem, 0, len(c.problems))
	for _, p := range c.problems {
		sorted = append(sorted, p)
	}
	all := make([]report.Problem, 0, len(sorted))
	slices.SortFunc(sorted, func(a, b *problem) int {
		return cmp.Or(cmp.Compare(rank(a.state), rank(b.state)), cmp.Compare(len(b.guests), len(a.guests)),
			cmp.Compare(a.image.order(), b.image.order()), cmp.Compare(a.code, b.code), cmp.Compare(a.words, b.words))
	})
	for _, p := range sorted {
		all = append(all, report.Problem{State: p.state, Code: string(p.code), Image: p.image.key(), Text: p.text(), Hint: p.hint(), Guests: names(c.guests, p.guests)})
	}
	return all
}

// order is the order in which images were found; problems without an image come last.
func (i *imageRecord) order() int {
	if i == nil {
		return int(^uint(0) >> 1)
	}
	return int(i.number)
}

// plain are short texts for what is wrong with an image.
var plain = map[finding.Code]string{
	finding.FormatUnrecorded:    "the format of %s is not recorded",
	finding.ProbedBacking:       "the format of %s is not recorded; its header claims a backing image",
	finding.ProbedNotRaw:        "the format of %s is not recorded; its header claims one",
	finding.AmbiguousSignatures: "the format of %s is not recorded; its header claims two",
	finding.NameContradicts:     "the format of %s is not recorded; its name contradicts its header",
	finding.RecordContradicts:   "the recorded format of %s contradicts its header",
	finding.SizeContradicts:     "the format of %s is not recorded; its length contradicts its header",
	finding.RawDiskElsewhere:    "the format of %s is not recorded; a guest may write it as a raw disk",
	finding.ImageMissing:        "%s does not exist",
	finding.ImageUnreadable:     "%s cannot be read",
	finding.ImageUnanswered:     "the storage of %s does not answer",
	finding.NotAnImage:          "%s is neither a regular file nor a block device",
	finding.ImageBroken:         "the header of %s cannot be used",
	finding.FormatMismatch:      "%s does not have the stated format",
	finding.ChainLoop:           "%s is in a backing loop",
	finding.ImageSwapped:        "%s was replaced while it was read",
	finding.Encrypted:           "%s is encrypted, and the XML has no secret for it",
	finding.DataFile:            "%s keeps its data in another file",
	finding.SourceNotLocal:      "%s is not read",
	finding.ChainUnverified:     "%s is not read",
}

// text returns the problem in one line, which names the image.
func (p *problem) text() string {
	format, known := plain[p.code]
	switch e, explained := finding.Explain(p.code); {
	case p.image != nil && p.code == finding.ImageMissing && p.image.opened:
		return "the data file of " + p.image.shown() + " does not exist"
	case p.image != nil && known:
		return fmt.Sprintf(format, p.image.shown())
	case p.first.Text != "" && (len(p.guests) == 1 || p.code == "" || p.code == finding.BytesChange):
		return p.first.Text
	case p.code == finding.DocumentUnreadable:
		return "the definition cannot be read"
	case p.image != nil && explained:
		return p.image.shown() + ": " + e.Summary
	case explained:
		return e.Summary
	case p.image != nil:
		return "the format of " + p.image.shown() + " is guessed"
	}
	if p.state == report.Guessed {
		return "the format of an image in a chain is guessed"
	}
	return "to see what a libvirt does with it: --predict LIBVIRT" // if no target is given
}

// shown returns the quoted name of an image.
func (i *imageRecord) shown() string { return strconv.Quote(i.name) }

// hint returns what to do, for all the guests.
func (p *problem) hint() string {
	remedy := p.first.Remedy
	if p.image == nil || len(remedy.Formats) == 0 {
		if len(p.guests) == 1 {
			return remedy.String()
		}
		return ""
	}
	formats := slices.Clone(remedy.Formats)
	slices.SortStableFunc(formats, func(a, b string) int {
		claimed := string(p.image.claims)
		return cmp.Compare(btoi(a != claimed), btoi(b != claimed))
	})
	hint := "state its format: " + finding.Trust(p.image.name, formats[0]).String()
	if others := formats[1:]; len(others) > 0 {
		hint += " (or =" + strings.Join(others, ", =") + ")"
	}
	if p.image.claims != "" {
		hint = "its header claims " + string(p.image.claims) + namedBy(p.image) + "; " + hint
	}
	return hint
}

// namedBy returns the backing image that the header names.
func namedBy(i *imageRecord) string {
	if i.backing == "" {
		return ""
	}
	return " and names " + i.backing
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
