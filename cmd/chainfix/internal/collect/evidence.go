package collect

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// weigh adds the evidence for and against the header of the last of these layers. A guest
// cannot forge what comes from outside the image: its name, its length, its overlay and the
// other disks of the host.
func (d *decision) weigh(layers []chain.Layer, f finding.Finding, facts chain.HostFacts) {
	layer := layers[len(layers)-1]
	claim := probe.Format("")
	if h := claimedBy(layer); h != nil {
		claim = h.Format
	}
	supports := func(format probe.Format, text string) {
		if format == claim || claim == "" {
			d.For = addEvidence(d.For, text)
		} else {
			d.Against = addEvidence(d.Against, text)
		}
	}
	if ending, suggests := extensionOf(layer); len(suggests) > 0 {
		suggested := suggests[0]
		if slices.Contains(suggests, claim) {
			suggested = claim
		}
		supports(suggested, "its name ends in "+strconv.Quote(ending))
	}
	if overlay := layers[max(len(layers)-2, 0)].Header; layer.Image != nil && len(layers) > 1 && overlay != nil {
		d.weighLength(layer.Image.Size, overlay.VirtualSize, claim)
	}
	if text := ofImage(layers, f); text != "" {
		d.Against = addEvidence(d.Against, text)
	}
	for _, stated := range facts.Formats {
		supports(stated.Format, "the "+stated.String()+" states that it is "+string(stated.Format))
	}
	for _, disk := range facts.RawDisks {
		text := "it is or was the raw " + disk.String()
		if claim != probe.Raw {
			text += ", which may have written its header"
		}
		supports(probe.Raw, text)
	}
	for _, disk := range facts.RawBelow {
		supports(probe.Raw, "it is stated or recorded to be raw below the "+disk.String())
	}
	for _, disk := range facts.Writers {
		if !slices.Contains(facts.RawDisks, disk) {
			d.Against = addEvidence(d.Against, "the "+disk.String()+" writes to it")
		}
	}
}

// weighLength compares the length of an image with the disk size of an overlay, in bytes. For a
// raw image they are usually equal; if they are equal for an image that claims another format, a
// finding says so. One overlay is enough: a larger one proves no more.
func (d *decision) weighLength(length int64, overlay uint64, claim probe.Format) {
	const begin = "it is "
	said := func(text string) bool {
		return strings.HasPrefix(text, begin) && strings.Contains(text, "its overlay's disk")
	}
	switch {
	case claim == "" || length < 0 || slices.ContainsFunc(d.For, said):
	case claim == probe.Raw && uint64(length) == overlay:
		d.For = addEvidence(d.For, begin+"as long as its overlay's disk: "+shownSize(overlay))
	case claim != probe.Raw && uint64(length) != overlay:
		d.For = addEvidence(d.For, begin+shownSize(uint64(length))+" long, but its overlay's disk is "+shownSize(overlay)+"; a raw image usually has the same length")
	}
}

// extensionOf returns the extension of an image's name, and the formats that it suggests.
func extensionOf(layer chain.Layer) (ending string, suggests []probe.Format) {
	name, local := layer.LocalPath()
	if network := layer.At().Network; !local && network != nil {
		name = network.Name
	}
	ending = strings.ToLower(path.Ext(name))
	return ending, probe.FromExtension(ending)
}

// ofImage returns what a finding says against a header, if only its text has it. The
// beginning, that the format is not recorded, is removed.
func ofImage(layers []chain.Layer, f finding.Finding) string {
	switch f.Code {
	case finding.SizeContradicts, finding.RecordContradicts, finding.AmbiguousSignatures, finding.ImageBroken, finding.FormatMismatch:
	default:
		return ""
	}
	if len(layers) < 2 {
		return f.Text
	}
	last := layers[len(layers)-1]
	unrecorded := "the format of " + storage.Describe(last.Source) + " is not recorded in " + storage.Describe(layers[len(layers)-2].Source)
	rest, cut := strings.CutPrefix(f.Text, unrecorded)
	if !cut {
		return f.Text
	}
	return strings.TrimPrefix(strings.TrimPrefix(rest, ", and "), "; ")
}

// addEvidence adds a text, unless it is a duplicate or there are enough.
func addEvidence(all []string, text string) []string {
	if len(all) == maxEvidence || slices.Contains(all, text) {
		return all
	}
	return append(all, text)
}
