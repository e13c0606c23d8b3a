package libvirt

import "slices"

// Fact is something that libvirt does from one version on. Every one stands in the
// list that [Facts] returns.
type Fact struct {
	// What says what it is, for people: "probes ...".
	What string
	// Since is the first version of which it is true; the zero Version is the
	// first of all. Until is the first of which it is not true any more; the
	// zero Version if there is none.
	Since, Until Version
	// Detection says that it decides which chain libvirt detects by itself where
	// the XML states none.
	Detection bool
	// Known says how that is known: the release notes, the source, or a run.
	Known string
}

// Holds reports whether it is true of a version.
func (f Fact) Holds(v Version) bool {
	return !v.Before(f.Since) && (!f.Until.Known() || v.Before(f.Until))
}

// Oldest is the libvirt for which the XML of an unknown one is written: the first
// that lets the images of an explicit chain be of every kind (libvirt's release
// notes, 6.1.0).
var Oldest = Version{Major: 6, Minor: 1}

// DeepestNested is how many layers a chain may have where [NestingIsBounded]
// (release notes of 12.0.0: "more than ~25"; run on 11.3: 25 start, 26 do not).
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
		Since: Version{10, 10, 0}, Detection: true, Known: released}
	// NestingIsBounded: because of a bound of the JSON library.
	NestingIsBounded = Fact{What: "cannot start a guest on a chain of more than about 25 layers",
		Since: Version{10, 8, 0}, Until: Version{12, 0, 0}, Known: released}
	// FirmwareFormats: a <loader> and an <nvram> have a format (9.0, 11.3 and 12.9
	// run).
	FirmwareFormats = Fact{What: "takes the format of a <loader> and an <nvram>, and tells QEMU that such an image has no backing image; before, it opens the file as raw",
		Since: Version{9, 2, 0}, Known: released}
	// TPMSources: the state of an emulated TPM may be in a file of any name, which
	// swtpm reads and writes as it is (schemas of 9.0 and 11.3).
	TPMSources = Fact{What: "takes the <source> of an emulated TPM; 9.0 ignores it, and where between the two this changed is not known",
		Since: Version{11, 3, 0}, Known: read}
	// DropsBelowRaw: an explicit chain may go on below a raw image; 9.0 refuses
	// that, 11.3 drops what is there. Where between them this changed is not
	// known.
	DropsBelowRaw = Fact{What: "drops what an explicit chain states below a raw image; 9.0 refuses that, and where between the two this changed is not known",
		Since: Version{11, 3, 0}, Detection: true, Known: run}
)

// facts are all of them, but for the features.
var facts = []*Fact{&ExplicitChains, &UnrecordedIsRaw, &UnrecordedIsRefused, &BackingVolumes,
	&UnknownFormatIsRaw, &DataStores, &NestingIsBounded, &FirmwareFormats, &TPMSources, &DropsBelowRaw}

// Facts returns every fact that is no feature of a storage source, by version.
func Facts() []Fact {
	all := make([]Fact, len(facts))
	for i, f := range facts {
		all[i] = *f
	}
	return all
}

// Detectors returns, for each way of detecting a chain that a libvirt since
// [Oldest] has, the first version that has it.
func Detectors() []Version {
	all := []Version{Oldest}
	for _, f := range facts {
		for _, v := range []Version{f.Since, f.Until} {
			if f.Detection && Oldest.Before(v) {
				all = append(all, v)
			}
		}
	}
	slices.SortFunc(all, Version.Compare)
	return slices.Compact(all)
}
