package chain

import (
	"cmp"
	"math"

	"github.com/chainfix/chainfix/probe"
)

// unrecorded is what a libvirt does with a backing image whose format its
// overlay does not record.
type unrecorded int

const (
	// probesLeaf: it probes, and goes on if the image names no backing image
	// (6.1).
	probesLeaf unrecorded = iota
	// refusesAll: it refuses it (6.0).
	refusesAll
	// takesRaw: it tells QEMU that it is raw (5.10, where -blockdev and with
	// it the explicit formats began).
	takesRaw
)

// rules are what differs between the versions of libvirt. The history is in
// its release notes; what was read is 9.0 and 11.3.
type rules struct {
	// drive: before 5.10 QEMU gets -drive, and follows and probes by itself.
	// libvirt then ignores the explicit chain of the XML.
	drive      bool
	unrecorded unrecorded
	// unknownIsRaw: a recorded format that libvirt does not know is raw
	// (9.10). Before it is as good as none.
	unknownIsRaw bool
	// dataStore: libvirt reads <dataStore>, and of images that it walks finds
	// data files by itself (10.10).
	dataStore bool
	// dropsBelowRaw: an explicit chain may go on below a raw image; 9.0
	// refuses that, 11.3 drops what is there. Where between them this changed
	// is not known.
	dropsBelowRaw bool
	// deepest is how many layers a chain may have besides libvirt's own
	// bound of 200: from 10.8 to 11.10 about 25, because of a bound of the
	// JSON library.
	deepest int
}

func rulesOf(v Version) rules {
	r := rules{
		drive:         v.Before(explicitSince),
		unknownIsRaw:  !v.Before(Version{9, 10, 0}),
		dataStore:     !v.Before(dataStoreSince),
		dropsBelowRaw: !v.Before(Version{11, 3, 0}),
		deepest:       math.MaxInt,
		unrecorded:    probesLeaf,
	}
	switch {
	case v.Before(Version{6, 0, 0}):
		r.unrecorded = takesRaw
	case v.Before(Version{6, 1, 0}):
		r.unrecorded = refusesAll
	}
	if !v.Before(deepBroken) && v.Before(deepAgain) {
		r.deepest = deepLayers
	}
	return r
}

// word is what libvirt makes of an overlay's word on the format of its
// backing image.
type word struct {
	format probe.Format // ""  if it takes it for unrecorded
	// fallback: it takes the image as raw because it does not know the word.
	fallback bool
	// safe: of a qed overlay, whose backing image libvirt probes and follows,
	// whatever it names.
	safe bool
	// refusal is why it refuses the image; "" if it does not.
	refusal string
	record  record // what it is worth to others
}

// meant is the format that the word speaks for; "" for none.
func (w word) meant() probe.Format { return cmp.Or(w.record.format, w.record.meant) }

// reads returns what libvirt makes of the reference in the header of an
// overlay of format f.
func (r rules) reads(f probe.Format, ref *probe.Reference, s libvirtView) word {
	rec := readRecord(ref)
	switch {
	case f == probe.QED && ref.FormatRecorded:
		return word{format: probe.Raw, record: rec}
	case f == probe.QED:
		return word{safe: true}
	case f != probe.Qcow2:
		// Of a vmdk parent QEMU knows that it is vmdk, libvirt does not.
		return word{record: rec}
	case !s.recorded:
		return word{record: rec}
	}
	switch s.record {
	case "iso": // after all raw
		return word{format: probe.Raw, fallback: true, record: record{disputed: rec.disputed, meant: probe.Raw}}
	case "cow":
		return word{refusal: "'cow' storage format is not supported"}
	case "dir":
		return word{refusal: "'directory' storage format is not directly supported by QEMU, use 'dir' disk type instead"}
	case "fat":
		return word{refusal: "storage format 'fat' is supported only with 'dir' storage type"}
	case "none":
		if !r.unknownIsRaw {
			return word{refusal: "unknown storage file meta->format 0: Invalid argument"}
		}
	case "aio": // a word for <driver> only
	default:
		if known, ok := probe.FromLibvirt(s.record); ok {
			return word{format: known, record: rec}
		}
	}
	if r.unknownIsRaw {
		return word{format: probe.Raw, fallback: true, record: rec}
	}
	return word{record: rec}
}
