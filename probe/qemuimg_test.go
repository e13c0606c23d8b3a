package probe_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
)

// info is what "qemu-img info --output=json" says of an image, as far as a
// Header says it too.
type info struct {
	Format         string  `json:"format"`
	VirtualSize    uint64  `json:"virtual-size"`
	ClusterSize    int64   `json:"cluster-size"`
	Backing        *string `json:"backing-filename"`
	BackingFormat  string  `json:"backing-filename-format"`
	Encrypted      bool    `json:"encrypted"`
	Dirty          bool    `json:"dirty-flag"`
	FormatSpecific struct {
		Data struct {
			DataFile    *string `json:"data-file"`
			DataFileRaw bool    `json:"data-file-raw"`
			Corrupt     bool    `json:"corrupt"`

			CreateType string       `json:"create-type"`
			Extents    []extentInfo `json:"extents"`
		} `json:"data"`
	} `json:"format-specific"`
}

// extentInfo is what it says of an extent of a vmdk image.
type extentInfo struct {
	Filename string `json:"filename"`
	Format   string `json:"format"` // the kind of a file that a descriptor names; "" for the image itself
}

// qemuInfo runs qemu-img info, which opens the image and nothing else but the
// extents of a vmdk. The
// info is nil if qemu-img refuses.
func qemuInfo(dir, image string, f probe.Format) (*info, string, error) {
	args := []string{"info", "--output=json"}
	switch f {
	case "":
	case probe.ISO:
		// QEMU has no driver for it, and shows the guest the image as it is.
		args = append(args, "-f", "raw")
	default:
		args = append(args, "-f", string(f))
	}
	out, stderr, err := command(dir, "qemu-img", append(args, image)...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return nil, stderr, nil
	case err != nil:
		return nil, stderr, err
	}
	i := new(info)
	err = json.Unmarshal(out, i)
	if f == probe.ISO {
		i.Format = string(f)
	}
	return i, stderr, err
}

// qemuHasDriver asks qemu-img's help for a format; distributions leave some
// out. ISO is read as raw, and cow is refused by all. Where peers are required,
// a driver that is missing is a failure.
func qemuHasDriver(t testing.TB, f probe.Format) bool {
	if f == probe.ISO || f == probe.COW {
		return true
	}
	help, stderr, err := command("", "qemu-img", "--help")
	if err != nil {
		t.Fatal(err, stderr)
	}
	_, formats, _ := strings.Cut(string(help), "Supported formats:")
	has := slices.Contains(strings.Fields(formats), string(f))
	if !has && peers.Required() {
		t.Errorf("this qemu-img has no driver for %s", f)
	}
	return has
}

func command(dir, program string, args ...string) (stdout []byte, stderr string, err error) {
	var out, messages bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &messages
	err = cmd.Run()
	return out.Bytes(), messages.String(), err
}

// infoOf says in qemu-img's way what h says.
func infoOf(h *probe.Header) *info {
	i := &info{
		Format:      string(h.Format),
		VirtualSize: h.VirtualSize,
		ClusterSize: int64(h.ClusterSize),
		Encrypted:   h.Encryption != probe.Plain,
		Dirty:       h.Dirty,
	}
	if h.Backing != nil {
		i.Backing = &h.Backing.Name
		i.BackingFormat = h.Backing.Format
	}
	if h.DataFile != nil && h.DataFile.Offset >= 0 {
		i.FormatSpecific.Data.DataFile = &h.DataFile.Name
	}
	i.FormatSpecific.Data.DataFileRaw = h.DataFileRaw
	i.FormatSpecific.Data.Corrupt = h.Corrupt
	if h.Format == probe.VMDK {
		i.FormatSpecific.Data.CreateType = h.Subformat
	}
	for _, extent := range h.Extents {
		i.FormatSpecific.Data.Extents = append(i.FormatSpecific.Data.Extents, extentInfo{extent.Name, "extent"})
	}
	return i
}

// printable is i without what JSON cannot carry: qemu-img has U+FFFD for bytes
// that are no UTF-8, in numbers of its own.
func (i *info) printable() *info {
	if i == nil {
		return nil
	}
	plain := func(s string) string {
		return regexp.MustCompile("\uFFFD+").ReplaceAllString(strings.ToValidUTF8(s, "\uFFFD"), "\uFFFD")
	}
	p := *i
	p.BackingFormat = plain(i.BackingFormat)
	if i.Backing != nil {
		s := plain(*i.Backing)
		p.Backing = &s
	}
	if name := i.FormatSpecific.Data.DataFile; name != nil {
		s := plain(*name)
		p.FormatSpecific.Data.DataFile = &s
	}
	p.FormatSpecific.Data.Extents = nil
	for _, extent := range i.FormatSpecific.Data.Extents {
		if extent.Format != "" {
			p.FormatSpecific.Data.Extents = append(p.FormatSpecific.Data.Extents, extentInfo{plain(extent.Filename), "extent"})
		}
	}
	return &p
}

// comparison is one image as both see it.
type comparison struct {
	image  []byte
	format probe.Format
	ours   *info // nil if Read refuses
	err    error // Read's
	header *probe.Header
	theirs *info // nil if qemu-img refuses
	stderr string
}

// compare reads an image that qemuInfo has read.
func compare(t testing.TB, image []byte, f probe.Format, theirs *info, stderr string) *comparison {
	c := &comparison{image: image, format: f, theirs: theirs, stderr: stderr}
	c.header, c.err = read(t, bytes.NewReader(image), int64(len(image)), f)
	c.setOurs()
	return c
}

func (c *comparison) setOurs() {
	c.ours = nil
	if c.header != nil {
		c.ours = infoOf(c.header)
		switch c.format {
		case probe.Parallels, probe.Bochs, probe.Cloop:
			// qemu-img does not show it.
			if c.theirs != nil && c.theirs.ClusterSize == 0 {
				c.ours.ClusterSize = 0
			}
		}
	}
}

// agree drops every deliberate difference, reports the names of those that
// there were, and then what is left.
func (c *comparison) agree() (deliberate []string, unexplained string) {
	for _, d := range differences {
		if d.drop(c) {
			deliberate = append(deliberate, d.name)
		}
	}
	if diff := cmp.Diff(c.theirs.printable(), c.ours.printable()); diff != "" {
		unexplained = fmt.Sprintf("-qemu-img +Read\n%s\nqemu-img: %s\nRead: %v", diff, c.stderr, c.err)
	}
	return deliberate, unexplained
}

// refusedFor tells whether Read refuses for the named field what qemu-img
// accepts, and drops that difference.
func (c *comparison) refusedFor(sentinel error, field, detail string) bool {
	var e *probe.Error
	if c.theirs == nil || !errors.As(c.err, &e) || e.Err != sentinel || e.Field != field || !strings.Contains(e.Detail, detail) {
		return false
	}
	c.theirs = nil
	return true
}

// refusedByQEMU tells whether qemu-img refuses with such a message what Read
// accepts, and drops that difference.
func (c *comparison) refusedByQEMU(message string) bool {
	if c.ours == nil || c.theirs != nil || !strings.Contains(c.stderr, message) {
		return false
	}
	c.ours = nil
	return true
}

// differences are the ways in which Read differs from qemu-img info (7.2) on
// purpose. Anything else is an error in one of them.
var differences = []struct {
	name string
	why  string
	drop func(c *comparison) bool
}{
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

// writeImage leaves holes where there are zeros.
func writeImage(t testing.TB, path string, image []byte) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(len(image))); err != nil {
		t.Fatal(err)
	}
	const page = 4096
	var zeros [page]byte
	for at := 0; at < len(image); at += page {
		b := image[at:min(at+page, len(image))]
		if bytes.Equal(b, zeros[:len(b)]) {
			continue
		}
		if _, err := f.WriteAt(b, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
}
