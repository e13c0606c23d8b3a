package chain

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// winner says whether the XML or a header is used where they differ.
type winner int

const (
	noWinner winner = iota // the disk is refused
	winnerXML
	winnerHeader
	winnerBoth // both name the same image
	// winnerXMLAlone: the XML, which names another image than the header does.
	// The format that the header records is not about that image.
	winnerXMLAlone
)

// conflict is a place where the XML and a header differ.
type conflict struct {
	code   finding.Code
	text   string
	more   string         // added to text if the disk is refused
	remedy finding.Remedy // the zero Remedy stands for chooseRemedy
	// misopens: see [finding.Finding]. The XML and the header certainly refer to
	// different bytes.
	misopens bool
}

// resolveConflict returns the winner of a conflict, by the operator's policy.
// Without one it refuses the disk.
func (k *walk) resolveConflict(c conflict) winner {
	switch k.disagreement() {
	case HeadersWin:
		k.note(c.code, finding.Warn, c.text+"; the header wins")
		return winnerHeader
	case XMLWins:
		k.note(finding.ChainKept, finding.Warn, c.text+"; the XML wins")
		return winnerXML
	}
	if c.remedy.IsZero() {
		c.remedy = k.chooseRemedy()
	}
	k.findAt(max(len(k.chain.Layers)-1, 0), finding.Finding{Code: c.code, Severity: finding.Refuse, Text: c.text + c.more, Remedy: c.remedy, Misopens: c.misopens})
	return noWinner
}

// resolveNames is resolveConflict for the names of two images.
func (k *walk) resolveNames(c conflict) winner {
	c.code = finding.ChainConflict
	if w := k.resolveConflict(c); w != winnerXML {
		return w
	}
	return winnerXMLAlone
}

// disagreement returns the policy's decision for the disk.
func (k *walk) disagreement() Disagreement {
	if !k.keptKnown {
		k.kept, k.keptKnown = k.keepsChain(), true
	}
	if k.kept {
		return XMLWins
	}
	return k.Policy.Disagreement
}

// keepsChain reports whether the policy lists the disk in KeptChains.
func (k *walk) keepsChain() bool {
	top, err := k.Locate(k.ctx, k.stated.Layers[0])
	name := storage.Name(top.At())
	switch {
	case err != nil || name == "":
		return false
	case slices.Contains(k.Policy.KeptChains, name):
		return true
	}
	own, err := k.Identify(k.ctx, top.At())
	if err != nil || len(k.Policy.KeptChains) == 0 {
		return false
	}
	// All images that do not answer share one time limit.
	ctx, cancel := context.WithCancelCause(limit.WithoutRow(k.ctx))
	defer cancel(nil)
	defer context.AfterFunc(k.ctx, func() { cancel(context.Cause(k.ctx)) })()
	var kept atomic.Bool
	atOnce(len(k.Policy.KeptChains), func(i int) {
		if path := k.Policy.KeptChains[i]; strings.HasPrefix(path, "/") {
			if id, err := k.Identify(ctx, storage.LocalSource(path, false)); err == nil && id == own {
				kept.Store(true)
			}
		}
	})
	return kept.Load()
}

// isThere reports whether a source is a local image that exists, or may exist.
func (k *walk) isThere(src *libvirtxml.DomainDiskSource) bool {
	if _, local := storage.LocalPath(src); !local {
		return false
	}
	_, err := k.Identify(k.ctx, src)
	return err == nil
}

// sameBytes reports whether two existing sources may be the same bytes: a
// device and another path to it, or a file in two mounts. If that is unknown,
// it is true.
func (k *walk) sameBytes(a, b *libvirtxml.DomainDiskSource) bool {
	var extents [2]storage.Extent
	for i, src := range []*libvirtxml.DomainDiskSource{a, b} {
		id, err := k.Identify(k.ctx, src)
		if err != nil {
			return true
		}
		if extents[i], err = k.images.Extent(k.ctx, src, id); err != nil {
			return true
		}
	}
	// A device may be shorter than the file that it is a part of.
	return extents[0].File == extents[1].File && extents[0].Start == extents[1].Start || k.images.Alike(k.ctx, a, b)
}

// readsAs reports whether an image was read and has the header of format.
func (k *walk) readsAs(layer Layer, format probe.Format) bool {
	layer, err := k.Locate(k.ctx, layer)
	if path, local := layer.LocalPath(); err != nil || !local || !strings.HasPrefix(path, "/") {
		return false
	}
	layer.Format = format
	l, err := k.Look(k.ctx, layer.At(), layer.HeaderFormat())
	return err == nil && l.HeaderErr == nil
}
