package report

import (
	"errors"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/xmlfix"
)

// FindingsOf converts findings for JSON.
func FindingsOf(findings ...finding.Finding) []Finding {
	all := []Finding{}
	for _, f := range findings {
		j := Finding{Code: string(f.Code), Severity: f.Severity.String(), Level: f.Severity.Level(), Text: f.Text, Hint: f.Remedy.String()}
		if f.Layer != finding.WholeDisk {
			j.Layer = &f.Layer
		}
		all = append(all, j)
	}
	return all
}

// Warnings are findings about no guest and no document, without a code.
func Warnings(texts ...string) []Finding {
	var all []Finding
	for _, text := range texts {
		all = append(all, FindingsOf(finding.Finding{Severity: finding.Warn, Layer: finding.WholeDisk, Text: text})...)
	}
	return all
}

// FindingOf turns the error about a document or a disk that cannot be read into a finding,
// and returns its position in the document, which is zero if unknown. The remedy comes from
// the error's Hint method or its [xmlfix.Error].
func FindingOf(err error) (finding.Finding, xmlfix.Position) {
	f := finding.Finding{Code: finding.DocumentUnreadable, Severity: finding.Refuse, Layer: finding.WholeDisk, Text: err.Error()}
	var pos xmlfix.Position
	if x, ok := errors.AsType[*xmlfix.Error](err); ok {
		f.Code, f.Text, f.Remedy, pos = x.Code, x.Text(), x.Remedy, x.Pos
	}
	var hinted interface{ Hint() finding.Remedy }
	if errors.As(err, &hinted) && !hinted.Hint().IsZero() {
		f.Remedy = hinted.Hint()
	}
	return f, pos
}
