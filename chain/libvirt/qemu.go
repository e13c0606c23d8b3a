package libvirt

import (
	"fmt"
	"slices"
	"strings"
)

// What QEMU does with the images of a chain.
var (
	// PlainDataFiles: the fix of CVE-2024-4467. Distributions have backported it
	// to versions whose number does not show it.
	PlainDataFiles = Fact{What: "treats the name of a data file in a qcow2 header as a file name, whatever it looks like; earlier ones open what a `json:`, `file:` or `nbd:` name describes",
		Since: Version{9, 1, 0}, Stable: Version{7, 2, 13}, OfQEMU: true, Known: read + ", " + run}
	// NoVxHS, NoSheepdog and NoGluster: drivers that were removed.
	NoVxHS = Fact{What: "has no driver for vxhs",
		Since: Version{5, 2, 0}, OfQEMU: true, Known: documented + ", " + run}
	NoSheepdog = Fact{What: "has no driver for sheepdog",
		Since: Version{6, 1, 0}, OfQEMU: true, Known: documented}
	NoGluster = Fact{What: "has no driver for gluster",
		NotYet: Version{10, 0, 0}, Since: Version{11, 1, 0}, OfQEMU: true, Known: run}
	// HasParallels: the QEMU 5.2 that was run is Debian 11's, which leaves this
	// out.
	HasParallels = Fact{What: "opens parallels images",
		NotYet: Version{5, 2, 0}, Since: Version{7, 2, 0}, OfQEMU: true, Known: run}
	// HasZstd: Debian 11's QEMU 5.2 leaves this out, too.
	HasZstd = Fact{What: "opens a qcow2 image whose compression type is zstd",
		NotYet: Version{5, 2, 0}, Since: Version{7, 2, 0}, OfQEMU: true, Known: run}
	// RefusesCharacterDevices: as files (QEMU's list of removed features).
	RefusesCharacterDevices = Fact{What: "refuses a character device as a file; earlier ones open it",
		Since: Version{6, 0, 0}, OfQEMU: true, Known: documented + ", " + run}
)

// qemuFacts are all of them.
var qemuFacts = []*Fact{&NoVxHS, &RefusesCharacterDevices, &NoSheepdog, &HasParallels, &HasZstd, &PlainDataFiles, &NoGluster}

// Pair is a libvirt and the QEMU that it runs. If QEMU is unknown,
// [Pair.Complete] uses the one that a distribution pairs with that libvirt.
type Pair struct{ Libvirt, QEMU Version }

// ParsePair reads LIBVIRT or LIBVIRT+QEMU, such as 12.9+11.1, each as
// [ParseVersion] does.
func ParsePair(s string) (Pair, error) {
	first, second, both := strings.Cut(s, "+")
	version, err := ParseVersion(first)
	if err != nil {
		return Pair{}, err
	}
	if !both {
		return Pair{Libvirt: version}, nil
	}
	qemu, err := ParseVersion(second)
	if err != nil {
		return Pair{}, fmt.Errorf("%q is not a version of QEMU (want X.Y or X.Y.Z)", second)
	}
	return Pair{version, qemu}, nil
}

// String returns LIBVIRT or LIBVIRT+QEMU.
func (p Pair) String() string {
	if !p.QEMU.Known() {
		return p.Libvirt.String()
	}
	return p.Libvirt.String() + "+" + p.QEMU.String()
}

// Release is a libvirt and a QEMU of one distribution.
type Release struct {
	Pair
	Where string // "Debian 12"
}

// releases are the pairs from which a missing QEMU is taken, ordered by
// libvirt's version. All of Debian's but 10 were run.
var releases = []Release{
	{Pair{Version{5, 0, 0}, Version{3, 1, 0}}, "Debian 10"},
	{Pair{Version{6, 0, 0}, Version{4, 2, 0}}, "RHEL 8.3"},
	{Pair{Version{7, 0, 0}, Version{5, 2, 0}}, "Debian 11"},
	{Pair{Version{8, 0, 0}, Version{6, 2, 0}}, "RHEL 8.6"},
	{Pair{Version{9, 0, 0}, Version{7, 2, 22}}, "Debian 12"},
	{Pair{Version{9, 5, 0}, Version{8, 0, 0}}, "RHEL 9.3"},
	{Pair{Version{10, 0, 0}, Version{8, 2, 0}}, "RHEL 9.4"},
	{Pair{Version{10, 5, 0}, Version{9, 0, 0}}, "RHEL 9.5"},
	{Pair{Version{10, 10, 0}, Version{9, 1, 0}}, "RHEL 9.6"},
	{Pair{Version{11, 3, 0}, Version{10, 0, 0}}, "Debian 13"},
	{Pair{Version{12, 8, 0}, Version{11, 1, 0}}, "Debian testing, and backports for 13"},
}

// Releases returns the pairs from which [Pair.Complete] takes a missing QEMU,
// ordered by libvirt's version.
func Releases() []Release { return slices.Clone(releases) }

// Complete returns the pair with a QEMU: its own, or the QEMU of the newest
// distribution whose libvirt is not newer (docs/prediction.md has the list),
// or of the first one.
func (p Pair) Complete() Pair {
	if p.QEMU.Known() {
		return p
	}
	p.QEMU = releases[0].QEMU
	for _, r := range releases {
		if !p.Libvirt.Before(r.Libvirt) {
			p.QEMU = r.QEMU
		}
	}
	return p
}

// Does reports whether a fact holds for a pair, and whether that is known.
func (p Pair) Does(f Fact) (does, known bool) {
	version := p.Libvirt
	if f.OfQEMU {
		version = p.Complete().QEMU
	}
	return f.Holds(version), !f.undecided(version)
}
