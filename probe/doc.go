// Package probe reads the headers of disk images.
//
// It has two separate functions:
//
//   - [Signatures] returns the formats whose signatures are in the image. Whoever writes to the image can choose them, so they are a claim for a policy to judge, never a fact about the image.
//   - [Read] parses the header as one format, which somebody has stated or a policy has chosen, and returns a [Header]: the size that the guest sees, and the other files that the image names.
//
// Both take an [io.ReaderAt] and a size, which a file has from Stat and a
// block device from its driver:
//
//	marks, err := probe.Signatures(f, size)
//	...
//	header, err := probe.Read(f, size, probe.Qcow2)
//
// The methods of [Format] return, for example, libvirt's name
// ([Format.LibvirtName], [FromLibvirt]) and whether it may have a backing
// image ([Format.CanHaveBacking]). The errors of Read are [*Error]s that wrap
// variables such as [ErrSignature].
//
// The rest is for predicting what QEMU and libvirt do: [LibvirtsChoice], the
// other methods of Format, and [Contents], which says what a raw image
// contains. None of these decides a format.
//
// # Hostile images
//
// Images are hostile input. No function reads beyond the size, or more than 2
// MiB of an image, or uses a length from a header before comparing it with a
// constant. The package opens no files and follows no names. Data from an
// image, names in particular, may be any bytes.
//
// # Sources
//
// The rules are those of QEMU (7.2 to 10.2 for the signatures and for qcow,
// qcow2 and qed; 7.2 for the other formats) and of libvirt (9.0 to 11.3) from
// their source code and from running them, and of the formats' own documents
// (such as QEMU's docs/interop/qcow2.txt and qed_spec.txt). If a check is
// stricter than QEMU, a comment there says why.
//
// Package [github.com/chainfix/chainfix/probe/mkimage] writes images.
package probe
