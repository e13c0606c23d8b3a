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
	// Unstated: nobody states the format, so the layer has none.
	Unstated Origin = iota
	// XML: the domain XML states it, or omits it where libvirt defines a default.
	XML
	// Header: the overlay records it, in a way that every QEMU and libvirt reads
	// alike, or by a QEMU name that the image's own header confirms.
	Header
	// Trust: the operator states it.
	Trust
	// Libvirt: another disk uses the image directly and states the format in its
	// <driver type> (see [Evidence]).
	Libvirt
	// Protocol: the kind of storage source implies it.
	Protocol
	// Probe: a rule took it from the image's own header. Files that this image
	// names are never followed.
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
	// Located is the location of the image, if Source names a volume and its
	// storage pool is known; otherwise nil.
	Located *libvirtxml.DomainDiskSource
	Format  probe.Format // "" while From is Unstated, and for a folder that QEMU presents as an image
	From    Origin       // who stated Format
	// XMLAlone means that only the XML's <backingStore> states Format, where
	// libvirt writes guesses too. It is set in visited layers of a [Chain], never
	// in the top.
	XMLAlone bool
	Header   *probe.Header  // the image's own header; nil if it was not read
	ID       storage.FileID // the file or device that was opened; the zero FileID if none was
	Image    *image.Info    // what reading the image showed, independent of the stated format; nil if it was not opened
}

// HeaderFormat returns the format that the image's header must have: Format,
// or luks, which the XML writes as raw with an <encryption> (libvirt 9.0).
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

// Stated is what a domain XML says about one disk before any image is read:
// the input of a walk. Package xmlfix makes one from a <disk>.
type Stated struct {
	// Guest is the name of the disk's domain; "" if unknown.
	Guest  string
	Target string // the <target dev>, such as "vda"
	Device string // "disk", "cdrom", "floppy" or "lun"; "" means disk
	Bus    string // the <target bus>; "" if omitted
	// ReadOnly says that the guest does not write to the disk's own image:
	// it is <readonly/>, a CD-ROM, or <transient/>.
	ReadOnly bool
	// Transient says that the disk is <transient/>: libvirt makes an overlay when
	// the guest starts, QEMU writes to that, and libvirt removes it when the
	// guest ends.
	Transient bool
	// Shareable says that the XML shares the disk's own image between guests
	// (<shareable/>).
	Shareable bool

	// Layers are the disk's own image (the top) and its explicit backing images,
	// top first. It always has a top; the top's Source may be empty (an empty
	// drive). A top without a <driver type> is Unstated.
	Layers []Layer
	// Terminated reports that the XML says where the chain ends.
	Terminated bool
	// Typeless reports that the end is a <backingStore> with content but
	// without a type, which libvirt reads as the end of the chain.
	Typeless bool
	// Inexpressible describes a backing image in the XML that libvirtxml cannot
	// express, such as "a <backingStore> of type nvme"; "" for none. Layers end
	// before that image, and Terminated is about the rest of the chain.
	Inexpressible string

	Mirror bool // the disk has a <mirror>, so a block job is running
	// MirrorTo is the image that the block job of a <mirror> writes to; nil
	// without a job, or if the XML does not name it.
	MirrorTo *Layer
	Live     bool // the XML comes from a running guest: libvirt has added what it detected
}

// Verdict is the result of a walk for a disk.
type Verdict int

const (
	// Explicit: the XML already states the whole chain.
	Explicit Verdict = iota
	// Skipped: the disk has no chain (an empty drive, a source without image
	// files).
	Skipped
	// Fixable: [Chain.Layers] is what the XML should state.
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

// Chain is the result of the walk of one disk.
type Chain struct {
	Verdict Verdict
	// Layers are the images of the chain, top first. In a chain that is Fixable
	// or Explicit they are complete, and each has a format and an origin, except
	// for a kind of source that has no format and for a top without a <driver
	// type>, which gets none. In a refused chain they end where the walk ended.
	Layers   []Layer
	Findings []finding.Finding // in the order in which they were found
}
