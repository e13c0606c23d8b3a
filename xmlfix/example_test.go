package xmlfix_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/probe/mkimage"
	"github.com/chainfix/chainfix/xmlfix"
)

// exampleImages makes an overlay that does not record the format of the raw
// image below it, in a new folder.
func exampleImages() (dir string) {
	dir, err := os.MkdirTemp("", "chainfix-example-")
	if err != nil {
		panic(err)
	}
	top, err := os.Create(filepath.Join(dir, "web.qcow2"))
	if err != nil {
		panic(err)
	}
	defer top.Close()
	overlay := mkimage.Qcow2{VirtualSize: 1 << 20, Backing: "base.img"}
	if _, err := overlay.WriteTo(top); err != nil {
		panic(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "base.img"), make([]byte, 1<<20), 0o600); err != nil {
		panic(err)
	}
	return dir
}

func ExampleFix() {
	dir := exampleImages()
	defer os.RemoveAll(dir)
	document := `<domain type='kvm'>
  <name>web</name>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='` + dir + `/web.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
`
	fixed, examined, err := xmlfix.Fix(context.Background(), new(chain.Walker), "web.xml", []byte(document))
	if err != nil {
		// examined says of each disk what is in the way, and what would help.
		fmt.Println(err)
		return
	}
	fmt.Println(len(examined.Disks), "disk:", examined.Verdict())
	fmt.Print(strings.ReplaceAll(string(fixed), dir, "/images"))
	// Output:
	// 1 disk: fixable
	// <domain type='kvm'>
	//   <name>web</name>
	//   <devices>
	//     <disk type='file' device='disk'>
	//       <driver name='qemu' type='qcow2'/>
	//       <source file='/images/web.qcow2'/>
	//       <backingStore type='file'>
	//         <format type='raw'/>
	//         <source file='/images/base.img'/>
	//         <backingStore/>
	//       </backingStore>
	//       <target dev='vda' bus='virtio'/>
	//     </disk>
	//   </devices>
	// </domain>
}

func ExampleFixDomain() {
	dir := exampleImages()
	defer os.RemoveAll(dir)
	domain := &libvirtxml.Domain{Name: "web", Devices: &libvirtxml.DomainDeviceList{Disks: []libvirtxml.DomainDisk{{
		Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2"},
		Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: filepath.Join(dir, "web.qcow2")}},
		Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"},
	}}}}

	if _, err := xmlfix.FixDomain(context.Background(), new(chain.Walker), domain); err != nil {
		fmt.Println(err)
		return
	}
	for b := domain.Devices.Disks[0].BackingStore; b != nil; b = b.BackingStore {
		if b.Source == nil {
			fmt.Println("the end of the chain")
			return
		}
		fmt.Println(filepath.Base(b.Source.File.File), b.Format.Type)
	}
	// Output:
	// base.img raw
	// the end of the chain
}
