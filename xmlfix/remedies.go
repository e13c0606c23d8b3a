package xmlfix

import "github.com/chainfix/chainfix/chain/finding"

// remedyOf says what to do about an error of the document of a guest, whose name is
// "" where it is not known.
func remedyOf(sentinel error, guest string) finding.Remedy {
	vm := finding.GuestWord(guest)
	fresh := finding.Command("virsh dumpxml --inactive --security-info " + vm)
	switch sentinel {
	case ErrSyntax:
		return finding.Say("take the definition from libvirt again: %s", fresh)
	case ErrEncoding:
		return finding.Say("take the definition from libvirt again, which writes UTF-8: %s; or convert it with iconv, and mend its XML declaration", fresh)
	case ErrAmbiguous:
		return finding.Say("take that out; to see what libvirt makes of the document, define it and look: %s", fresh)
	case ErrLimit:
		return finding.Say("look whether this is the document that was meant: a definition as libvirt writes it is far smaller")
	case ErrDisk, ErrChain:
		return finding.Say("correct the disk: %s", finding.Command("virsh edit "+vm))
	}
	return finding.Remedy{}
}

// takeApart is for a document whose chains take too much.
func takeApart() finding.Remedy {
	return finding.Say("take disks out of the document, and handle them in one of their own")
}

// remedyFor says what to do with a document that has another root than a
// domain's or a disk's: one of libvirt's other documents, which one may take for a
// domain XML. The commands were tried on libvirt 9.0.
func remedyFor(root string) finding.Remedy {
	// What chainfix reads.
	definition := finding.Say("give the guest's definition: %s", finding.Command("virsh dumpxml --inactive --security-info GUEST"))
	switch root {
	case "domainsnapshot", "domaincheckpoint", "inactiveDomain":
		return finding.Say("this is a copy of a guest's definition that libvirt keeps, and is mended there: %s; %s",
			finding.Command("chainfix host apply --snapshots GUEST"), definition)
	case "domainbackup":
		return finding.Say("a backup's description has no chain that a guest is started with; %s", definition)
	case "domstatus":
		return finding.Say("this is libvirt's private record of a running guest, never to be edited; %s", definition)
	case "pool":
		return finding.Say("a storage pool has no guest's disks; %s", definition)
	case "volume":
		return finding.Say("a storage volume has no guest's disks; its chain is in its header: %s", finding.Command("qemu-img rebase -u -f FORMAT -F FORMAT -b NAME IMAGE"))
	case "network":
		return finding.Say("a network has no disks; %s", definition)
	case "devices":
		return finding.Say("this is a part of a definition; %s", definition)
	}
	return definition
}
