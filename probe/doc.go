// Package probe reads what a disk image says of itself in its header.
//
// It answers two questions, and keeps them apart:
//
//   - [Signatures] tells which formats an image has the marks of. Whoever
//     writes to the image chooses the answer, so it is a question for a policy
//     and never a fact about the image.
//   - [Read] parses the header as one format, which somebody else has stated or
//     a policy has chosen, and returns a [Header]: the size that the guest sees,
//     and the other files that the image names.
//
// Both take an [io.ReaderAt] and a size, which a file has from Stat and a block
// device from its driver:
//
//	marks, err := probe.Signatures(f, size)
//	...
//	header, err := probe.Read(f, size, probe.Qcow2)
//
// A [Format] knows more than its name: what libvirt calls it ([Format.LibvirtName],
// [FromLibvirt]) and whether it may have a backing image
// ([Format.CanHaveBacking]), for instance. The errors of Read are [*Error]s, to be
// told apart by what they wrap, such as [ErrSignature].
//
// The rest is for those who predict what the programs do: [LibvirtsChoice], the
// other methods of Format, and [Contents], which tells people what an image would
// hold if it were raw. None of them decides anything.
//
// # Hostile images
//
// Images are hostile input. All functions read never beyond the size, never more
// than 2 MiB of an image, and take no length from a header before they have
// compared it with a constant. The package opens nothing, follows no name, and
// knows no paths. What comes from an image, names above all, may be any bytes.
//
// # Sources
//
// The rules are those of QEMU (7.2 to 10.2 for the signatures and for qcow,
// qcow2 and qed; 7.2 for the other formats) and of libvirt (9.0 to 11.3) as
// found in their sources and by running them, and of the formats' own
// documents (such as QEMU's docs/interop/qcow2.txt and qed_spec.txt). Where
// this package is stricter than QEMU, a comment at the check says so and why.
//
// Package [github.com/chainfix/chainfix/probe/mkimage] writes images.
package probe
