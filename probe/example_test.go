package probe_test

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/chainfix/chainfix/probe"
	"github.com/chainfix/chainfix/probe/mkimage"
)

// An overlay says which formats it could be taken for, and, read as the one
// that somebody states, what lies below it.
func Example() {
	image, err := mkimage.Qcow2{VirtualSize: 1 << 30, Backing: "base.img", BackingFormat: "raw"}.Bytes()
	if err != nil {
		fmt.Println(err)
		return
	}
	r, size := bytes.NewReader(image), int64(len(image))

	marks, err := probe.Signatures(r, size)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, mark := range marks {
		fmt.Printf("mark of %s: QEMU %t, libvirt %t\n", mark.Format, mark.QEMU, mark.Libvirt)
	}

	header, err := probe.Read(r, size, probe.Qcow2)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d bytes over %q, recorded as %s\n", header.VirtualSize, header.Backing.Name, header.Backing.Format)
	// Output:
	// mark of qcow2: QEMU true, libvirt true
	// 1073741824 bytes over "base.img", recorded as raw
}

// An image is not what somebody states.
func ExampleRead_wrongFormat() {
	image, err := mkimage.VDI{VirtualSize: 1 << 20}.Bytes()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = probe.Read(bytes.NewReader(image), int64(len(image)), probe.QED)
	fmt.Println(err)
	fmt.Println(errors.Is(err, probe.ErrSignature))
	// Output:
	// qed: signature is missing: magic: the image does not begin with "QED\x00"
	// true
}

// A guest that owns a raw disk can write the header of any format into it. So
// QEMU and libvirt can be made to take one image for different things.
func ExampleLibvirtsChoice() {
	disk := make([]byte, 64<<10)
	copy(disk, "vhdxfile")
	marks, err := probe.Signatures(bytes.NewReader(disk), int64(len(disk)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("QEMU:", marks[0].Format)
	fmt.Println("libvirt:", probe.LibvirtsChoice(marks))
	// Output:
	// QEMU: vhdx
	// libvirt: raw
}

// libvirt and QEMU have different names for some formats.
func ExampleFromLibvirt() {
	f, ok := probe.FromLibvirt("vhd")
	fmt.Println(f, ok)
	fmt.Println(probe.Parallels.LibvirtName())
	// Output:
	// vhdx true
	// ploop
}
