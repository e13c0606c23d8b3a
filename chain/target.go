package chain

import (
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/libvirt"
)

// requirement is something that a chain says and that not every libvirt
// understands.
type requirement struct {
	layer int    // whose; or WholeDisk
	what  string // for people, such as "a source of protocol nfs"
	since libvirt.Version
	// before, if it is known: those older than this understand it too.
	before libvirt.Version
}

// String returns what is needed: "a source of protocol nfs needs libvirt 7.0.0
// or newer".
func (r requirement) String() string {
	s := r.what + " needs libvirt " + r.since.String() + " or newer"
	if r.before.Known() {
		s += ", or one before " + r.before.String()
	}
	return s
}

// met reports whether target understands what r is about. If it is not known,
// every libvirt from [libvirt.Oldest] on has to.
func (r requirement) met(target libvirt.Version) bool {
	if !target.Known() {
		return !libvirt.Oldest.Before(r.since) && !r.before.Known()
	}
	return !target.Before(r.since) || target.Before(r.before)
}

// meetTarget refuses a chain that the libvirt which will read it would not
// understand. What the XML says already is left to it, unless the operator
// names that libvirt.
func (k *walk) meetTarget() {
	for _, r := range unsupported(k.chain.Layers, k.Policy.Target) {
		f := finding.Finding{Code: finding.TargetTooOld, Severity: finding.Refuse, Text: r.String(),
			Remedy: finding.Say("if the libvirt that will read the XML is new enough, say so: %s", targetFlag(r.since))}
		switch target := k.Policy.Target; {
		case r.layer == finding.WholeDisk && !target.Known():
			// The depth alone: most versions can do it.
			f.Severity = finding.Warn
		case r.layer == 0, !target.Known() && k.states(k.chain.Layers[r.layer].Source):
			continue
		case target.Known():
			f.Text, f.Remedy = r.String()+"; the target is "+target.String(), upgrade(r.since)
		}
		k.findAt(r.layer, f)
	}
}

// targetFlag names the libvirt that will read the XML.
func targetFlag(v libvirt.Version) finding.Remedy {
	return finding.Command("--target-libvirt " + v.String())
}

// upgrade is for a libvirt that is too old.
func upgrade(to libvirt.Version) finding.Remedy {
	return finding.Say("upgrade that libvirt first, and say so: %s", targetFlag(to))
}

// unsupported returns what the explicit chain of these layers says and target
// does not understand, or, if that is not known, what not every libvirt since
// [libvirt.Oldest] does. What concerns the whole chain comes first, then layer
// after layer; the top's is what the XML had anyway.
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
	if len(layers) > libvirt.DeepestNested {
		need(requirement{layer: finding.WholeDisk, what: fmt.Sprintf("a chain of more than %d layers", libvirt.DeepestNested), since: libvirt.NestingIsBounded.Until, before: libvirt.NestingIsBounded.Since})
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

// dataSource returns the source of a data store. There is none within one.
func dataSource(src *libvirtxml.DomainDiskSource) *libvirtxml.DomainDiskSource {
	if src.DataStore == nil {
		return nil
	}
	return src.DataStore.Source
}
