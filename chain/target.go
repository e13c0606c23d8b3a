package chain

import (
	"fmt"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// oldestTarget is the libvirt for which the XML of an unknown one is written:
// the first that lets the images of an explicit chain be of every kind
// (libvirt's release notes, 6.1.0).
var oldestTarget = Version{Major: 6, Minor: 1}

// requirement is something that a chain says and that not every libvirt
// understands.
type requirement struct {
	layer int    // whose; or WholeDisk
	what  string // for people, such as "a source of protocol nfs"
	since Version
	// before, if it is known: those older than this understand it too.
	before Version
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
// every libvirt from oldestTarget on has to.
func (r requirement) met(target Version) bool {
	if !target.Known() {
		return !oldestTarget.Before(r.since) && !r.before.Known()
	}
	return !target.Before(r.since) || target.Before(r.before)
}

// feature is what a storage source may say since some libvirt. Older ones
// refuse the XML, or drop what they do not know without a word: 9.0 does so
// with all that is newer here but an encryption format.
type feature struct {
	what  string
	since Version
	used  func(*libvirtxml.DomainDiskSource) bool
}

// features have their versions from libvirt's formatdomain.rst and
// formatstorageencryption.rst ("Since X.Y"), and where those say nothing from
// its release notes: librbd, the delay and the namespace. What 5.10 had, when
// explicit chains came, is not in the list.
var features = []feature{
	{"a slice", Version{6, 1, 0}, func(s *libvirtxml.DomainDiskSource) bool {
		return s.Slices != nil && len(s.Slices.Slices) > 0
	}},
	{"the query of a URI", Version{6, 2, 0}, func(s *libvirtxml.DomainDiskSource) bool { return s.Network != nil && s.Network.Query != "" }},
	{"<ssl>", Version{6, 2, 0}, func(s *libvirtxml.DomainDiskSource) bool { return s.SSL != nil }},
	{"<cookies>", Version{6, 2, 0}, func(s *libvirtxml.DomainDiskSource) bool { return s.Cookies != nil }},
	{"<readahead>", Version{6, 2, 0}, func(s *libvirtxml.DomainDiskSource) bool { return s.Readahead != nil }},
	{"<timeout>", Version{6, 2, 0}, func(s *libvirtxml.DomainDiskSource) bool { return s.Timeout != nil }},
	{"a source of protocol nfs", Version{7, 0, 0}, func(s *libvirtxml.DomainDiskSource) bool {
		return s.Network != nil && s.Network.Protocol == "nfs"
	}},
	{"the encryption engine librbd", Version{7, 9, 0}, func(s *libvirtxml.DomainDiskSource) bool {
		return s.Encryption != nil && s.Encryption.Engine == "librbd"
	}},
	{"tlsHostname", Version{8, 2, 0}, func(s *libvirtxml.DomainDiskSource) bool { return s.Network != nil && s.Network.TLSHostname != "" }},
	{"a group of file descriptors", Version{9, 0, 0}, func(s *libvirtxml.DomainDiskSource) bool { return s.File != nil && s.File.FDGroup != "" }},
	{"<reconnect delay>", Version{9, 2, 0}, func(s *libvirtxml.DomainDiskSource) bool { return s.Network != nil && s.Network.Reconnect != nil }},
	{"the encryption format luks-any", Version{9, 3, 0}, func(s *libvirtxml.DomainDiskSource) bool {
		return s.Encryption != nil && s.Encryption.Format == "luks-any"
	}},
	{"<knownHosts>", Version{9, 8, 0}, func(s *libvirtxml.DomainDiskSource) bool { return s.Network != nil && s.Network.KnownHosts != nil }},
	{"the <identity> of an ssh user", Version{9, 8, 0}, func(s *libvirtxml.DomainDiskSource) bool {
		return s.Network != nil && s.Network.Protocol == "ssh" && s.Network.Identity != nil
	}},
	{"<dataStore>", Version{10, 10, 0}, func(s *libvirtxml.DomainDiskSource) bool { return s.DataStore != nil }},
	// pool/namespace/image. Older ones ask for an image "namespace/image" in
	// the pool.
	{"an rbd namespace", Version{11, 6, 0}, func(s *libvirtxml.DomainDiskSource) bool {
		return s.Network != nil && s.Network.Protocol == "rbd" && strings.Count(s.Network.Name, "/") > 1
	}},
}

var (
	// Before it, explicit chains were output only (backingStoreInput in
	// formatdomaincaps.rst).
	explicitSince = Version{5, 10, 0}
	volumeSince   = oldestTarget // below the top; there it is as old as 1.0.5

	// A deeper chain than deepLayers does not start from 10.8, which changed
	// the JSON library, to 11.10 (release notes of 12.0.0: "more than ~25").
	deepLayers = 25
	deepBroken = Version{10, 8, 0}
	deepAgain  = Version{12, 0, 0}
)

// meetTarget refuses a chain that the libvirt which will read it would not
// understand. What the XML says already is left to it, unless the operator
// names that libvirt.
func (k *walk) meetTarget() {
	for _, r := range unsupported(k.chain.Layers, k.Policy.Target) {
		f := Finding{Code: TargetTooOld, Severity: Refuse, Text: r.String(),
			Hint: "if the libvirt that will read the XML is new enough, say so: --target-libvirt " + r.since.String()}
		switch target := k.Policy.Target; {
		case r.layer == WholeDisk && !target.Known():
			// The depth alone: most versions can do it.
			f.Severity = Warn
		case r.layer == 0, !target.Known() && k.states(k.chain.Layers[r.layer].Source):
			continue
		case target.Known():
			f.Text, f.Hint = r.String()+"; the target is "+target.String(), ""
		}
		k.findAt(r.layer, f)
	}
}

// unsupported returns what the explicit chain of these layers says and target
// does not understand, or, if that is not known, what not every libvirt since
// oldestTarget does. What concerns the whole chain comes first, then layer
// after layer; the top's is what the XML had anyway.
func unsupported(layers []Layer, target Version) []requirement {
	var missing []requirement
	need := func(r requirement) {
		if !r.met(target) {
			missing = append(missing, r)
		}
	}
	if len(layers) > 1 || len(layers) == 1 && layers[0].Format.CanHaveBacking() {
		need(requirement{layer: WholeDisk, what: "an explicit chain", since: explicitSince})
	}
	if len(layers) > deepLayers {
		need(requirement{layer: WholeDisk, what: fmt.Sprintf("a chain of more than %d layers", deepLayers), since: deepAgain, before: deepBroken})
	}
	for i, layer := range layers {
		if layer.Source == nil {
			continue
		}
		if i > 0 && layer.Source.Volume != nil {
			need(requirement{layer: i, what: "a volume as a backing image", since: volumeSince})
		}
		for _, src := range []*libvirtxml.DomainDiskSource{layer.Source, dataSource(layer.Source)} {
			for _, f := range features {
				if src != nil && f.used(src) {
					need(requirement{layer: i, what: f.what, since: f.since})
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
