package xmlfix_test

import (
	"strings"
	"testing"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/xmlfix"
)

// A disk without a <driver type> whose stale chain is taken away gets no type.
func TestStaleChainBelowADiskWithoutAType(t *testing.T) {
	const stale = `
      <backingStore type='file'>
        <format type='raw'/>
        <source file='/b'/>
        <backingStore/>
      </backingStore>`
	const plain = `<domain type='qemu'>
  <name>vm</name>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu'/>
      <source file='/a'/>STALE
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
`
	doc, err := xmlfix.Parse("vm.xml", []byte(strings.Replace(plain, "STALE", stale, 1)))
	if err != nil {
		t.Fatal(err)
	}
	disk := doc.Disks()[0]
	stated, err := disk.Stated()
	if err != nil || len(stated.Layers) != 2 || stated.Layers[0].From != chain.Unstated {
		t.Fatalf("it states %+v: %v", stated, err)
	}
	if err := disk.SetChain(&chain.Chain{Verdict: chain.Fixable, Layers: stated.Layers[:1]}); err != nil {
		t.Fatal(err)
	}
	got, err := doc.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(plain, "STALE", "\n      <backingStore/>", 1); string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
