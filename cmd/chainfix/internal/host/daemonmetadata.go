package host

import (
	"context"
	"iter"
	"slices"

	"github.com/digitalocean/go-libvirt"
)

func (d *Daemon) metadata(ctx context.Context, domain libvirt.Domain, have *havers, saved bool) iter.Seq2[*Metadata, error] {
	if have == nil {
		have = new(havers)
	}
	return func(yield func(*Metadata, error) bool) {
		var snapshots []libvirt.DomainSnapshot
		var err error
		if !lacks(have.snapshots, domain) {
			err = d.call(ctx, "virDomainListAllSnapshots", func() (err error) {
				snapshots, _, err = d.rpc.DomainListAllSnapshots(domain, 1, 0)
				return err
			})
		}
		var names []string
		for _, snapshot := range snapshots {
			names = append(names, snapshot.Name)
		}
		read := func(name string) ([]byte, error) {
			return d.text(ctx, "virDomainSnapshotGetXMLDesc", func() (string, error) {
				return d.rpc.DomainSnapshotGetXMLDesc(libvirt.DomainSnapshot{Name: name, Dom: domain}, 0)
			})
		}
		if !readAll(ctx, Snapshot, names, err, read, yield) {
			return
		}

		var checkpoints []libvirt.DomainCheckpoint
		err = nil
		if !lacks(have.checkpoints, domain) {
			err = d.call(ctx, "virDomainListAllCheckpoints", func() (err error) {
				checkpoints, _, err = d.rpc.DomainListAllCheckpoints(domain, 1, 0)
				return err
			})
		}
		if hasCode(err, codeNoSupport, codeRPC) {
			// libvirt before 5.6 has no checkpoints.
			err = nil
		}
		names = nil
		for _, checkpoint := range checkpoints {
			names = append(names, checkpoint.Name)
		}
		read = func(name string) ([]byte, error) {
			return d.text(ctx, "virDomainCheckpointGetXMLDesc", func() (string, error) {
				return d.rpc.DomainCheckpointGetXMLDesc(libvirt.DomainCheckpoint{Name: name, Dom: domain}, 0)
			})
		}
		if !readAll(ctx, Checkpoint, names, err, read, yield) || !saved {
			return
		}

		text, err := d.text(ctx, "virDomainManagedSaveGetXMLDesc", func() (string, error) { return d.rpc.DomainManagedSaveGetXMLDesc(domain, 0) })
		switch {
		case hasCode(err, codeNoDomain, codeOperationInvalid):
			// It was restored meanwhile.
		case ends(ctx, err):
			yield(nil, err)
		default:
			yield(&Metadata{Kind: SavedState, Name: savedName, XML: text}, err)
		}
	}
}

// readAll yields each of the names with its text, or the error of their list.
// It reports whether there may be more.
func readAll(ctx context.Context, kind MetadataKind, names []string, listed error, read func(name string) ([]byte, error), yield func(*Metadata, error) bool) bool {
	switch {
	case hasCode(listed, codeNoDomain):
		return false
	case listed != nil:
		yield(nil, listed)
		return false
	}
	slices.Sort(names)
	for _, name := range names {
		text, err := read(name)
		switch {
		case hasCode(err, codeNoDomain, codeNoSnapshot, codeNoCheckpoint):
			continue
		case ends(ctx, err):
			yield(nil, err)
			return false
		}
		if !yield(&Metadata{Kind: kind, Name: name, XML: text}, err) {
			return false
		}
	}
	return true
}
