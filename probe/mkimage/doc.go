// Package mkimage lays out small, real disk images, for the demo and for
// tests: qcow2, qcow, qed, vmdk, vdi, vpc, vhdx and parallels, with the
// references to other files that a chain is made of, and the header of luks.
//
// The images hold up to "qemu-img check", and a guest reads from them what was
// put in. They are built in memory, so their guest data is meant to be small;
// the virtual size may be as large as the format allows. What an image is told
// to name is written as it stands, and neither opened nor checked.
package mkimage
