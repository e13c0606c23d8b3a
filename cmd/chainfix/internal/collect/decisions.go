package collect

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/probe"
)

// decisions collects the refusals of all guests by cause and image.
type decisions struct {
	all []*decision
	by  map[cause]*decision
}

// decision is a [report.Decision] under construction.
type decision struct{ report.Decision }

// cause identifies one [report.Decision].
type cause struct {
	// code is the code of the findings; "" for all that a statement of the image's format
	// answers, since they ask the same question.
	code  finding.Code
	image string // its key, or without an image the text of a finding without a code
}

// An image may have thousands of overlays, each with evidence and a command of its own. These
// bound the evidence for and against a claim, and the answers of a decision that state no format.
const (
	maxEvidence = 8
	maxOthers   = 8
)

// add adds the refusals of a guest. Guests come one by one. key returns the Key of a layer's
// image.
func (d *decisions) add(r *host.Report, key func(chain.Layer) string) {
	e := ExaminationOf(r)
	if e.Err != nil {
		f, _ := report.FindingOf(e.Err)
		d.addOther(r.Guest.Name, f)
	}
	for i, disk := range e.Disks {
		if disk.Err != nil {
			f, _ := report.FindingOf(disk.Err)
			d.addOther(r.Guest.Name, f)
		}
		if disk.Chain == nil {
			continue
		}
		for _, f := range disk.Chain.Findings {
			switch {
			case f.Severity != finding.Refuse:
			case f.Layer < 0 || f.Layer >= len(disk.Chain.Layers):
				d.addOther(r.Guest.Name, f)
			default:
				d.addRefusal(r.Guest.Name, disk.Chain.Layers, f, r.Facts[i], key)
			}
		}
	}
}

// addOther adds a refusal that is not about an image: of a guest, of its definition, or of a disk
// that could not be read.
func (d *decisions) addOther(guest string, f finding.Finding) {
	at := cause{code: f.Code}
	question := f.Text
	if e, known := finding.Explain(f.Code); known {
		question = e.Summary
	} else {
		at.image = f.Text
	}
	one := d.at(at, func() report.Decision { return report.Decision{Code: string(f.Code), Question: question} })
	one.waits(guest)
	one.addRemedy(f.Remedy, nil)
}

// addRefusal adds a refusal that is about a layer.
func (d *decisions) addRefusal(guest string, layers []chain.Layer, f finding.Finding, facts chain.HostFacts, key func(chain.Layer) string) {
	layer := layers[f.Layer]
	name := storage.ShownName(layer.At())
	about := cause{code: f.Code, image: key(layer)}
	formats := statable(name, f.Remedy)
	if len(formats) > 0 {
		about.code = ""
	}
	one := d.at(about, func() report.Decision {
		return report.Decision{Code: string(f.Code), Image: about.image, Name: name, Question: questionOf(layer, name, f, len(formats) > 0), Claims: claimsOf(layer)}
	})
	one.waits(guest)
	one.Claims = cmp.Or(one.Claims, claimsOf(layer))
	// Another guest may use another name for the image.
	var flags []string
	for _, format := range formats {
		flags = append(flags, finding.Trust(name, format).String())
		one.addAnswer(report.Answer{Format: format, Flag: finding.Trust(one.Name, format).String()})
	}
	one.addRemedy(f.Remedy, flags)
	if slices.Contains(f.Remedy.Commands, keepXML) {
		one.keeps(storage.ShownName(layers[0].At()))
	}
	if len(formats) > 0 {
		one.weigh(layers[:f.Layer+1], f, facts)
	}
}

// keepXML is the flag that lets the XML win if it contradicts the headers.
const keepXML = "--keep-xml"

// at returns the decision about a cause, creating it if needed.
func (d *decisions) at(about cause, begin func() report.Decision) *decision {
	if one, known := d.by[about]; known {
		return one
	}
	one := &decision{begin()}
	one.For, one.Against, one.Answers, one.Guests = []string{}, []string{}, []report.Answer{}, []string{}
	if d.by == nil {
		d.by = make(map[cause]*decision)
	}
	d.by[about] = one
	d.all = append(d.all, one)
	return one
}

// list returns the decisions, the one that most guests wait for first; ties are in the order in
// which they were found.
func (d *decisions) list() []report.Decision {
	all := make([]report.Decision, len(d.all))
	for i, one := range d.all {
		all[i] = one.Decision
	}
	slices.SortStableFunc(all, func(a, b report.Decision) int { return len(b.Guests) - len(a.Guests) })
	return all
}

// statable returns the formats that a remedy offers to state for the image of this name. A
// possible format is not among them if another one is recorded: to state it would only add a
// contradiction.
func statable(name string, r finding.Remedy) (formats []string) {
	if name == "" || r.Image != name {
		return nil
	}
	for _, format := range r.Formats {
		if slices.Contains(r.Commands, finding.Trust(name, format).String()) {
			formats = append(formats, format)
		}
	}
	return formats
}

// questionOf returns the question. Only a format that is not stated has words of its own.
func questionOf(layer chain.Layer, name string, f finding.Finding, format bool) string {
	quoted := strconv.Quote(name)
	switch {
	case !format:
		return f.Text
	case f.Code == finding.StatedConflict:
		return "what is " + quoted + "? disks state different formats for it"
	case layer.From == chain.Unstated, layer.From == chain.Probe:
		return "what is " + quoted + "? its format is not recorded"
	case layer.From == chain.XML && layer.XMLAlone:
		return "is " + quoted + " " + string(layer.Format) + "? only the XML's <backingStore> says so"
	}
	return f.Text
}

// claimsOf returns what the header of an image claims, "" if no header is usable.
func claimsOf(layer chain.Layer) string {
	h := claimedBy(layer)
	switch {
	case h == nil && layer.Image != nil && len(layer.Image.Formats()) > 1:
		return "the signatures of " + image.FormatList(layer.Image.Formats())
	case h == nil:
		return ""
	case h.Format == probe.Raw:
		return "nothing: it has no known signature, like a raw image"
	}
	text := string(h.Format) + " of " + shownSize(h.VirtualSize)
	if refers := chain.References(h); refers != nil {
		text += " with " + refers.What
	}
	return text
}

// claimedBy returns the header of an image, whatever format was stated; nil if no header is
// usable.
func claimedBy(layer chain.Layer) *probe.Header {
	if layer.Header != nil || layer.Image == nil {
		return layer.Header
	}
	return layer.Image.ClaimedHeader()
}

// shownSize formats a size in the largest unit that divides it.
func shownSize(bytes uint64) string {
	for _, unit := range []struct {
		bits uint
		name string
	}{{40, "TiB"}, {30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if bytes > 0 && bytes%(1<<unit.bits) == 0 {
			return strconv.FormatUint(bytes>>unit.bits, 10) + " " + unit.name
		}
	}
	return strconv.FormatUint(bytes, 10) + " bytes"
}

// waits adds a guest to those that wait for the decision.
func (d *decision) waits(guest string) {
	if len(d.Guests) == 0 || d.Guests[len(d.Guests)-1] != guest {
		d.Guests = append(d.Guests, guest)
	}
}

// addRemedy adds the flags and commands of a remedy that are not answers yet, and its text if it is
// the first.
func (d *decision) addRemedy(r finding.Remedy, already []string) {
	d.Hint = cmp.Or(d.Hint, r.String())
	for _, command := range r.Commands {
		switch {
		case slices.Contains(already, command):
		case strings.HasPrefix(command, "--"):
			d.addAnswer(report.Answer{Flag: command})
		default:
			d.addAnswer(report.Answer{Command: command})
		}
	}
}

// addAnswer adds an answer unless it is a duplicate.
func (d *decision) addAnswer(a report.Answer) {
	others := 0
	for _, b := range d.Answers {
		if b.Format == "" {
			others++
		}
	}
	if a.Format == "" && others == maxOthers {
		return
	}
	known := func(b report.Answer) bool { return a.Format == b.Format && a.Flag == b.Flag && a.Command == b.Command }
	if !slices.ContainsFunc(d.Answers, known) {
		d.Answers = append(d.Answers, a)
	}
}

// keeps adds a disk, by its own image, whose chain may be kept.
func (d *decision) keeps(own string) {
	i := slices.IndexFunc(d.Answers, func(a report.Answer) bool { return a.Flag == keepXML })
	if i >= 0 && own != "" && !slices.Contains(d.Answers[i].Keep, own) {
		d.Answers[i].Keep = append(d.Answers[i].Keep, own)
	}
}
