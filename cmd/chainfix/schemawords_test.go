package main

import (
	"fmt"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/probe"
)

// wordsOf are the words that a property may have, by its name, or for that of one
// definition by both: "definition.property".
var wordsOf = map[string]wordSet{
	"code":     codeWords(),
	"severity": words(finding.Info, finding.Warn, finding.Refuse),
	"level":    these(finding.Info.Level(), finding.Warn.Level(), finding.Refuse.Level()),

	"apply.schema":    these(applySchema),
	"rollback.schema": these(rollbackSchema),
	"runs.schema":     these(runsSchema),
	"who.schema":      these(report.WhoSchema),

	"verdict": words(chain.Explicit, chain.Skipped, chain.Fixable, chain.Refused),
	"because": words(predict.Unknown, predict.Guessed, predict.Refused, predict.Misopened),

	"probed.format":         qemuFormats(),
	"probed.libvirt-format": libvirtFormats(),
	"probed.signatures":     qemuFormats(),
	"reference.kind":        these("backing", "data-file", "extent"),

	"applied-guest.outcome":  applyOutcomes,
	"applied-stored.outcome": applyOutcomes,
	"restored-guest.outcome": these(wasRestored, wouldRestore, restoredAlready, wasLeft),
	"kind":                   these(string(host.Snapshot), string(host.Checkpoint), string(host.SavedState)),
	"run.state":              these(runUnchanged, runChanged, runPartly, runTakenBack),
	"run-guest.step":         these(string(host.Planned), string(host.Defining), string(host.Defined), string(host.Left), string(host.Changed), string(host.Restoring), string(host.Restored)),

	"who.answer":  these(report.Nobody, report.Somebody, report.NotKnown),
	"hook.result": these("explicit", "left", "refused"),
}

var applyOutcomes = wordSet{"outcome", []any{wasChanged, wouldChange, wasPlanned, wasLeft, wasHeldBack, wasRefused, wasExplicit, wasNoNeed}}

// wordSet are words of a kind. A name makes them a definition, for those of which there
// are many.
type wordSet struct {
	name string
	all  []any
}

func these(all ...any) wordSet { return wordSet{all: all} }

func words(values ...fmt.Stringer) (set wordSet) {
	for _, v := range values {
		set.all = append(set.all, v.String())
	}
	return set
}

func codeWords() wordSet {
	set := wordSet{name: "code"}
	for _, e := range finding.Explanations() {
		set.all = append(set.all, string(e.Code))
	}
	return set
}

// qemuFormats are QEMU's names of formats, libvirtFormats libvirt's.
func qemuFormats() wordSet {
	set := wordSet{name: "qemu-format"}
	for _, f := range probe.Formats() {
		set.all = append(set.all, string(f))
	}
	return set
}

func libvirtFormats() wordSet {
	set := wordSet{name: "libvirt-format"}
	for _, f := range probe.Formats() {
		if name := f.LibvirtName(); name != "" {
			set.all = append(set.all, name)
		}
	}
	return set
}
