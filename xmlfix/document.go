package xmlfix

// Document is a domain XML, or a lone <disk>, with the edits that are queued
// for it. It is not safe for concurrent use.
type Document struct {
	name       string
	data       []byte
	domainName string
	live       bool
	disks      []*Disk
}

// Name returns the name that was given to [Parse].
func (d *Document) Name() string { return d.name }

// DomainName returns the text of the domain's <name>, the first one if there
// are several, as libvirt does. "" if there is none, as in a lone <disk>.
func (d *Document) DomainName() string { return d.domainName }

// Live reports that the document is a running guest's: its <domain> has an id
// attribute, which libvirt writes into nothing else.
func (d *Document) Live() bool { return d.live }

// Disks returns every /domain/devices/disk in the order of the document, those
// of a second <devices> too; of a lone <disk> that one.
func (d *Document) Disks() []*Disk { return d.disks }

// Changed reports whether edits are queued.
func (d *Document) Changed() bool {
	for _, disk := range d.disks {
		if disk.layOut != nil {
			return true
		}
	}
	return false
}
