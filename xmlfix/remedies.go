package xmlfix

import "github.com/chainfix/chainfix/chain/finding"

// remedyOf says what to do about an error in the document of guest, "" if its
// name is unknown.
func remedyOf(sentinel error, guest string) finding.Remedy {
	vm := finding.GuestWord(guest)
	fresh := finding.Command("virsh dumpxml --inactive --security-info " + vm)
	switch sentinel {
	case ErrSyntax:
		return finding.Say("take the definition from libvirt again: %s", fresh)
	case ErrEncoding:
		return finding.Say("take the definition from libvirt again, which writes UTF-8: %s; or convert it with iconv, and correct its XML declaration", fresh)
	case ErrAmbiguous:
		return finding.Say("remove that; to see how libvirt reads the document, define it and run %s", fresh)
	case ErrLimit:
		return finding.Say("check that this is the right document: a definition from libvirt is far smaller")
	case ErrDisk, ErrChain:
		return finding.Say("correct the disk: %s", finding.Command("virsh edit "+vm))
	}
	return finding.Remedy{}
}

// takeApart is for a document whose chains exceed [MaxChains].
func takeApart() finding.Remedy {
	return finding.Say("split the document, with fewer disks in each part")
}

// remedyFor says what to do with a document with another root element: one of
// libvirt's other documents, which may be mistaken for a domain XML. The
// commands were tried on libvirt 9.0.
func remedyFor(root string) finding.Remedy {
	// The document that chainfix expects.
	definition := finding.Say("use the guest's definition: %s", finding.Command("virsh dumpxml --inactive --security-info GUEST"))
	switch root {
	case "domainsnapshot", "domaincheckpoint", "inactiveDomain":
		return finding.Say("this contains a copy of a guest's definition that libvirt keeps; fix it there: %s; %s",
			finding.Command("chainfix host apply --snapshots GUEST"), definition)
	case "domainbackup":
		return finding.Say("no guest starts from the XML of a backup; %s", definition)
	case "domstatus":
		return finding.Say("this is libvirt's internal state of a running guest, which must not be edited; %s", definition)
	case "pool":
		return finding.Say("a storage pool does not contain a guest's disks; %s", definition)
	case "volume":
		return finding.Say("a storage volume does not contain a guest's disks; its chain is in its header: %s", finding.Command("qemu-img rebase -u -f FORMAT -F FORMAT -b NAME IMAGE"))
	case "network":
		return finding.Say("a network has no disks; %s", definition)
	case "devices":
		return finding.Say("this is a part of a definition; %s", definition)
	}
	return definition
}
