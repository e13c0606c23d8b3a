package libvirt

import (
	"strings"

	"libvirt.org/go/libvirtxml"
)

// Feature is a part of a storage source's XML that libvirt understands since
// some version. Older ones refuse the XML or silently drop the part: 9.0 drops
// all newer ones in this list except an encryption format.
type Feature struct {
	Fact // What is a noun: "a source of protocol nfs"
	// Used reports whether a source uses the feature.
	Used func(*libvirtxml.DomainDiskSource) bool
}

// Features returns the features that are newer than explicit chains.
func Features() []Feature { return features }

// The versions of features come from libvirt's formatdomain.rst and
// formatstorageencryption.rst ("Since X.Y"), and from its release notes for
// those without a version there: librbd, the delay and the namespace. Features
// of 5.10, the first libvirt with explicit chains, are not listed.
var features = []Feature{
	{Fact{What: "a slice", Since: Slices.Since, Known: Slices.Known}, func(s *libvirtxml.DomainDiskSource) bool {
		return s.Slices != nil && len(s.Slices.Slices) > 0
	}},
	{Fact{What: "the query of a URI", Since: Version{6, 2, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool { return s.Network != nil && s.Network.Query != "" }},
	{Fact{What: "<ssl>", Since: Version{6, 2, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool { return s.SSL != nil }},
	{Fact{What: "<cookies>", Since: Version{6, 2, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool { return s.Cookies != nil }},
	{Fact{What: "<readahead>", Since: Version{6, 2, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool { return s.Readahead != nil }},
	{Fact{What: "<timeout>", Since: Version{6, 2, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool { return s.Timeout != nil }},
	{Fact{What: "a source of protocol nfs", Since: Version{7, 0, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool {
		return s.Network != nil && s.Network.Protocol == "nfs"
	}},
	{Fact{What: "the encryption engine librbd", Since: Version{7, 9, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool {
		return s.Encryption != nil && s.Encryption.Engine == "librbd"
	}},
	{Fact{What: "tlsHostname", Since: Version{8, 2, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool { return s.Network != nil && s.Network.TLSHostname != "" }},
	{Fact{What: "a group of file descriptors", Since: Version{9, 0, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool { return s.File != nil && s.File.FDGroup != "" }},
	{Fact{What: "<reconnect delay>", Since: Version{9, 2, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool { return s.Network != nil && s.Network.Reconnect != nil }},
	{Fact{What: "the encryption format luks-any", Since: Version{9, 3, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool {
		return s.Encryption != nil && s.Encryption.Format == "luks-any"
	}},
	{Fact{What: "<knownHosts>", Since: Version{9, 8, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool { return s.Network != nil && s.Network.KnownHosts != nil }},
	{Fact{What: "the <identity> of an ssh user", Since: Version{9, 8, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool {
		return s.Network != nil && s.Network.Protocol == "ssh" && s.Network.Identity != nil
	}},
	{Fact{What: "<dataStore>", Since: Version{10, 10, 0}, Known: documented}, func(s *libvirtxml.DomainDiskSource) bool { return s.DataStore != nil }},
	{Fact{What: "an rbd namespace", Since: RBDNamespaces.Since, Known: RBDNamespaces.Known}, func(s *libvirtxml.DomainDiskSource) bool {
		return s.Network != nil && s.Network.Protocol == "rbd" && strings.Count(s.Network.Name, "/") > 1
	}},
}
