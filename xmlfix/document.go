package xmlfix

// Document is a domain XML, a lone <disk>, or what libvirt keeps of a snapshot, with
// the edits that are queued for it. It is not safe for concurrent use.
type Document struct {
	name       string
	data       []byte
	domainName string
	live       bool
	metadata   bool // it is read as [ParseMetadata] does
	disks      []*Disk
	elsewhere  []*elsewhere
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
// of a second <devices> too; of a lone <disk> that one; of metadata those of all
// definitions in it, so that a target may be there twice.
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

const (
	// MaxInput is the size of the largest document that [Parse] takes, in
	// bytes. libvirt's own RPC carries 32 MiB at most.
	MaxInput = 64 << 20
	// MaxDepth is the number of elements that may be open at a time, the
	// root included: libxml2's xmlParserMaxDepth, which 2.9.14 lets pass by
	// one.
	MaxDepth = 256
	// MaxAttrs is the number of attributes that one element may have.
	// libvirt's longest have about thirty.
	MaxAttrs = 256
	// MaxDiskElements is the number of elements that the disks of one
	// document may have together: three hundred disks with chains of the
	// two hundred layers that libvirt allows.
	MaxDiskElements = 1 << 18
	// MaxDiskAttrs is the number of attributes that the disks of one
	// document may have together: two for each element.
	MaxDiskAttrs = 2 * MaxDiskElements
	// MaxDisks is the number of disks that one document may have. What
	// libvirtxml makes of one without content takes more than a KiB.
	MaxDisks = 1 << 14
	// MaxChains is what the chains of one document's disks may take together,
	// with all that is said of them, in bytes, roughly: again three hundred
	// of two hundred layers. See [Document.Walk].
	MaxChains = 32 << 20
	// MaxText is the size of the longest text in a disk, of an element or an
	// attribute, and of the longest name of a domain, in bytes. Names of
	// files have 4096 at most.
	MaxText = 1 << 16
)
