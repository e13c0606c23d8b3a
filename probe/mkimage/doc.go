// Package mkimage lays out small, real disk images, for the demo and for
// tests: qcow2, qcow, qed, vmdk, vdi, vpc, vhdx and parallels, with the
// references to other files that a chain is made of, and the header of luks.
//
// There is a struct for each format. Its zero fields are what QEMU takes by
// default, and its Bytes and WriteTo return the image:
//
//	image, err := mkimage.Qcow2{VirtualSize: 1 << 30, Backing: "base.img", BackingFormat: "raw"}.Bytes()
//
// "qemu-img check" finds nothing wrong with the images, and a guest reads from
// them what was put in. They are built in memory, so their guest data is meant to
// be small; the virtual size may be as large as the format allows. What an image
// is told to name is written as it stands, and neither opened nor checked.
package mkimage
