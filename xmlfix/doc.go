// Package xmlfix edits the backing chains in a domain XML, or in the XML of
// one disk, and nothing else.
//
// [Fix] does everything in one call:
//
//	walker := &chain.Walker{Policy: chain.Policy{Rule: chain.Strict}}
//	fixed, examined, err := xmlfix.Fix(ctx, walker, "vm.xml", data)
//	if errors.Is(err, xmlfix.ErrRefused) {
//		for _, disk := range examined.Disks {
//			// disk.Chain.Findings say why, and what to do.
//		}
//	}
//
// [FixDomain] does the same for a libvirtxml.Domain, and [Examine] reports
// what Fix would do.
//
// # Step by step
//
// Most programs do not need these steps. [Parse] finds the disks of a
// document; [Disk.Stated] returns what the XML states about one, for package
// chain; [Disk.SetChain] queues the edits that make a chain explicit;
// [Document.Bytes] applies them, and [Document.Edits] shows them. Edits are
// spliced in at byte offsets: all bytes outside of them stay as in the input,
// and inserted text has the quotes, the indent and the line ends of its
// neighbours. Before Bytes returns, it parses its own output and proves that
// it states the requested chains.
//
// For the disks of a libvirtxml.Domain these steps are [StatedBy] and [Apply].
//
// # What is refused
//
// Documents are treated as hostile. libvirt parses XML with libxml2 and uses
// the first of two elements; Go's encoding/xml uses the last, ignores
// namespace prefixes, and accepts much that libxml2 rejects. Anything relevant
// that the two would read differently is an error: a DOCTYPE anywhere; a
// default namespace on an ancestor of a disk; prefixed names and repeated
// elements inside a disk. Outside of the disks a document only has to be
// well-formed; the images that are named there are never edited, but there are
// warnings about them.
//
// Package chain/strictxml checks that a document is well-formed; this package
// knows the elements of a disk.
//
// A document may have thousands of disks with a long chain each:
// [Document.Walk] walks as many as fit into [MaxChains].
//
// The comparison was made with libxml2 2.9.14, libvirt 9.0.0 and Go 1.26;
// tests repeat it if xmllint and virsh are installed.
package xmlfix
