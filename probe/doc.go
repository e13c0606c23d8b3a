// Package probe reads what a disk image says of itself in its header.
//
// It answers two questions, and keeps them apart. [Signatures] tells which
// formats an image bears the marks of; whoever writes to the image chooses
// the answer, so it is a question for a policy and never a fact about the
// image. [Read] parses the header as one format, which somebody else has
// stated or a policy has chosen. A third question, what an image would hold if
// it were raw, [Contents] answers for people; it decides nothing either.
//
// Images are hostile input. All functions read through an [io.ReaderAt] and
// a size, never beyond that size, never more than 2 MiB of an image, and take
// no length from a header before they have compared it with a constant. The
// package opens nothing, follows no name, and knows no paths.
//
// The rules are those of QEMU (7.2 to 10.2 for the signatures and for qcow,
// qcow2 and qed; 7.2 for the other formats) and of libvirt (9.0 to 11.3) as
// found in their sources and by running them, and of the formats' own
// documents (such as QEMU's docs/interop/qcow2.txt and qed_spec.txt). Where
// this package is stricter than QEMU, a comment at the check says so and why.
package probe
