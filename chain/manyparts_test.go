package chain_test

import (
	"fmt"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// TestManyPartsOfOneFile: for an image that shares bytes with the disks of
// hundreds of guests, only a few are named; and a disk of the whole file is
// distinguished from disks of parts.
func TestManyPartsOfOneFile(t *testing.T) {
	f := newFiles(t)
	f.raw("big.img", 1<<20)
	part := func(offset uint) chain.Layer {
		layer := f.layer("big.img", probe.Raw)
		layer.Source.Slices = &libvirtxml.DomainDiskSlices{Slices: []libvirtxml.DomainDiskSlice{{Type: "storage", Offset: offset, Size: 512}}}
		return layer
	}
	evidence := chain.NewEvidence(nil, nil)
	add := func(guest string, layers ...chain.Layer) {
		evidence.Add(t.Context(), chain.Defined, diskOf(guest, layers...), nil)
	}
	whole := f.layer("big.img", probe.Raw)
	file, err := storage.FileOpener{}.Identify(t.Context(), whole.Source)
	if err != nil {
		t.Fatal(err)
	}
	of := func(start, length uint64) chain.HostFacts {
		return evidence.Of(storage.Extent{File: file, Start: start, Length: length}, chain.DiskName{Guest: "asks", Target: "vda"})
	}
	add("asks", whole)
	if evidence.Shared() || len(of(0, storage.ToTheEnd).RawDisks) != 1 {
		t.Errorf("one disk: %+v", of(0, storage.ToTheEnd))
	}
	for n := range uint(300) {
		add(fmt.Sprintf("slice%d", n), part(n*512))
		add(fmt.Sprintf("over%d", n), f.layer("big.img", probe.Qcow2), part(n*512))
	}
	add("asks", f.layer("big.img", probe.Qcow2)) // the same disk, as it runs
	if !evidence.Shared() {
		t.Error("nothing is shared")
	}
	for name, facts := range map[string]chain.HostFacts{"the file": of(0, storage.ToTheEnd), "a part": of(512*200, 512), "two parts": of(512*200, 1024)} {
		for what, names := range map[string][]chain.DiskName{"raw disks": facts.RawDisks, "raw below": facts.RawBelow, "below": facts.Below, "writers": facts.Writers} {
			if len(names) < 1 || len(names) > 3 {
				t.Errorf("%s, %s: %d disks are named", name, what, len(names))
			}
		}
		if formats := len(facts.Formats); name == "the file" && formats != 1 || name != "the file" && formats != 0 {
			t.Errorf("%s: %+v", name, facts.Formats)
		}
	}
	if facts := of(1<<19, 512); facts.RawBelow != nil || len(facts.RawDisks) != 1 {
		t.Errorf("bytes of no part: %+v", facts)
	}
}
