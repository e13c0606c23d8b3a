package probe_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/testdata/peers"
)

// readCase is an image and what Read makes of it: a header, or an error of
// which the sentinel and the field are given.
type readCase struct {
	name    string
	image   []byte
	want    *probe.Header
	err     error
	field   string
	differs string // the deliberate difference from qemu-img info; "" for none
}

var readTables = []struct {
	format probe.Format
	cases  []readCase
}{
	{probe.Raw, rawCases},
	{probe.Qcow, qcowCases},
	{probe.Qcow2, qcow2Cases},
	{probe.Qcow2, qcow2ExtensionCases},
	{probe.QED, qedCases},
	{probe.VMDK, vmdkCases},
	{probe.VMDK, vmdkDescriptorCases},
	{probe.VDI, vdiCases},
	{probe.VPC, vpcCases},
	{probe.VHDX, vhdxCases},
	{probe.Parallels, parallelsCases},
	{probe.LUKS, luksCases},
	{probe.Bochs, bochsCases},
	{probe.Cloop, cloopCases},
	{probe.DMG, dmgCases},
	{probe.ISO, isoCases},
	{probe.COW, cowCases},
}

func TestRead(t *testing.T) {
	for _, table := range readTables {
		for _, c := range table.cases {
			t.Run(string(table.format)+"/"+c.name, func(t *testing.T) {
				h, err := read(t, bytes.NewReader(c.image), int64(len(c.image)), table.format)
				if diff := cmp.Diff(c.want, h); diff != "" {
					t.Errorf("-want +got\n%s\nerror: %v", diff, err)
				}
				var e *probe.Error
				if !errors.Is(err, c.err) || errors.As(err, &e) && e.Field != c.field {
					t.Errorf("error %q, want %v of %q", err, c.err, c.field)
				}
			})
		}
	}
}

// TestReadTablesAgreeWithQEMUImg compares every image of the tables with
// qemu-img, and covers each deliberate difference at least once.
func TestReadTablesAgreeWithQEMUImg(t *testing.T) {
	peers.Require(t, "qemu-img")
	dir := t.TempDir()
	writeExtents(t, dir)
	golden, everyDriver := newGolden(), true
	unseen := make(map[string]bool)
	for _, d := range differences {
		unseen[d.name] = differsHere(d.name)
	}
	for _, table := range readTables {
		if !qemuHasDriver(t, table.format) {
			t.Logf("this qemu-img has no driver for %s, whose table is not compared", table.format)
			for _, c := range table.cases {
				delete(unseen, c.differs)
			}
			everyDriver = everyDriver && table.format == probe.COW // which no QEMU has
			continue
		}
		images := make([]drawnImage, len(table.cases))
		for i, c := range table.cases {
			images[i] = drawnImage{table.format, c.image}
		}
		for i, compared := range compareAll(t, dir, images) {
			c := table.cases[i]
			golden.add(string(table.format), c, compared.theirs)
			deliberate, unexplained := compared.agree()
			if unexplained != "" {
				t.Errorf("%s/%s: %s", table.format, c.name, unexplained)
			}
			if want := []string{c.differs}; !slices.Equal(deliberate, slices.DeleteFunc(want, func(s string) bool { return s == "" || !differsHere(s) })) {
				t.Errorf("%s/%s: deliberate differences %q, want %q", table.format, c.name, deliberate, c.differs)
			}
			delete(unseen, c.differs)
		}
	}
	if everyDriver && qemuMajor() == goldenMajor {
		golden.compare(t)
	}
	for name, wanted := range unseen {
		if !wanted {
			continue
		}
		t.Errorf("no case shows the deliberate difference %q", name)
	}
}

// TestReadUnread: every format is read and has a table, and nothing else is.
func TestReadUnread(t *testing.T) {
	missing := make(map[probe.Format]bool)
	for _, f := range probe.Formats() {
		missing[f] = true
	}
	for _, table := range readTables {
		delete(missing, table.format)
	}
	if len(missing) > 0 {
		t.Errorf("no table for %v", missing)
	}
	for _, f := range append(probe.Formats(), "", "QCOW2", "file") {
		_, err := probe.Read(bytes.NewReader(nil), 0, f)
		if got, want := errors.Is(err, probe.ErrUnread), !slices.Contains(probe.Formats(), f); got != want {
			t.Errorf("%q: %v", f, err)
		}
	}
}

// TestReadEmpty: no size that a caller may come to is out of range.
func TestReadEmpty(t *testing.T) {
	for _, size := range []int64{0, -1, -1 << 63} {
		if h, err := probe.Read(bytes.NewReader(nil), size, probe.Raw); err != nil || h.VirtualSize != 0 {
			t.Errorf("raw of %d bytes: %+v, %v", size, h, err)
		}
		if _, err := probe.Read(bytes.NewReader(nil), size, probe.Qcow2); !errors.Is(err, probe.ErrSignature) {
			t.Errorf("qcow2 of %d bytes: %v", size, err)
		}
		if found, err := probe.Signatures(bytes.NewReader(nil), size); err != nil || found != nil {
			t.Errorf("signatures in %d bytes: %v, %v", size, found, err)
		}
	}
	const eib = 1 << 60
	if h, err := probe.Read(padded(nil), 8*eib-1, probe.Raw); err != nil || h.VirtualSize != 8*eib {
		t.Errorf("a sparse file of 8 EiB: %+v, %v", h, err)
	}
}

// TestReadErrorText: what an image holds reaches a terminal in quotes only.
func TestReadErrorText(t *testing.T) {
	for _, table := range readTables {
		for _, c := range table.cases {
			_, err := probe.Read(bytes.NewReader(c.image), int64(len(c.image)), table.format)
			for _, r := range fmt.Sprint(err) {
				if r < ' ' || r > '~' {
					t.Errorf("%s/%s: %q", table.format, c.name, err)
				}
			}
		}
	}
}

var rawCases = []readCase{
	{name: "empty", image: nil, want: &probe.Header{Format: probe.Raw}},
	{name: "one byte", image: make([]byte, 1), want: &probe.Header{Format: probe.Raw, VirtualSize: 512}},
	{name: "511 bytes", image: make([]byte, 511), want: &probe.Header{Format: probe.Raw, VirtualSize: 512}},
	{name: "a sector", image: make([]byte, 512), want: &probe.Header{Format: probe.Raw, VirtualSize: 512}},
	{name: "513 bytes", image: make([]byte, 513), want: &probe.Header{Format: probe.Raw, VirtualSize: 1024}},
	{name: "a qcow2 image stated as raw", image: v3image(), want: &probe.Header{Format: probe.Raw, VirtualSize: uint64(len(v3image()))}},
}
