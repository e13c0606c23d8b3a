package host_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/xmlfix"
)

// TestDiskAfterLongChainsIsEvidence: a guest may write a header so long that its
// other disks are not walked. Its raw disks still count as evidence.
func TestDiskAfterLongChainsIsEvidence(t *testing.T) {
	h := newStoredHost(t)
	h.qcow2("base.img", "")
	h.qcow2("asks.qcow2", "base.img")
	h.guest("asks", diskOf(fileDisk, "qcow2", "<source file='DIR/asks.qcow2'/>"))
	var extents []mkimage.VMDKExtent
	for range 4000 {
		extents = append(extents, mkimage.VMDKExtent{Sectors: 1, Name: strings.Repeat("x", 200)})
	}
	long, err := mkimage.VMDKDescriptor{Extents: extents}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	h.write("long.vmdk", long)
	var disks strings.Builder
	for n := range 60 {
		disks.WriteString(strings.Replace(diskOf(fileDisk, "vmdk", "<source file='DIR/long.vmdk'/>"), "vda", fmt.Sprintf("sd%d", n), 1))
	}
	h.guest("writer", disks.String()+diskOf(fileDisk, "raw", baseFile))
	reports := h.scan(&host.Scan{})
	unread := reports["writer"].Examination.Disks
	if last := unread[len(unread)-1]; last.Chain != nil || last.Err == nil || !strings.Contains(last.Err.Error(), xmlfix.ErrLimit.Error()) {
		t.Fatalf("the last disk was walked: %v, %+v", last.Err, last.Chain)
	}
	asks := reports["asks"].Examination.Disks[0].Chain
	if asks.Verdict != chain.Refused || !strings.Contains(fmt.Sprintf("%+v", asks.Findings), string(finding.RawDiskElsewhere)) {
		t.Errorf("%s: %+v", asks.Verdict, asks.Findings)
	}
}
