package probe_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/probe"
)

// differences are the ways in which Read differs from qemu-img info on purpose.
// Anything else is an error in one of them.
var differences = []struct {
	name string
	why  string
	drop func(c *comparison) bool
}{
	{"vpc of a creator that QEMU does not know",
		"Read takes the size from the field that QEMU has taken it from since 10.0. Until then it was the geometry, as it still is for Virtual PC.",
		func(c *comparison) bool {
			image := byVirtualPC(c.image)
			if c.format != probe.VPC || image == nil {
				return false
			}
			header, err := probe.Read(bytes.NewReader(image), int64(len(image)), c.format)
			if reflect.DeepEqual(header, c.header) && fmt.Sprint(err) == fmt.Sprint(c.err) {
				return false
			}
			c.image, c.header, c.err = image, header, err
			c.setOurs()
			return true
		}},
	{"truncated",
		"QEMU reads zeros behind the end of a file, so to it an image that ends inside its header is just odd. " +
			"With those zeros added, both must say the same.",
		func(c *comparison) bool {
			if !errors.Is(c.err, probe.ErrTruncated) || c.theirs == nil {
				return false
			}
			if c.format == probe.VMDK && vmdkStreamed(c.image) {
				// Its header stands at the end, where the zeros would be.
				return c.refusedFor(probe.ErrTruncated, "gdOffset", "") || c.refusedFor(probe.ErrTruncated, "rgdOffset", "")
			}
			size := int64(1<<63 - 1)
			if c.format == probe.DMG {
				// Its trailer stands at the end: QEMU adds no more than to
				// a whole sector.
				size = int64(len(c.image)+511) &^ 511
			}
			c.header, c.err = probe.Read(padded(c.image), size, c.format)
			c.setOurs()
			return true
		}},
	{"backing name in the header",
		"QEMU takes header fields for a name, and libvirt may see extensions that QEMU does not.",
		func(c *comparison) bool {
			return c.refusedFor(probe.ErrCorrupt, "backing_file_offset", "inside the header") ||
				c.refusedFor(probe.ErrCorrupt, "backing_filename_offset", "inside the header")
		}},
	{"extension twice",
		"The specification allows each type once. QEMU takes the last one; what other programs take is theirs to say.",
		func(c *comparison) bool { return c.refusedFor(probe.ErrCorrupt, "header extension", "a second one") }},
	{"raw data file without data file",
		"QEMU refuses when it opens data files, which qemu-img info does not (see TestDataFilesThatQEMUOpens).",
		func(c *comparison) bool { return c.refusedFor(probe.ErrCorrupt, "autoclear_features", "") }},
	{"very long data file name",
		"No file has a name longer than PATH_MAX, so that opening it would fail.",
		func(c *comparison) bool { return c.refusedFor(probe.ErrLimit, "external data file name", "") }},
	{"unused data file name",
		"Without the feature bit QEMU does not use the name, but qemu-img info shows it.",
		func(c *comparison) bool {
			const incompatible = 72
			if c.ours == nil || c.theirs == nil || c.header.DataFile != nil || c.theirs.FormatSpecific.Data.DataFile == nil ||
				c.header.Version == 3 && binary.BigEndian.Uint64(c.image[incompatible:])&4 != 0 {
				return false
			}
			c.theirs.FormatSpecific.Data.DataFile = nil
			return true
		}},
	{"backing name of nothing",
		"A name that is there and starts with a NUL is no backing image to QEMU. Read shows the empty name, because a header that says two things is worth a look.",
		func(c *comparison) bool {
			if c.ours == nil || c.theirs == nil || c.theirs.Backing != nil || c.ours.Backing == nil || *c.ours.Backing != "" {
				return false
			}
			c.ours.Backing, c.ours.BackingFormat = nil, ""
			return true
		}},
	{"qed that needs a check",
		"qemu-img info never shows the flag of a qed image that it opens for reading only.",
		func(c *comparison) bool {
			if c.format != probe.QED || c.ours == nil || c.theirs == nil || !c.ours.Dirty {
				return false
			}
			c.ours.Dirty = false
			return true
		}},
	{"qed of 2^63 bytes",
		"QEMU's own count of the bytes overflows, and its guest would see an empty disk.",
		func(c *comparison) bool {
			const imageSize = 48
			return len(c.image) > imageSize+8 && binary.LittleEndian.Uint64(c.image[imageSize:]) == 1<<63 &&
				c.refusedFor(probe.ErrCorrupt, "image_size", "")
		}},
	{"LUKS header",
		"Read checks where the LUKS header of an encrypted qcow2 image is, not what it says.",
		func(c *comparison) bool {
			return c.header != nil && c.header.Encryption == probe.LUKSEnc &&
				(c.refusedByQEMU("LUKS") || c.refusedByQEMU("encryption") || c.refusedByQEMU("outside of extension header"))
		}},
	{"bitmap directory",
		"Read checks where the bitmap directory is, not what it says.",
		func(c *comparison) bool { return c.refusedByQEMU("itmap") }},
	{"snapshot table",
		"Read checks where the snapshot table is, not what it says.",
		func(c *comparison) bool { return c.refusedByQEMU("napshot") }},
	{"grain size",
		"VMware's specification wants a power of two, and QEMU computes as if it were one. It divides by what a COWD image makes of it.",
		func(c *comparison) bool { return c.refusedFor(probe.ErrCorrupt, "grainSize", "no power of two") }},
	{"offset that wraps around",
		"QEMU multiplies the sector by 512 in 64 bits.",
		func(c *comparison) bool {
			return c.refusedFor(probe.ErrCorrupt, "gdOffset", "out of range") || c.refusedFor(probe.ErrCorrupt, "rgdOffset", "out of range") ||
				c.refusedFor(probe.ErrCorrupt, "descriptorOffset", "out of range")
		}},
	{"grain directory that wraps around",
		"QEMU counts the entries of an immense disk in 32 bits, and its guest could not read most of it.",
		func(c *comparison) bool { return c.refusedFor(probe.ErrCorrupt, "capacity", "grain directory") }},
	{"sparse extents",
		"QEMU opens the extents that a descriptor names and takes sizes from their own headers. Read opens nothing: it has the sizes that the descriptor says, and no size of grains.",
		func(c *comparison) bool {
			if c.ours == nil || c.theirs == nil || !slices.ContainsFunc(c.theirs.FormatSpecific.Data.Extents, func(e extentInfo) bool {
				return strings.HasSuffix(e.Format, "SPARSE")
			}) {
				return false
			}
			c.theirs.ClusterSize, c.theirs.VirtualSize = c.ours.ClusterSize, c.ours.VirtualSize
			return true
		}},
	{"extent that QEMU cannot open",
		"Read opens nothing.",
		func(c *comparison) bool {
			return c.header != nil && len(c.header.Extents) > 0 && (c.refusedByQEMU("Could not open") || c.refusedByQEMU("Unknown protocol"))
		}},
	{"differencing vdi",
		"QEMU refuses it. Read shows that there is a parent, so that whoever calls can say what is wrong.",
		func(c *comparison) bool {
			return c.header != nil && c.header.Parent != nil && c.refusedByQEMU("UUID")
		}},
	{"vdi of unknown type",
		"QEMU does not look at the type.",
		func(c *comparison) bool { return c.refusedFor(probe.ErrUnsupported, "u32Type", "") }},
	{"vpc of another type",
		"QEMU takes whatever has a copy of the footer in front for dynamic. A fixed image has none, so that its guest may have written it.",
		func(c *comparison) bool { return c.refusedFor(probe.ErrCorrupt, "Disk Type", "with a copy") }},
	{"vpc blocks of 2 GiB",
		"To QEMU the size of such a block is negative.",
		func(c *comparison) bool {
			return c.theirs != nil && c.theirs.ClusterSize < 0 && c.refusedFor(probe.ErrCorrupt, "Block Size", "")
		}},
	{"block allocation table",
		"Read checks where the table is, not what it says.",
		func(c *comparison) bool { return c.format == probe.VPC && c.refusedByQEMU("truncated") }},
	{"vhdx log",
		"QEMU searches a log that is in use, refuses to open the image for reading if there is an entry in it, and shows no mark if there is none.",
		func(c *comparison) bool {
			if c.format != probe.VHDX || c.ours == nil || !c.ours.Dirty {
				return false
			}
			if c.theirs != nil {
				c.ours.Dirty = false
				return true
			}
			return c.refusedByQEMU("a log that needs to be replayed")
		}},
	{"vhdx with a parent",
		"QEMU refuses it. Read shows the parent, so that whoever calls can say what is wrong.",
		func(c *comparison) bool {
			return c.format == probe.VHDX && c.header != nil && c.header.Parent != nil && c.refusedByQEMU("Operation not supported")
		}},
	{"vhdx of more than 64 TiB",
		"The specification's bound. QEMU has none, but counts the blocks in 32 bits.",
		func(c *comparison) bool { return c.refusedFor(probe.ErrCorrupt, "VirtualDiskSize", "64 TiB") }},
	{"vhdx with a large BAT",
		"Read reads 2 MiB of an image, which is a quarter of a million blocks.",
		func(c *comparison) bool { return c.refusedFor(probe.ErrLimit, "BAT", "") }},
	{"parallels in use",
		"qemu-img info never shows the mark.",
		func(c *comparison) bool {
			if c.format != probe.Parallels || c.ours == nil || c.theirs == nil || !c.ours.Dirty {
				return false
			}
			c.ours.Dirty = false
			return true
		}},
	{"parallels format extension",
		"QEMU reads it, and refuses what it does not know, only if it opens the image for reading. Read checks where it is.",
		func(c *comparison) bool {
			return c.format == probe.Parallels && extensionOffset(c.image) != 0 && c.refusedByQEMU("")
		}},
	{"parallels extension out of range",
		"QEMU shifts the sector into a signed number of bytes, and crashes or reads elsewhere.",
		func(c *comparison) bool { return c.refusedFor(probe.ErrCorrupt, "ext_off", "") }},
	{"luks key material that wraps around",
		"QEMU adds sectors in 32 bits. The material would be beyond 2 TiB, and the payload in front of it.",
		func(c *comparison) bool {
			var e *probe.Error
			return errors.As(c.err, &e) && strings.HasSuffix(e.Field, "key-material-offset") && c.refusedFor(probe.ErrCorrupt, e.Field, "reach into the payload")
		}},
	{"cloop magic",
		"QEMU asks for it only when it probes, and opens whatever it was told is a cloop.",
		func(c *comparison) bool {
			return c.format == probe.Cloop && c.refusedFor(probe.ErrSignature, "magic", "")
		}},
	{"cloop of 2 TiB",
		"QEMU counts the sectors in 32 bits and shows the guest what is left of the number.",
		func(c *comparison) bool { return c.refusedFor(probe.ErrCorrupt, "num_blocks", "2 TiB") }},
	{"cloop with very many blocks",
		"Read reads 2 MiB of an image, which is a quarter of a million blocks.",
		func(c *comparison) bool {
			return c.format == probe.Cloop && c.refusedFor(probe.ErrLimit, "offsets", "")
		}},
	{"dmg chunks",
		"Read checks where the tables of chunks are, not what they say.",
		func(c *comparison) bool { return c.format == probe.DMG && c.refusedByQEMU("") }},
	{"iso mark",
		"QEMU has no driver, and so no mark to ask for.",
		func(c *comparison) bool { return c.refusedFor(probe.ErrSignature, "Standard Identifier", "") }},
}

// extensionOffset is a Parallels image's ext_off, in sectors.
func extensionOffset(image []byte) uint64 {
	return binary.LittleEndian.Uint64(apply(bytes.Clone(image[:min(64, len(image))]), end(64))[56:])
}

// settled are the differences that newer versions of QEMU do not show, with the first
// major version that does as Read does.
var settled = map[string]int{"vpc of a creator that QEMU does not know": 10}

// differsHere reports whether the installed qemu-img may show a difference.
func differsHere(name string) bool {
	until, ok := settled[name]
	return !ok || qemuMajor() < until
}

// byVirtualPC returns a vpc image whose creator no QEMU before 10.0 knows as if
// Virtual PC had made it, of which every QEMU takes the geometry; nil for any
// other image. The checksum stays as right or wrong as it was.
func byVirtualPC(image []byte) []byte {
	at := vpcFooter(image)
	if at < 0 || at+68 > len(image) || slices.Contains([]string{"vpc ", "qemu", "win ", "qem2", "d2v ", "CTXS", "tap\x00"}, string(image[at+28:at+32])) {
		return nil
	}
	image = bytes.Clone(image)
	sum := binary.BigEndian.Uint32(image[at+64:])
	for i, c := range []byte("vpc ") {
		sum += uint32(image[at+28+i]) - uint32(c)
		image[at+28+i] = c
	}
	binary.BigEndian.PutUint32(image[at+64:], sum)
	return image
}
