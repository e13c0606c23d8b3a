package chain

import (
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/image"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// Origin says who stated the format of a layer.
type Origin int

const (
	// Unstated: nobody states it, and the layer has no format.
	Unstated Origin = iota
	// XML: the domain XML states it, or leaves it out where libvirt defines
	// what that means.
	XML
	// Header: the image above records it, in a way that every QEMU and
	// libvirt reads alike, or by a name of QEMU's that the image's own header
	// confirms.
	Header
	// Trust: the operator states it.
	Trust
	// Libvirt: another disk, whose own image it is, states it in its
	// <driver type> (see [Evidence]).
	Libvirt
	// Protocol: the kind of storage source implies it.
	Protocol
	// Probe: a rule took it from the image's own header. Nothing that this
	// image names is ever followed.
	Probe
)

// String returns the word that the JSON output uses: "" for Unstated, then "xml",
// "header", "trust", "libvirt", "protocol", "probe".
func (o Origin) String() string {
	switch o {
	case Unstated:
		return ""
	case XML:
		return "xml"
	case Header:
		return "header"
	case Trust:
		return "trust"
	case Libvirt:
		return "libvirt"
	case Protocol:
		return "protocol"
	case Probe:
		return "probe"
	}
	return fmt.Sprintf("Origin(%d)", int(o))
}

// Layer is one image of a backing chain.
type Layer struct {
	Source *libvirtxml.DomainDiskSource // the image as the XML or a header names it
	// Located is where the image is, if Source names it by a storage pool's
	// volume and the pool is known; else nil.
	Located *libvirtxml.DomainDiskSource
	Format  probe.Format // "" while From is Unstated, and for a folder that QEMU presents as an image
	From    Origin       // who stated Format
	// XMLAlone says that Format is from the XML's <backingStore> and that nobody
	// else states it: libvirt and chainfix write guesses there. It is set in the
	// layers of a [Chain] that were visited, never in the top.
	XMLAlone bool
	Header   *probe.Header  // what the image says of itself; nil if it was not read
	ID       storage.FileID // the file or device that was opened; the zero FileID if none was
	Image    *image.Info    // what the image shows, whatever it is stated to be; nil if it was not opened
}

// HeaderFormat returns the format that the image's header must have: that of the
// layer, or luks, which the XML calls raw with an <encryption> (libvirt 9.0).
func (l Layer) HeaderFormat() probe.Format {
	if e := l.Source.Encryption; l.Format == probe.Raw && e != nil && e.Format == "luks" {
		return probe.LUKS
	}
	return l.Format
}

// At returns the source to open: Located for a volume of a known pool, else Source.
func (l Layer) At() *libvirtxml.DomainDiskSource {
	if l.Located != nil {
		return l.Located
	}
	return l.Source
}

// LocalPath returns the path of an image that is a local file or block device; false
// for any other.
func (l Layer) LocalPath() (path string, ok bool) { return storage.LocalPath(l.At()) }

// Stated is what a domain XML says of one disk before any image is read: the input
// of a walk. Package xmlfix makes one of a <disk>.
type Stated struct {
	// Guest is the name of the domain that the disk is of; "" if it is not
	// known.
	Guest  string
	Target string // the <target dev>, such as "vda"
	Device string // "disk", "cdrom", "floppy" or "lun"; "" means disk
	Bus    string // the <target bus>; "" if it is left out
	// ReadOnly says that the guest does not write to the disk's own image:
	// it is <readonly/>, a CD-ROM, or <transient/>.
	ReadOnly bool
	// Transient says that QEMU writes to an overlay of the disk's own image
	// that libvirt makes when the guest starts and removes when it ends:
	// <transient/>. The overlay exists while the guest runs.
	Transient bool
	// Shareable says that the XML shares the disk's own image between guests
	// (<shareable/>).
	Shareable bool

	// Layers are the disk's own image and the explicit backing images below
	// it, top first. There is always a top; its Source may be empty (an
	// empty drive). A top without a <driver type> is Unstated.
	Layers []Layer
	// Terminated reports that the XML says where the chain ends.
	Terminated bool
	// Typeless reports that the end is a <backingStore> with content but
	// without a type, which libvirt reads as the end of the chain.
	Typeless bool
	// Inexpressible is what the XML says of a backing image that libvirtxml
	// cannot express, such as "a <backingStore> of type nvme"; "" if the XML
	// says no such thing. Layers end above that image, and Terminated is about
	// the chain from there on.
	Inexpressible string

	Mirror bool // the disk has a <mirror>, so a block job is running
	// MirrorTo is the image that the block job of a <mirror> writes to; nil
	// without such a job, or if the XML does not say.
	MirrorTo *Layer
	Live     bool // the XML is a running guest's, into which libvirt has written what it detected
}

// Verdict says what becomes of a disk.
type Verdict int

const (
	// Explicit: the XML says everything already.
	Explicit Verdict = iota
	// Skipped: the disk has no chain (an empty drive, a source without image
	// files).
	Skipped
	// Fixable: [Chain.Layers] is what the XML should say.
	Fixable
	// Refused: a finding of severity [finding.Refuse] says why.
	Refused
)

// String returns "explicit", "skipped", "fixable" or "refused".
func (v Verdict) String() string {
	switch v {
	case Explicit:
		return "explicit"
	case Skipped:
		return "skipped"
	case Fixable:
		return "fixable"
	case Refused:
		return "refused"
	}
	return fmt.Sprintf("Verdict(%d)", int(v))
}

// Chain is the outcome of a walk of one disk.
type Chain struct {
	Verdict Verdict
	// Layers are the images of the chain, top first. In a chain that is
	// Fixable or Explicit they are complete, and each has a format and an
	// origin, except for a kind of source that has no format and for a top
	// without a <driver type> that gets none. In a refused chain they go down
	// to where the walk ended.
	Layers   []Layer
	Findings []finding.Finding // what there is to say, in the order in which it was found
}
