// Package chain determines the backing chain of a libvirt disk, and who stated
// the format of each image in it.
//
// Start with [Walker.Walk]. It takes what a domain XML states about a disk, a
// [Stated], opens the images one after the other, and returns a [Chain]. Its
// [Verdict] is Explicit (nothing to do), Fixable (Layers are what the XML
// should state) or Refused (Findings say why, each with a remedy).
//
//	w := &chain.Walker{}
//	found, err := w.Walk(ctx, chain.Stated{Layers: []chain.Layer{{
//		Source: storage.LocalSource("/img/top.qcow2", false),
//		Format: probe.Qcow2,
//		From:   chain.XML,
//	}}})
//
// Package xmlfix makes a Stated of the XML of a disk, and writes a Chain into
// it. Sources are libvirt.org/go/libvirtxml types: a program that has a
// libvirtxml.Domain can walk and complete its disks without XML text.
//
// A [Policy] has the operator's decisions: the [Rule] for formats that nobody
// recorded, the formats that the operator states ([Statement], [Folder]), and
// whether the XML or the headers are used where they differ. [Evidence] has
// what the other disks of a host say about an image.
//
// A walk follows the chain as libvirt does, with three differences:
//
//   - A format that nobody stated is taken from the image's own header only as
//     far as the rule allows, and only if nothing that the guest cannot forge
//     contradicts it.
//   - If a format was taken from the image's own header, no other file that the
//     image names is opened, touched or written into the XML.
//   - Where libvirt would fall back to something (no backing image, raw), a
//     broken header is a refusal.
//
// # Files
//
// walk.go goes from layer to layer and sets the verdict. visit.go opens one
// layer and determines its format: from the operator (trust.go), from other
// disks (evidence.go), and for an unrecorded format by the rule (rule.go, with
// the checks in probecheck.go and the folders in folder.go). next.go chooses
// the next layer: the one in the XML or in the header, or it resolves the
// conflict of the two. top.go handles the disk's own image, datafile.go data
// files, express.go and target.go what the XML can express and which libvirt
// understands it. remedydata.go, remedyformat.go and remedyimage.go make the
// hints.
//
// # Limits
//
// A Walker reads local files and block devices, in every format that QEMU
// opens. It reads volumes if its Volumes finds them (package pools), and
// images on the network if its Images have an opener that does (package
// remote). An image that is not read can still be written into the XML if its
// stated format cannot have a backing image. Otherwise its chain is refused,
// or, if the XML states it completely, left unchanged with a warning.
//
// An nvme device below another image is refused, since libvirtxml v1.12008.0
// cannot express it. The data files of qcow2 images are written only if the
// Policy's Target is libvirt 10.10 or newer, which supports them. Encrypted
// images need a secret in the XML.
package chain
