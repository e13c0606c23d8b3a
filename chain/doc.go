// Package chain finds out what the backing chain of a libvirt disk is, and who
// stated the format of each image in it.
//
// [Walker.Walk] is the way in. It takes what a domain XML states of a disk, a
// [Stated], opens the images one after the other, and returns a [Chain]. Its
// [Verdict] says what becomes of the disk: it is Explicit already; it is Fixable,
// and Layers are what the XML should say; or it is Refused, and Findings say why,
// each with a remedy.
//
//	w := &chain.Walker{}
//	found, err := w.Walk(ctx, chain.Stated{Layers: []chain.Layer{{
//		Source: storage.LocalSource("/img/top.qcow2", false),
//		Format: probe.Qcow2,
//		From:   chain.XML,
//	}}})
//
// Package xmlfix makes a Stated of the XML of a disk, and writes a Chain into it.
// Sources are those of libvirt.org/go/libvirtxml, so that a program which holds a
// libvirtxml.Domain can walk and complete its disks without any XML text.
//
// A [Policy] has what the operator decides: the [Rule] for formats that nobody
// recorded, the formats that the operator states ([Statement], [Folder]), and what
// counts where the XML and the images differ. [Evidence] has what the other disks
// of a host say of an image.
//
// A walk goes down as libvirt does, with three differences:
//
//   - A format that nobody stated is taken from the image's own header only as
//     far as the rule allows, and only if nothing that the guest cannot forge
//     contradicts it.
//   - If a format was taken from the image's own header, no other file that the
//     image names is opened, looked at or written into the XML.
//   - Where libvirt would fall back to something (no backing image, raw), a
//     broken header is a refusal.
//
// # Where what is
//
// walk.go goes from layer to layer, and concludes. visit.go opens one layer and
// asks in turn who says what its format is: the operator (trust.go), other disks
// (evidence.go), and for an unrecorded format the rule (rule.go, witnesses in
// probecheck.go, folders in folder.go). next.go chooses the layer below: what the
// XML states, what the header names, or the conflict of the two. top.go is about
// the disk's own image, datafile.go about data files, express.go and target.go
// about what the XML can say and which libvirt understands it. The commands that
// help are made in remedydata.go, remedyformat.go and remedyimage.go.
//
// # Limits
//
// A Walker reads local files and block devices, in every format that QEMU
// opens. It reads volumes if its Volumes finds them (package pools), and images
// on the network if its Images have an opener that does (package remote). An
// image that is not read can still be written into the XML if somebody states a
// format for it that can have no backing image. If not, its chain is refused, or,
// where the XML states it to its end, left as it is with a warning.
//
// An nvme device below another image is refused, since libvirtxml v1.12008.0
// cannot express it. The data files of qcow2 images are written only if the
// Policy's Target is libvirt 10.10 or newer, which knows them. Encrypted images need a
// secret in the XML.
package chain
