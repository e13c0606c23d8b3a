package xmlfix

import "github.com/chainfix/chainfix/chain/finding"

// hintOf says what to do about an error of the document of a guest, whose name is
// "" where it is not known.
func hintOf(sentinel error, guest string) string {
	vm := finding.GuestWord(guest)
	fresh := "virsh dumpxml --inactive --security-info " + vm
	switch sentinel {
	case ErrSyntax:
		return "take the definition from libvirt again: " + fresh
	case ErrEncoding:
		return "take the definition from libvirt again, which writes UTF-8: " + fresh + "; or convert it with iconv, and mend its XML declaration"
	case ErrAmbiguous:
		return "take that out; to see what libvirt makes of the document, define it and look: " + fresh
	case ErrLimit:
		return "look whether this is the document that was meant: a definition as libvirt writes it is far smaller"
	case ErrDisk, ErrChain:
		return "correct the disk: virsh edit " + vm
	}
	return ""
}

// roomHint is for a document whose chains take too much.
const roomHint = "take disks out of the document, and handle them in one of their own"

const definition = "give the guest's definition: virsh dumpxml --inactive --security-info VM"

// hintFor says what to do with a document that has another root than a
// domain's or a disk's.
func hintFor(root string) string {
	for _, o := range otherDocuments {
		if o.root == root {
			return o.hint
		}
	}
	return definition
}

// otherDocuments are libvirt's documents that one may take for a domain XML,
// and what to do with them instead. The commands were tried on libvirt 9.0.
var otherDocuments = []struct{ root, hint string }{
	{"domainsnapshot", "its <domain> is a copy, apart from the guest's definition: fix it alone (xmllint --xpath /domainsnapshot/domain FILE | chainfix), " +
		"put the result in its place, the same with <inactiveDomain>, then virsh snapshot-create VM FILE --redefine"},
	{"inactiveDomain", "call its root <domain>, fix that, and call it <inactiveDomain> again in the snapshot's XML; then virsh snapshot-create VM FILE --redefine"},
	{"domaincheckpoint", "no guest is started from a checkpoint, so nothing in it needs fixing; " + definition},
	{"domainbackup", "a backup's description has no chain that a guest is started with; " + definition},
	{"domstatus", "this is libvirt's private record of a running guest, never to be edited; " + definition},
	{"pool", "a storage pool has no guest's disks; " + definition},
	{"volume", "a storage volume has no guest's disks; its chain is in its header: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME IMAGE"},
	{"network", "a network has no disks; " + definition},
	{"devices", "this is a part of a definition; " + definition},
}
