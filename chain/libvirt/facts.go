package libvirt

import "slices"

// Fact is a behaviour that libvirt, or the QEMU that it runs, has since some
// version. [Facts] lists them all.
type Fact struct {
	// What describes it, as the rest of a sentence that begins with "libvirt":
	// "probes ...".
	What string
	// Since is the first version with the behaviour; the zero Version means all.
	// Until is the first later version without it; the zero Version means none.
	Since, Until Version
	// NotYet is the last version known not to have the behaviour, if the first
	// version with it is unknown: Since is then the first known to have it, and
	// the versions between the two are undecided. Otherwise NotYet is the zero
	// Version.
	NotYet Version
	// Stable is the release of an older stable series X.Y to which it was
	// backported: this and later releases of X.Y have it too. The zero Version
	// means none.
	Stable Version
	// OfQEMU says that it is a behaviour of QEMU: all versions are QEMU's.
	OfQEMU bool
	// Detection says that it changes which chain libvirt detects if the XML
	// states none.
	Detection bool
	// Known is the source of this knowledge: the release notes, the source code,
	// or a run.
	Known string
}

// Holds reports whether a version is known to have the behaviour.
func (f Fact) Holds(v Version) bool {
	return f.inStable(v) || !v.Before(f.Since) && (!f.Until.Known() || v.Before(f.Until))
}

// undecided reports whether it is unknown if a version has the behaviour.
func (f Fact) undecided(v Version) bool {
	return f.NotYet.Known() && f.NotYet.Before(v) && v.Before(f.Since) && !f.inStable(v)
}

func (f Fact) inStable(v Version) bool {
	return f.Stable.Known() && v.Major == f.Stable.Major && v.Minor == f.Stable.Minor && v.Release >= f.Stable.Release
}

// Oldest is the libvirt for which XML is written if the target is unknown: the
// first that allows every kind of image in an explicit chain (libvirt's
// release notes, 6.1.0).
var Oldest = Version{Major: 6, Minor: 1}

// Newest is the newest libvirt with which the facts were compared, by tests that
// run guests. A newer one is treated like this one.
var Newest = Version{Major: 12, Minor: 9}

// DeepestNested is the maximum number of layers of a chain with
// [NestingIsBounded], not counting a raw one at its end, which QEMU describes
// in fewer levels (release notes of 12.0.0: "more than ~25"; run on 11.3: 25
// start, 26 do not).
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
	// (backingStoreInput in formatdomaincaps.rst), and QEMU got -drive, followed
	// the headers and probed by itself.
	ExplicitChains = Fact{What: "uses the explicit chain of the XML and passes every format to QEMU; earlier ones ignore that chain, and QEMU follows the headers itself and probes unrecorded formats",
		Since: Version{5, 10, 0}, Known: documented}
	// UnrecordedIsRaw: libvirt tells QEMU that an image with an unrecorded format
	// is raw.
	UnrecordedIsRaw = Fact{What: "opens an image with an unrecorded format as raw",
		Until: Version{6, 0, 0}, Detection: true, Known: released}
	// UnrecordedIsRefused: libvirt refuses such an image. Later it probes, and
	// accepts the image if it names no backing image.
	UnrecordedIsRefused = Fact{What: "refuses such an image; later ones probe it, and accept it if it names no backing image (a VHDX, a VMDK descriptor and others that libvirt does not know are then raw, and `misopen`)",
		Since: Version{6, 0, 0}, Until: Oldest, Detection: true, Known: released}
	// BackingVolumes: a <backingStore> may be a volume. The top may be one since
	// 1.0.5.
	BackingVolumes = Fact{What: "accepts a volume as a backing image", Since: Oldest, Known: released}
	// UnknownFormatIsRaw: a recorded format that libvirt does not know means raw.
	// Earlier ones treat it as unrecorded.
	UnknownFormatIsRaw = Fact{What: "opens an image as raw if it does not know the recorded format; earlier ones treat that as unrecorded",
		Since: Version{9, 10, 0}, Detection: true, Known: released}
	// DataStores: libvirt reads <dataStore>, and detects the data files of images
	// whose headers it reads. An older one silently ignores the element (run on
	// 9.0).
	DataStores = Fact{What: "understands <dataStore>, and detects the data files of images whose headers it reads, with relative names resolved from the image's folder; before, QEMU resolves them from its own working directory",
		Since: Version{10, 10, 0}, Detection: true, Known: released + ", " + run}
	// NestingIsBounded: because of a limit of the JSON library.
	NestingIsBounded = Fact{What: "cannot start a guest on a chain of more than about 25 layers",
		Since: Version{10, 8, 0}, Until: Version{12, 0, 0}, Known: released + ", " + run}
	// TakesOddJSON: because the JSON library is json-c.
	TakesOddJSON = Fact{What: "accepts a `json:` name that has an option twice, or NaN as a number; QEMU and earlier ones refuse it",
		Since: NestingIsBounded.Since, Detection: true, Known: released + ", " + run}
	// FirmwareFormats: a <loader> and an <nvram> have a format (9.0, 11.3 and 12.9
	// run).
	FirmwareFormats = Fact{What: "uses the format of a <loader> and an <nvram>, and tells QEMU that such an image has no backing image; earlier ones open the file as raw",
		Since: Version{9, 2, 0}, Known: released + ", " + run}
	// TPMSources: the state of an emulated TPM may be in a file of any name,
	// which swtpm reads and writes unchanged (schemas of 9.0 and 11.3).
	TPMSources = Fact{What: "uses the <source> of an emulated TPM; earlier ones ignore it",
		NotYet: Version{9, 0, 0}, Since: Version{11, 3, 0}, Known: read}
	// DropsBelowRaw: an explicit chain may continue after a raw image.
	DropsBelowRaw = Fact{What: "starts a guest with an explicit chain that continues after a raw image: QEMU opens that backing image, but the guest never sees it; earlier ones refuse such a chain",
		NotYet: Version{9, 0, 0}, Since: Version{11, 3, 0}, Detection: true, Known: run}
	// Slices: of a file or device.
	Slices = Fact{What: "uses the <slice> of a file; earlier ones use the whole file", Since: Oldest, Known: documented}
	// RefusesLeftovers and DeletesLeftovers: of transient disks.
	RefusesLeftovers = Fact{What: "does not start a guest if the overlay of a transient disk already exists",
		NotYet: Version{7, 0, 0}, Since: Version{9, 0, 0}, Known: run}
	DeletesLeftovers = Fact{What: "deletes that overlay, and starts the guest",
		NotYet: Version{9, 0, 0}, Since: Version{11, 3, 0}, Known: run}
	// RBDNamespaces: in a name with two slashes, in the XML or after "rbd:".
	// libvirt drops one in JSON in every version (run on 9.0, 11.3 and 12.9).
	RBDNamespaces = Fact{What: "reads a namespace in pool/namespace/image, the name of an rbd image; earlier ones look for an image with the name namespace/image in the pool",
		Since: Version{11, 6, 0}, Detection: true, Known: released + ", " + run}
	// PadsExtensions: see image.LibvirtView (libvirt's commit 8e0a364632).
	PadsExtensions = Fact{What: "pads the extensions of a qcow2 header to multiples of 8 bytes; earlier ones do not find what follows an extension of another length, such as a data file after a recorded `raw` or `qcow2`",
		NotYet: Version{11, 3, 0}, Since: Version{12, 8, 0}, Detection: true, Known: read + ", " + run}
	// RefusesProbedDataFile: QEMU would open any file that the header names.
	RefusesProbedDataFile = Fact{What: "refuses an image with a probed format if it names an external data file; earlier ones start the guest, and QEMU opens that file",
		NotYet: Version{11, 3, 0}, Since: Version{12, 8, 0}, Detection: true, Known: run}
	// CountsLayers: libvirt detects a loop by the number of layers, earlier ones
	// by their names. Only the messages differ, not the outcome.
	CountsLayers = Fact{What: "calls a chain that contains an image twice, or is too deep, `self-referential or too deeply nested`; earlier ones have another message for each",
		NotYet: Version{7, 0, 0}, Since: Version{9, 0, 0}, Known: run}
	// HasEngines: encryption engines.
	HasEngines = Fact{What: "refuses a LUKS image that it detects with `Unexpected enum value 0 for virStorageEncryptionEngine`; earlier ones with `missing secret info for 'luks' driver`, also an image that the XML states to be raw, if the chain has no end, and optional disks",
		NotYet: Version{7, 0, 0}, Since: Version{9, 0, 0}, Known: run}
	// NeedsQEMU72: libvirt does not run an older QEMU at all.
	NeedsQEMU72 = Fact{What: "does not run QEMU before 7.2", Since: Version{12, 4, 0}, Known: released}
	// RefusesTFTP: in every version that was run.
	RefusesTFTP = Fact{What: "refuses an image on a tftp server", Known: run}
)

// facts are those of libvirt, without the features.
var facts = []*Fact{&ExplicitChains, &UnrecordedIsRaw, &UnrecordedIsRefused, &BackingVolumes, &Slices,
	&CountsLayers, &HasEngines, &RefusesLeftovers, &FirmwareFormats, &UnknownFormatIsRaw, &NestingIsBounded, &TakesOddJSON, &DataStores, &DeletesLeftovers,
	&DropsBelowRaw, &TPMSources,
	&RBDNamespaces, &PadsExtensions, &RefusesProbedDataFile, &NeedsQEMU72, &RefusesTFTP}

// Facts returns every fact that is not a feature of a storage source: those of
// libvirt by version, then those of QEMU.
func Facts() []Fact {
	var all []Fact
	for _, f := range slices.Concat(facts, qemuFacts) {
		all = append(all, *f)
	}
	return all
}

// firstUndecided returns the first undecided version; the zero Version means
// none.
func (f Fact) firstUndecided() Version {
	if !f.NotYet.Known() {
		return Version{}
	}
	return Version{f.NotYet.Major, f.NotYet.Minor, f.NotYet.Release + 1}
}

// Detectors returns the first version for each way in which a libvirt since
// [Oldest] detects, or may detect, a chain.
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
