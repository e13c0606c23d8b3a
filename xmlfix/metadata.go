package xmlfix

import (
	"encoding/xml"
	"slices"
)

// MetadataDisks reads the disks that libvirt's metadata of a snapshot or a
// checkpoint names: those of the <domain> and the <inactiveDomain> that it has
// copies of (libvirt 9.0). They are for reading alone: there is no document to
// apply edits to. Errors are those of [Parse].
func MetadataDisks(name string, data []byte) ([]*Disk, error) {
	p := &parser{doc: &Document{name: name, data: data}, metadata: true}
	if err := p.run(); err != nil {
		return nil, err
	}
	return p.doc.disks, nil
}

// metadataRoots are the roots of libvirt's documents that hold copies of
// definitions; copies are the roots of those.
var (
	metadataRoots = []string{"domainsnapshot", "domaincheckpoint"}
	copies        = []string{"domain", "inactiveDomain"}
)

// kindOfCopy tells what a child of a metadata document's root is: the copy of a
// definition, which is read like one.
func (p *parser) kindOfCopy(t xml.StartElement, start int) (kind, error) {
	if !slices.Contains(copies, t.Name.Local) {
		return other, nil
	}
	return root, p.checkNamespace(t, start)
}
