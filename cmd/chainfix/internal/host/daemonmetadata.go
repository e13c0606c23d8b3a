package host

import (
	"context"
	"errors"
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
		read := func(of Stored) ([]byte, error) { return d.readStored(ctx, domain, of) }
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
		if !readAll(ctx, Checkpoint, names, err, read, yield) || !saved {
			return
		}

		readAll(ctx, SavedState, []string{savedName}, nil, read, yield)
	}
}

// readAll yields each of the names with its text, or the error of listing
// them. It reports whether to continue.
func readAll(ctx context.Context, kind MetadataKind, names []string, listed error, read func(Stored) ([]byte, error), yield func(*Metadata, error) bool) bool {
	switch {
	case hasCode(listed, codeNoDomain):
		return false
	case listed != nil:
		yield(nil, listed)
		return false
	}
	slices.Sort(names)
	for _, name := range names {
		text, err := read(Stored{kind, name})
		switch {
		case errors.Is(err, ErrNoGuest), errors.Is(err, ErrNoStored):
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
