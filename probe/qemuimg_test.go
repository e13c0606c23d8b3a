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
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/probe"
)

// info is what "qemu-img info --output=json" says of an image, as far as a
// Header says it too.
type info struct {
	Format         string  `json:"format"`
	VirtualSize    uint64  `json:"virtual-size"`
	ClusterSize    uint64  `json:"cluster-size"`
	Backing        *string `json:"backing-filename"`
	BackingFormat  string  `json:"backing-filename-format"`
	Encrypted      bool    `json:"encrypted"`
	Dirty          bool    `json:"dirty-flag"`
	FormatSpecific struct {
		Data struct {
			DataFile    *string `json:"data-file"`
			DataFileRaw bool    `json:"data-file-raw"`
			Corrupt     bool    `json:"corrupt"`
		} `json:"data"`
	} `json:"format-specific"`
}

// qemuInfo runs qemu-img info, which opens the image and nothing else. The
// info is nil if qemu-img refuses.
func qemuInfo(dir, image string, f probe.Format) (*info, string, error) {
	args := []string{"info", "--output=json"}
	if f != "" {
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
	return i, stderr, json.Unmarshal(out, i)
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
		ClusterSize: h.ClusterSize,
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
			c.header, c.err = probe.Read(padded(c.image), 1<<63-1, c.format)
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
}

func writeImage(t testing.TB, path string, image []byte) {
	t.Helper()
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
}
