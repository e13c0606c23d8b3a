package probe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
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
			Compression string  `json:"compression-type"`

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
// extents of a vmdk. The info is nil if qemu-img refuses.
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

// qemuMajor is the first number of the version of the qemu-img that is installed; 0 if
// it does not say.
var qemuMajor = sync.OnceValue(func() (major int) {
	out, _, _ := command("", "qemu-img", "--version")
	if v := regexp.MustCompile(`version (\d+)\.`).FindSubmatch(out); v != nil {
		major, _ = strconv.Atoi(string(v[1]))
	}
	return major
})

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
	if h.Format == probe.Qcow2 {
		i.FormatSpecific.Data.Compression = map[bool]string{true: "zstd", false: "zlib"}[h.Zstd]
	}
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
		if differsHere(d.name) && d.drop(c) {
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
