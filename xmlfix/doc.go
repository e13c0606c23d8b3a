// Package xmlfix edits the backing chains in a domain XML, or in the XML of one
// disk, and nothing else.
//
// [Fix] does all of it in one call:
//
//	walker := &chain.Walker{Policy: chain.Policy{Rule: chain.Strict}}
//	fixed, examined, err := xmlfix.Fix(ctx, walker, "vm.xml", data)
//	if errors.Is(err, xmlfix.ErrRefused) {
//		for _, disk := range examined.Disks {
//			// disk.Chain.Findings say why, and what would help.
//		}
//	}
//
// [FixDomain] does the same for a program that holds a libvirtxml.Domain, and
// [Examine] says what Fix would do.
//
// # Step by step
//
// Most programs need none of what follows. [Parse] finds the disks of a document; [Disk.Stated] says what the
// XML states of one, in the terms of package chain; [Disk.SetChain] queues the
// edits that make a chain explicit; [Document.Bytes] applies them, and
// [Document.Edits] shows them. The document is edited by splicing at byte
// offsets: every byte outside the edits is the input's, and what is inserted has
// the quotes, the indent and the line ends of its neighbours. Before Bytes
// returns anything it parses its own output and proves that it says what was
// asked for.
//
// For the disks of a libvirtxml.Domain these steps are [StatedBy] and [Apply].
//
// # What is refused
//
// A document is hostile until shown otherwise. libvirt reads XML with libxml2
// and takes the first of two elements; Go's encoding/xml takes the last,
// ignores name space prefixes, and lets through much that libxml2 rejects.
// Whatever the two would read differently in a place that matters is an error:
// every DOCTYPE anywhere; a default name space on the way to a disk; prefixed
// names, and repeated elements, inside a disk. Outside the disks a document
// must be well-formed, and that is all; of the images that are named there nothing
// is ever written, only warned.
//
// Package chain/strictxml knows what is well-formed; this one knows the elements of
// a disk.
//
// A document may have thousands of disks with one long chain each: [Document.Walk]
// walks as many as [MaxChains] has room for.
//
// The comparison was made with libxml2 2.9.14, libvirt 9.0.0 and Go 1.26; tests
// repeat it where xmllint and virsh are to be found.
package xmlfix
