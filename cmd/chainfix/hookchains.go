package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/pools"
	"github.com/chainfix/chainfix/chain/predict"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/xmlfix"
)

// errNotYet is returned if images are missing that libvirt may be about to create, and
// nothing else is wrong. On the destination of a migration with --copy-storage-all libvirt
// creates them between "migrate" and "prepare" (libvirt 9.0, qemuMigrationDstPrepareActive).
var errNotYet = errors.New("not there yet")

// notYet is an error with the text of another.
type notYet struct{ error }

func (notYet) Is(target error) bool { return target == errNotYet }
func (n notYet) Unwrap() error      { return n.error }

// poolDir returns the folder in which this user's libvirt keeps its storage pool
// definitions, or "" if unknown.
func poolDir() string {
	if os.Geteuid() == 0 {
		return defaultPools
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(config, "libvirt/storage")
}

// document reads the policy and a guest's XML. The error is one line.
func (h *hookRun) document(ctx context.Context) (*chain.Walker, *xmlfix.Document, error) {
	walkers, err := h.walkers(ctx)
	if err != nil {
		return nil, nil, err
	}
	if walkers.volumes == nil {
		walkers.volumes = pools.At(poolDir(), walkers.requests)
	}
	data, err := reader{stdin: h.std.in}.read(ctx, inputOf("-"))
	if err != nil {
		return nil, nil, inputError(err)
	}
	doc, err := xmlfix.Parse(stdinName, data)
	if err != nil {
		status := exitInput
		if errors.Is(err, xmlfix.ErrAmbiguous) {
			status = exitRefused
		}
		f, _ := report.FindingOf(err)
		return nil, nil, &statusError{status, errors.New(inOneLine(f))}
	}
	return walkers.walker(), doc, nil
}

// explicit reads a guest's XML and returns it with every chain explicit, or nil if it
// already is. The error is one line.
func (h *hookRun) explicit(ctx context.Context) ([]byte, error) {
	walker, doc, err := h.document(ctx)
	if err != nil {
		return nil, err
	}
	var refused, absent hookNotes
	// In "prepare" the XML has an id already, but libvirt has detected nothing
	// yet (libvirt 9.0, qemuProcessInit); for "migrate" and "restore" it leaves
	// out what it had detected (virDomainDefCopy), unless it was restarted
	// meanwhile. The chains in the XML are those that the guest runs with, or
	// will.
	disks, err := doc.Walk(ctx, walker, true)
	if err != nil {
		return nil, inputError(err)
	}
	for _, disk := range disks {
		findings, err := makeExplicit(ctx, walker, disk, h.call.rewrites())
		if err != nil {
			return nil, inputError(err)
		}
		for _, f := range findings {
			if f.Misopens && !h.call.rewrites() {
				f.Remedy = h.letItStart(f, disk.Chain)
			}
			note := hookNote{disk.Target, f}
			switch {
			case f.Severity < finding.Warn:
			case f.Severity == finding.Refuse && f.Code == finding.ImageMissing && h.call.operation == "migrate":
				absent = append(absent, note)
			case f.Severity == finding.Refuse:
				refused = append(refused, note)
			default:
				h.journal.note(note)
			}
		}
	}
	switch {
	case len(refused) > 0:
		return nil, &statusError{exitRefused, slices.Concat(refused, absent)}
	case len(absent) > 0:
		return nil, notYet{absent}
	case !doc.Changed():
		return nil, nil
	}
	explicit, err := doc.Bytes()
	if err != nil {
		return nil, inputError(err)
	}
	return explicit, nil
}

// makeExplicit returns the findings about a disk. With edit it queues the edits
// that make its chain explicit, if no finding refuses that. It returns an error
// only if ctx ends.
func makeExplicit(ctx context.Context, walker *chain.Walker, disk xmlfix.DiskExamination, edit bool) ([]finding.Finding, error) {
	if disk.Err != nil {
		f, _ := report.FindingOf(disk.Err)
		return []finding.Finding{f}, nil
	}
	found := disk.Chain
	if found.Verdict != chain.Fixable || !edit {
		return found.Findings, nil
	}
	if f, err := mayDiffer(ctx, walker, disk.Stated); err != nil {
		return nil, err
	} else if f != nil {
		return append(found.Findings, *f), nil
	}
	if err := disk.Disk.SetChain(found); err != nil {
		f, _ := report.FindingOf(err)
		return append(found.Findings, f), nil
	}
	return found.Findings, nil
}

// inOneLine puts a finding on one line, because libvirt embeds a failing hook's
// output in its own message.
func inOneLine(f finding.Finding) string {
	line := f.Text
	if f.Code != "" {
		line = "[" + string(f.Code) + "] " + line
	}
	if !f.Remedy.IsZero() {
		line += "; hint: " + f.Remedy.String()
	}
	return strings.ReplaceAll(line, "\n", " ")
}

// mayDiffer returns a finding if a migrated or restored guest may have another chain
// open than the one that would be written into its XML: its disk would change under it.
// A guest that boots can be given the true formats of its images.
func mayDiffer(ctx context.Context, w *chain.Walker, stated chain.Stated) (*finding.Finding, error) {
	why, err := predict.GoesOn(ctx, w, stated)
	if err != nil || why == "" {
		return nil, err
	}
	vm := finding.GuestWord(stated.Guest)
	return &finding.Finding{Code: finding.RanOtherwise, Severity: finding.Refuse, Layer: finding.WholeDisk, Text: why,
		Remedy: finding.Say("make its definition explicit, then shut it down and start it: %s, %s, %s",
			finding.Command("virsh dumpxml --inactive --security-info "+vm+" | chainfix | virsh define /dev/stdin"), finding.Command("virsh shutdown "+vm), finding.Command("virsh start "+vm))}, nil
}
