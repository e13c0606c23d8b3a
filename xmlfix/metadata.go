package xmlfix

import (
	"context"
	"encoding/xml"
	"slices"

	"github.com/chainfix/chainfix/chain"
)

// ParseMetadata parses libvirt's XML of a snapshot or a checkpoint. Its disks
// are those of the copies of definitions in it, <domain> and <inactiveDomain>
// (libvirt 9.0); edits change only their chains. A domain XML, as in the image
// of a saved guest, is parsed as by [Parse]. It returns the errors of [Parse].
func ParseMetadata(name string, data []byte) (*Document, error) {
	return parse(&Document{name: name, data: data, metadata: true})
}

// ExamineMetadata is [Examine] for a text that [ParseMetadata] parses. Its
// statements are about the past, so the caller decides which disks to walk:
// known returns the chain of a disk, or nil to walk it.
func ExamineMetadata(ctx context.Context, w *chain.Walker, name string, data []byte, known func(chain.Stated) *chain.Chain) (*Examination, error) {
	doc, err := ParseMetadata(name, data)
	if err != nil {
		return &Examination{Err: err}, nil
	}
	e := &Examination{Document: doc, Disks: make([]DiskExamination, len(doc.disks))}
	var walked []DiskExamination
	var places []int
	for i, disk := range doc.disks {
		d := &e.Disks[i]
		d.Disk = disk
		d.Stated, d.Err = disk.Stated()
		d.Target = d.Stated.Target
		if d.Err == nil {
			d.Chain = known(d.Stated)
		}
		if d.Chain == nil {
			walked, places = append(walked, *d), append(places, i)
		}
	}
	if err := walkAll(ctx, w, walked); err != nil {
		return nil, err
	}
	for i, d := range walked {
		e.Disks[places[i]] = d
	}
	e.queue()
	return e, nil
}

// metadataRoots are the root elements of libvirt's documents that contain
// copies of definitions; copies are the elements with these copies.
var (
	metadataRoots = []string{"domainsnapshot", "domaincheckpoint"}
	copies        = []string{"domain", "inactiveDomain"}
)

// kindOfCopy returns the kind of a child of a metadata document's root: a copy
// of a definition is read like a definition.
func (p *parser) kindOfCopy(t xml.StartElement, start int) (kind, error) {
	if !slices.Contains(copies, t.Name.Local) {
		return other, nil
	}
	return root, p.checkNamespace(t, start)
}
