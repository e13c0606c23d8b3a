package libvirt

import "slices"

// Fact is something that libvirt, or the QEMU that it runs, does from one version
// on. Every one stands in the list that [Facts] returns.
type Fact struct {
	// What says what it is, for people, as the rest of a sentence that begins
	// with "libvirt": "probes ...".
	What string
	// Since is the first version of which it is true; the zero Version is the
	// first of all. Until is the first of which it is not true any more; the
	// zero Version if there is none.
	Since, Until Version
	// NotYet is the last version that is known not to do it, if the first that
	// does is not known: Since is then the first that is known to do it, and
	// of those between the two nothing is known. Else it is the zero Version.
	NotYet Version
	// Stable is the release of an older stable series, X.Y, to which it was
	// brought back: that and later ones of X.Y do it too. It is the zero
	// Version if there is none.
	Stable Version
	// OfQEMU says that it is QEMU that does it: all versions are QEMU's.
	OfQEMU bool
	// Detection says that it decides which chain libvirt detects by itself where
	// the XML states none.
	Detection bool
	// Known says how that is known: the release notes, the source, or a run.
	Known string
}

// Holds reports whether it is known to be true of a version.
func (f Fact) Holds(v Version) bool {
	return f.inStable(v) || !v.Before(f.Since) && (!f.Until.Known() || v.Before(f.Until))
}

// undecided reports whether nobody knows if it is true of a version.
func (f Fact) undecided(v Version) bool {
	return f.NotYet.Known() && f.NotYet.Before(v) && v.Before(f.Since) && !f.inStable(v)
}

func (f Fact) inStable(v Version) bool {
	return f.Stable.Known() && v.Major == f.Stable.Major && v.Minor == f.Stable.Minor && v.Release >= f.Stable.Release
}

// Oldest is the libvirt for which the XML of an unknown one is written: the first
// that lets the images of an explicit chain be of every kind (libvirt's release
// notes, 6.1.0).
var Oldest = Version{Major: 6, Minor: 1}

// Newest is the newest libvirt that the facts are compared with, by the tests that run
// guests. A newer one is taken to do as this one does.
var Newest = Version{Major: 12, Minor: 9}

// DeepestNested is how many layers a chain may have where [NestingIsBounded], a raw
// one at its end not counted, of which QEMU says less (release notes of 12.0.0:
// "more than ~25"; run on 11.3: 25 start, 26 do not).
const DeepestNested = 25

const (
	documented = "documentation"
	released   = "release notes"
	read       = "source"
	run        = "run"
)

// What libvirt does with the chain of a disk.
var (
	// ExplicitChains: before it, explicit chains were output only
	// (backingStoreInput in formatdomaincaps.rst), and QEMU got -drive, and
	// followed and probed by itself.
	ExplicitChains = Fact{What: "takes the explicit chain of the XML and tells QEMU every format; before, it ignores that chain, and QEMU follows the headers itself and probes what they do not record",
		Since: Version{5, 10, 0}, Known: documented}
	// UnrecordedIsRaw: an image whose format its overlay does not record is raw
	// to QEMU.
	UnrecordedIsRaw = Fact{What: "takes an image as raw whose format its overlay does not record",
		Until: Version{6, 0, 0}, Detection: true, Known: released}
	// UnrecordedIsRefused: it refuses such an image. From then on it probes, and
	// goes on if the image names no backing image.
	UnrecordedIsRefused = Fact{What: "refuses such an image; later it probes it, and accepts it if it names no backing image (a VHDX, a VMDK descriptor and others that libvirt does not know are then raw, and `misopen`)",
		Since: Version{6, 0, 0}, Until: Oldest, Detection: true, Known: released}
	// BackingVolumes: a <backingStore> may be a volume. At the top that is as old
	// as 1.0.5.
	BackingVolumes = Fact{What: "takes a volume as a backing image", Since: Oldest, Known: released}
	// UnknownFormatIsRaw: a recorded format that libvirt does not know is raw.
	// Before, it is as good as none.
	UnknownFormatIsRaw = Fact{What: "takes an image as raw whose recorded format it does not know; before, that is as good as no record",
		Since: Version{9, 10, 0}, Detection: true, Known: released}
	// DataStores: it reads <dataStore>, and of images that it walks finds data
	// files by itself. An older one ignores the element without a word (run on
	// 9.0).
	DataStores = Fact{What: "understands <dataStore>, and finds the data files of images that it walks, relative names from the image's folder; before, QEMU looks for them from its own",
		Since: Version{10, 10, 0}, Detection: true, Known: released + ", " + run}
	// NestingIsBounded: because of a bound of the JSON library.
	NestingIsBounded = Fact{What: "cannot start a guest on a chain of more than about 25 layers",
		Since: Version{10, 8, 0}, Until: Version{12, 0, 0}, Known: released + ", " + run}
	// TakesOddJSON: since the JSON library is json-c.
	TakesOddJSON = Fact{What: "takes a `json:` name that gives an option twice, or NaN for a number; QEMU, and libvirt before, refuse it",
		Since: NestingIsBounded.Since, Detection: true, Known: released + ", " + run}
	// FirmwareFormats: a <loader> and an <nvram> have a format (9.0, 11.3 and 12.9
	// run).
	FirmwareFormats = Fact{What: "takes the format of a <loader> and an <nvram>, and tells QEMU that such an image has no backing image; before, it opens the file as raw",
		Since: Version{9, 2, 0}, Known: released + ", " + run}
	// TPMSources: the state of an emulated TPM may be in a file of any name, which
	// swtpm reads and writes as it is (schemas of 9.0 and 11.3).
	TPMSources = Fact{What: "takes the <source> of an emulated TPM; before, it ignores it",
		NotYet: Version{9, 0, 0}, Since: Version{11, 3, 0}, Known: read}
	// DropsBelowRaw: an explicit chain may go on below a raw image.
	DropsBelowRaw = Fact{What: "starts with an explicit chain that goes on below a raw image, and QEMU opens what is there, of which the guest sees nothing; before, it refuses that",
		NotYet: Version{9, 0, 0}, Since: Version{11, 3, 0}, Detection: true, Known: run}
	// Slices: of a file or device.
	Slices = Fact{What: "takes the part that a <slice> says; before, it takes the whole", Since: Oldest, Known: documented}
	// RefusesLeftovers and DeletesLeftovers: of transient disks.
	RefusesLeftovers = Fact{What: "does not start a guest if the overlay of a transient disk is there already",
		NotYet: Version{7, 0, 0}, Since: Version{9, 0, 0}, Known: run}
	DeletesLeftovers = Fact{What: "deletes that overlay, and starts the guest",
		NotYet: Version{9, 0, 0}, Since: Version{11, 3, 0}, Known: run}
	// RBDNamespaces: in a name with two slashes, of the XML or after "rbd:". It
	// drops that of JSON in every version (run on 9.0, 11.3 and 12.9).
	RBDNamespaces = Fact{What: "reads pool/namespace/image, the name of an rbd image, so; before, it asks the pool for an image of the name namespace/image",
		Since: Version{11, 6, 0}, Detection: true, Known: released + ", " + run}
	// PadsExtensions: see image.LibvirtView (libvirt's commit 8e0a364632).
	PadsExtensions = Fact{What: "fills the extensions of a qcow2 header up to multiples of 8 bytes; before, what stands behind one of another length it does not find, such as a data file behind a recorded `raw` or `qcow2`",
		NotYet: Version{11, 3, 0}, Since: Version{12, 8, 0}, Detection: true, Known: read + ", " + run}
	// RefusesProbedDataFile: QEMU would open whatever that names.
	RefusesProbedDataFile = Fact{What: "refuses an image whose format it has probed, if that names an external data file; before, it starts the guest, and QEMU opens that file",
		NotYet: Version{11, 3, 0}, Since: Version{12, 8, 0}, Detection: true, Known: run}
	// CountsLayers: it tells a loop from the number of layers. Before, it
	// remembers their names. These are other words, and no other outcome.
	CountsLayers = Fact{What: "calls a chain that comes back to an image, or is too deep, `self-referential or too deeply nested`; before, it has other words for each",
		NotYet: Version{7, 0, 0}, Since: Version{9, 0, 0}, Known: run}
	// HasEngines: of encryption.
	HasEngines = Fact{What: "refuses a LUKS image that it finds with `Unexpected enum value 0 for virStorageEncryptionEngine`; before, with `missing secret info for 'luks' driver`, also one that the XML states to be raw, if the chain has no end, and optional disks",
		NotYet: Version{7, 0, 0}, Since: Version{9, 0, 0}, Known: run}
	// NeedsQEMU72: an older QEMU it does not run at all.
	NeedsQEMU72 = Fact{What: "runs no QEMU before 7.2", Since: Version{12, 4, 0}, Known: released}
	// RefusesTFTP: in every version that was run.
	RefusesTFTP = Fact{What: "refuses an image on a tftp server", Known: run}
)

// facts are those of libvirt, but for the features.
var facts = []*Fact{&ExplicitChains, &UnrecordedIsRaw, &UnrecordedIsRefused, &BackingVolumes, &Slices,
	&CountsLayers, &HasEngines, &RefusesLeftovers, &FirmwareFormats, &UnknownFormatIsRaw, &NestingIsBounded, &TakesOddJSON, &DataStores, &DeletesLeftovers,
	&DropsBelowRaw, &TPMSources,
	&RBDNamespaces, &PadsExtensions, &RefusesProbedDataFile, &NeedsQEMU72, &RefusesTFTP}

// Facts returns every fact that is no feature of a storage source: those of libvirt
// by version, then those of QEMU.
func Facts() []Fact {
	var all []Fact
	for _, f := range slices.Concat(facts, qemuFacts) {
		all = append(all, *f)
	}
	return all
}

// firstUndecided is the first version of which it is not known whether it is true;
// the zero Version if there is none.
func (f Fact) firstUndecided() Version {
	if !f.NotYet.Known() {
		return Version{}
	}
	return Version{f.NotYet.Major, f.NotYet.Minor, f.NotYet.Release + 1}
}

// Detectors returns, for each way of detecting a chain that a libvirt since
// [Oldest] has, or may have, the first version of it.
func Detectors() []Version {
	all := []Version{Oldest}
	for _, f := range facts {
		for _, v := range []Version{f.Since, f.Until, f.firstUndecided()} {
			if f.Detection && Oldest.Before(v) {
				all = append(all, v)
			}
		}
	}
	slices.SortFunc(all, Version.Compare)
	return slices.Compact(all)
}
