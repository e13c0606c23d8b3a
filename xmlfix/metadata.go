package xmlfix

import (
	"context"
	"encoding/xml"
	"slices"

	"github.com/chainfix/chainfix/chain"
)

// ParseMetadata reads what libvirt keeps of a snapshot or a checkpoint. Its disks are
// those of the <domain> and the <inactiveDomain> that it has copies of (libvirt 9.0),
// and edits change nothing but their chains. A domain XML, as it is in the image of a
// saved guest, is read as [Parse] reads it. Errors are those of [Parse].
func ParseMetadata(name string, data []byte) (*Document, error) {
	return parse(&Document{name: name, data: data, metadata: true})
}

// ExamineMetadata is [Examine] for a text that [ParseMetadata] reads. What it states is of
// the past: the caller knows which of its disks may be walked on their word. Of the
// others known returns what is to be said; nil is for a walk.
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

// metadataRoots are the roots of libvirt's documents that hold copies of
// definitions; copies are the roots of those.
var (
	metadataRoots = []string{"domainsnapshot", "domaincheckpoint"}
	copies        = []string{"domain", "inactiveDomain"}
)

// kindOfCopy says what a child of a metadata document's root is: the copy of a
// definition, which is read like one.
func (p *parser) kindOfCopy(t xml.StartElement, start int) (kind, error) {
	if !slices.Contains(copies, t.Name.Local) {
		return other, nil
	}
	return root, p.checkNamespace(t, start)
}
