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

	"guest.held-back": codeWords(),
	"state":           states(),

	"check.schema":    these(checkSchema),
	"host.schema":     these(report.HostSchema),
	"hosts.schema":    these("chainfix/hosts/v1"),
	"apply.schema":    these(applySchema),
	"rollback.schema": these(rollbackSchema),
	"runs.schema":     these(runsSchema),
	"who.schema":      these(report.WhoSchema),

	"verdict": words(chain.Explicit, chain.Skipped, chain.Fixable, chain.Refused),
	"because": words(predict.Unknown, predict.Guessed, predict.Refused, predict.Misopened),

	"prediction":    words(predict.Starts, predict.Refuses, predict.Misopens),
	"outcome":       outcomeWords,
	"format":        libvirtFormats(),
	"qemu-format":   qemuFormats(),
	"from":          words(chain.XML, chain.Header, chain.Trust, chain.Libvirt, chain.Protocol, chain.Probe),
	"image.claims":  qemuFormats(),
	"answer.format": qemuFormats(),
	"run.rule":      words(chain.Leaf, chain.Strict, chain.Declared),
	"source.type":   these("file", "block", "dir", "network", "volume", "nvme", "vhostuser", "vhostvdpa"),

	"probed.format":         qemuFormats(),
	"probed.libvirt-format": libvirtFormats(),
	"probed.signatures":     qemuFormats(),
	"reference.format":      these(), // as it stands in the header
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

// keysOf are the words that the names in an object may be.
var keysOf = map[string]wordSet{
	"summary.states":   states(),
	"summary.verdicts": words(chain.Explicit, chain.Fixable, chain.Refused),
}

var outcomeWords = these(predict.Starts.String(), predict.Refuses.String(), predict.Misopens.String(), "unknown")

func states() (set wordSet) {
	for _, s := range report.States() {
		set.all = append(set.all, string(s))
	}
	return set
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
