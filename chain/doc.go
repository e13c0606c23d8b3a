// Package chain finds out what a disk's backing chain is, and on whose word.
//
// A [Walker] takes what a domain XML states of a disk ([Stated]), opens the
// images one after the other, and returns a [Chain]: every layer with its
// storage source, its format, and the [Origin] of that format, or findings
// that say why that cannot be had. It walks as libvirt does, with three
// differences:
//
//   - A format that nobody stated is taken from the image's own header only as
//     far as a [Rule] allows, and only if nothing outside the guest's reach
//     contradicts it.
//   - Of an image whose format came from a probe, no other file that it names
//     is opened, looked at or written down.
//   - Where libvirt would fall back to something (no backing image, raw), a
//     broken header is a refusal.
//
// Storage sources are libvirt.org/go/libvirtxml's: a program that holds a
// libvirtxml.Domain can walk and complete its disks without any XML text
// (see package xmlfix for both ways).
//
// # Limits
//
// A Walker reads local files and block devices, in every format that QEMU
// opens. It reads volumes where it is told of their pools ([Volumes], package
// pools), and images on the network with an [Opener] that does (package
// remote). An image that is not read can still be written down if somebody
// states a format for it that can have no backing image; else its chain is
// refused, or, where the XML states it to its end, left as it is with a warning.
//
// An nvme device below another image is refused, since libvirtxml v1.12008.0
// cannot express it. The data files of qcow2 images are written for a libvirt
// that knows them (10.10) and is named as the [Policy]'s Target. Encrypted images
// need a secret in the XML.
package chain
