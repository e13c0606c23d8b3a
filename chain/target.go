package chain

import (
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// requirement is a part of a chain's XML that not every libvirt understands.
type requirement struct {
	layer int    // index, or WholeDisk
	what  string // for messages, such as "a source of protocol nfs"
	since libvirt.Version
}

// String returns what is needed: "a source of protocol nfs needs libvirt 7.0.0
// or newer".
func (r requirement) String() string {
	return r.what + " needs libvirt " + r.since.String() + " or newer"
}

// met reports whether target meets r. If target is unknown, every libvirt
// since [libvirt.Oldest] has to.
func (r requirement) met(target libvirt.Version) bool {
	if !target.Known() {
		return !libvirt.Oldest.Before(r.since)
	}
	return !target.Before(r.since)
}

// meetTarget refuses a chain that the target libvirt would not understand.
// What the XML already contains is not checked unless the operator names the
// target.
func (k *walk) meetTarget() {
	for _, r := range unsupported(k.chain.Layers, k.Policy.Target) {
		f := finding.Finding{Code: finding.TargetTooOld, Severity: finding.Refuse, Text: r.String(),
			Remedy: finding.Say("if the libvirt that will read the XML is new enough, say so: %s", targetFlag(r.since))}
		switch target := k.Policy.Target; {
		case r.layer == 0, !target.Known() && k.states(k.chain.Layers[r.layer].Source):
			continue
		case target.Known():
			f.Text, f.Remedy = r.String()+"; the target is "+target.String(), upgrade(r.since)
		}
		k.findAt(r.layer, f)
	}
	k.warnOfDepth()
}

// warnOfDepth warns of a chain that is too deep for the target libvirt, or for
// a possible target, to start a guest. The chain is still written: without it
// that libvirt would detect the same layers and not start the guest either.
func (k *walk) warnOfDepth() {
	target, bound := k.Policy.Target, libvirt.NestingIsBounded
	counted := len(k.chain.Layers)
	if counted > 0 && k.chain.Layers[counted-1].Format == probe.Raw {
		counted--
	}
	if counted <= libvirt.DeepestNested || target.Known() && !bound.Holds(target) {
		return
	}
	k.findAt(finding.WholeDisk, finding.Finding{Code: finding.TargetTooOld, Severity: finding.Warn,
		Text: fmt.Sprintf("the chain has %d layers: libvirt from %s on does not start a guest on more than %d, until %s does",
			len(k.chain.Layers), bound.Since, libvirt.DeepestNested, bound.Until),
		Remedy: finding.Say("shorten the chain (%s on a running guest, %s on one that is off), or use a libvirt before %s or from %s on",
			finding.Command("virsh blockcommit"), finding.Command("qemu-img commit"), bound.Since, bound.Until)})
}

// targetFlag returns the flag that names the libvirt that will read the XML.
func targetFlag(v libvirt.Version) finding.Remedy {
	return finding.Command("--target-libvirt " + v.String())
}

// upgrade is for a libvirt that is too old.
func upgrade(to libvirt.Version) finding.Remedy {
	return finding.Say("upgrade that libvirt first, and say so: %s", targetFlag(to))
}

// unsupported returns the parts of the explicit chain that target does not
// understand, or, if target is unknown, that some libvirt since
// [libvirt.Oldest] does not. Requirements of the whole chain come first, then
// layer by layer; those of the top come from the existing XML.
func unsupported(layers []Layer, target libvirt.Version) []requirement {
	var missing []requirement
	need := func(r requirement) {
		if !r.met(target) {
			missing = append(missing, r)
		}
	}
	if len(layers) > 1 || len(layers) == 1 && layers[0].Format.CanHaveBacking() {
		need(requirement{layer: finding.WholeDisk, what: "an explicit chain", since: libvirt.ExplicitChains.Since})
	}
	for i, layer := range layers {
		if layer.Source == nil {
			continue
		}
		if i > 0 && layer.Source.Volume != nil {
			need(requirement{layer: i, what: "a volume as a backing image", since: libvirt.BackingVolumes.Since})
		}
		for _, src := range []*libvirtxml.DomainDiskSource{layer.Source, dataSource(layer.Source)} {
			for _, f := range libvirt.Features() {
				if src != nil && f.Used(src) {
					need(requirement{layer: i, what: f.What, since: f.Since})
				}
			}
		}
	}
	return missing
}

// dataSource returns the source of a data store, which cannot have a data
// store itself.
func dataSource(src *libvirtxml.DomainDiskSource) *libvirtxml.DomainDiskSource {
	if src.DataStore == nil {
		return nil
	}
	return src.DataStore.Source
}

// chainIgnored returns the code and the text of a finding if the target
// libvirt discards the explicit chain of the disk and detects it again: for SD
// cards always, because libvirt still uses -drive for them (libvirt 9.0 and
// 11.3), and before libvirt 5.10 for every disk.
func (k *walk) chainIgnored() (code finding.Code, reason string) {
	target := k.Policy.Target
	switch {
	case k.stated.Bus == "sd":
		return finding.SDBus, "libvirt ignores the explicit chain of a disk on the sd bus"
	case target.Known() && !libvirt.ExplicitChains.Holds(target):
		return finding.TargetTooOld, "libvirt " + target.String() + " ignores explicit chains"
	}
	return "", ""
}

// relyOnHeaders sets the verdict for a disk with an ignored explicit chain:
// only the formats that the headers record count.
func (k *walk) relyOnHeaders(code finding.Code, reason string) {
	c := k.chain
	for i, layer := range c.Layers[1:] {
		overlay := c.Layers[i]
		if overlay.Header == nil || overlay.Header.Backing == nil || storage.ReadRecord(overlay.Header.Backing).MayMean(layer.Format) {
			continue
		}
		c.Verdict = Refused
		remedy := finding.Say("replace its overlay by a qcow2 image: %s cannot record that", overlay.Format)
		if overlay.Format.CanRecord(layer.Format) {
			remedy = finding.Say("record it in the overlay: %s", recordFormat(overlay, layer.Format))
		}
		if code == finding.SDBus {
			remedy = finding.Say("%s; or move the disk to another bus: %s", remedy, k.edit())
		} else {
			remedy = finding.Say("%s; or %s", remedy, upgrade(libvirt.ExplicitChains.Since))
		}
		k.findAt(i+1, finding.Finding{Code: code, Severity: finding.Refuse,
			Text:   reason + ", and no header records the format of " + storage.Describe(layer.Source),
			Remedy: remedy})
		return
	}
	if c.Verdict != Fixable || len(c.Layers) == 1 && c.Layers[0].From == Trust {
		return // only the <driver type> is missing, which libvirt always reads
	}
	c.Verdict = Explicit
	c.Layers = k.stated.Layers
	for i := range c.Findings {
		if f := &c.Findings[i]; f.Layer >= len(c.Layers) {
			f.Layer = finding.WholeDisk // the XML does not state that layer
		}
	}
	k.findAt(finding.WholeDisk, finding.Finding{Code: code, Severity: finding.Info, Text: reason + "; its headers record every format, so libvirt guesses nothing"})
}
