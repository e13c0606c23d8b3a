package xmlfix_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/xmlfix"
)

// TestExamineManyLongChains: thousands of disks with a chain of two hundred
// layers, which take a gigabyte, are walked up to the limit, and then no more.
func TestExamineManyLongChains(t *testing.T) {
	dir := t.TempDir()
	for i := range chain.MaxLayers {
		image := mkimage.Qcow2{VirtualSize: 1 << 20}
		if i < chain.MaxLayers-1 {
			image.Backing, image.BackingFormat = fmt.Sprint(i+1), "qcow2"
		}
		content, err := image.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), content[:4096], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	disk := "<disk type='file'><driver type='qcow2'/><source file='" + dir + "/0'/></disk>"
	for disks, full := range map[int]bool{50: false, 5000: true} {
		e, err := xmlfix.Examine(t.Context(), &chain.Walker{}, "vm.xml", []byte("<domain><devices>"+strings.Repeat(disk, disks)+"</devices></domain>"))
		if err != nil {
			t.Fatal(err)
		}
		layers, left := 0, 0
		for _, d := range e.Disks {
			switch {
			case d.Chain == nil && errors.Is(d.Err, xmlfix.ErrLimit):
				left++
			case d.Chain == nil || d.Err != nil || left > 0:
				t.Fatalf("behind %d layers: %v", layers, d.Err)
			default:
				layers += len(d.Chain.Layers)
			}
		}
		if full != (left > 0) || full != (e.Verdict() == chain.Refused) || layers > 100_000 || e.Unreadable() {
			t.Errorf("%d disks: %d layers, %d disks left out, %s", disks, layers, left, e.Verdict())
		}
	}
}
