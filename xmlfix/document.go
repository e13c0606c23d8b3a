package xmlfix

// Document is a domain XML, a single <disk>, or libvirt's XML of a snapshot,
// with its queued edits. It is not safe for concurrent use.
type Document struct {
	name       string
	data       []byte
	domainName string
	live       bool
	metadata   bool // parsed by [ParseMetadata]
	disks      []*Disk
	elsewhere  []*elsewhere
}

// Name returns the name passed to [Parse].
func (d *Document) Name() string { return d.name }

// DomainName returns the text of the domain's first <name>, which libvirt
// uses, or "", for example for a single <disk>.
func (d *Document) DomainName() string { return d.domainName }

// Live reports that the document comes from a running guest: its <domain> has
// an id attribute, which libvirt writes only then.
func (d *Document) Live() bool { return d.live }

// Disks returns every /domain/devices/disk in the order of the document,
// including those of a second <devices>; for a single <disk> that one; for
// metadata those of all definitions in it, so a target may be there twice.
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
	// MaxInput is the size of the largest document that [Parse] accepts, in
	// bytes. libvirt's own RPC is limited to 32 MiB.
	MaxInput = 64 << 20
	// MaxDepth is the maximum number of open elements, including the root:
	// libxml2's xmlParserMaxDepth, which 2.9.14 allows to be exceeded by one.
	MaxDepth = 256
	// MaxAttrs is the maximum number of attributes of one element. libvirt's
	// largest have about thirty.
	MaxAttrs = 256
	// MaxDiskElements is the maximum number of elements in all disks of one
	// document: three hundred disks with chains of the two hundred layers that
	// libvirt allows.
	MaxDiskElements = 1 << 18
	// MaxDiskAttrs is the maximum number of attributes in all disks of one
	// document: two for each element.
	MaxDiskAttrs = 2 * MaxDiskElements
	// MaxDisks is the maximum number of disks of one document. libvirtxml needs
	// more than a KiB for an empty one.
	MaxDisks = 1 << 14
	// MaxChains is the maximum memory of all chains of a document with their
	// findings, roughly, in bytes: enough for three hundred chains of two hundred
	// layers. See [Document.Walk].
	MaxChains = 32 << 20
	// MaxText is the maximum size of a text or attribute value in a disk, and of
	// a domain's name, in bytes. File names have 4096 at most.
	MaxText = 1 << 16
)
