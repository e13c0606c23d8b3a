package host_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

// TestSaveImagesOfAnything: what is no save image of libvirt's is told, and no
// more of it is read than there may be.
func TestSaveImagesOfAnything(t *testing.T) {
	whole := string(savedImage("<domain/>"))
	swapped := []byte(whole)
	for _, at := range []int{16, 20} {
		swapped[at], swapped[at+3] = swapped[at+3], swapped[at]
	}
	endless := []byte(whole)
	copy(endless[20:], "\xff\xff\xff\xff")
	for name, c := range map[string]struct {
		content string
		want    string // "" for an error
	}{
		"whole":                     {whole, "<domain/>"},
		"being written":             {strings.Replace(whole, "QemudSave", "QemudPart", 1), "<domain/>"},
		"of the other byte order":   {string(swapped), "<domain/>"},
		"longer than it says":       {whole + strings.Repeat("x", 1<<20), "<domain/>"},
		"shorter than it says":      {string(endless), "<domain/>"},
		"empty":                     {"", ""},
		"cut in the header":         {whole[:50], ""},
		"cut in the XML":            {whole[:95], ""},
		"another file":              {strings.Repeat("x", 4096), ""},
		"a version to come":         {whole[:16] + "\x09" + whole[17:], ""},
		"a version that is none":    {whole[:16] + "\x00" + whole[17:], ""},
		"an XML of no bytes at all": {whole[:20] + "\x00\x00\x00\x00" + whole[24:], ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newStoredHost(t)
			h.guest("a", "")
			h.write("var/lib/libvirt/qemu/save/a.save", []byte(c.content))
			got, n := "", 0
			var failed error
			for m, err := range guests(t, h.folder())["a"].Metadata(t.Context()) {
				if n++; m == nil || m.Kind != host.SavedState {
					t.Fatalf("%v: %v", m, err)
				}
				got, failed = string(m.XML), err
			}
			if n != 1 || got != c.want || (failed == nil) != (c.want != "") || failed != nil && !errors.Is(failed, host.ErrDefinition) {
				t.Errorf("%d: %q, %v", n, got, failed)
			}
		})
	}
	t.Run("a FIFO is not waited for", func(t *testing.T) {
		h := newStoredHost(t)
		h.guest("a", "")
		h.mkdir("var/lib/libvirt/qemu/save")
		if err := unix.Mkfifo(filepath.Join(h.dir, "var/lib/libvirt/qemu/save/a.save"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, err := range guests(t, h.folder())["a"].Metadata(t.Context()) {
			if !errors.Is(err, host.ErrDefinition) {
				t.Error(err)
			}
		}
	})
}
