package chain

import (
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/storage"
)

// ignored returns the finding to make, and why, if the libvirt that reads the
// XML throws the explicit chain of the disk away and detects it again: of an SD
// card always, because such disks still use -drive (9.0, 11.3), and before
// libvirt 5.10 of every disk.
func (k *walk) ignored() (code finding.Code, reason string) {
	target := k.Policy.Target
	switch {
	case k.stated.Bus == "sd":
		return finding.SDBus, "libvirt ignores the explicit chain of a disk on the sd bus"
	case target.Known() && !libvirt.ExplicitChains.Holds(target):
		return finding.TargetTooOld, "libvirt " + target.String() + " ignores explicit chains"
	}
	return "", ""
}

// onlyHeaders settles the verdict on a disk whose explicit chain is ignored:
// only what the headers record helps.
func (k *walk) onlyHeaders(code finding.Code, reason string) {
	c := k.chain
	for i, layer := range c.Layers[1:] {
		overlay := c.Layers[i]
		if overlay.Header == nil || overlay.Header.Backing == nil || storage.ReadRecord(overlay.Header.Backing).MayMean(layer.Format) {
			continue
		}
		c.Verdict = Refused
		remedy := finding.Say("put a qcow2 image in the place of its overlay, which is %s and has no room for that", overlay.Format)
		if canRecord(overlay.Format, layer.Format) {
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
		return // only the <driver type> is missing, which always counts
	}
	c.Verdict = Explicit
	c.Layers = k.stated.Layers
	for i := range c.Findings {
		if f := &c.Findings[i]; f.Layer >= len(c.Layers) {
			f.Layer = finding.WholeDisk // of a layer that the XML does not state
		}
	}
	k.findAt(finding.WholeDisk, finding.Finding{Code: code, Severity: finding.Info, Text: reason + "; its headers record every format, so nothing is guessed"})
}
