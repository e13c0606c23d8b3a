package host

import (
	"context"
	"fmt"

	"github.com/digitalocean/go-libvirt"
)

// readStored reads the XML of a snapshot, checkpoint or saved state, with
// secrets. The error wraps [ErrNoStored] if it no longer exists.
func (d *Daemon) readStored(ctx context.Context, domain libvirt.Domain, of Stored) (text []byte, err error) {
	switch of.Kind {
	case Snapshot:
		text, err = d.text(ctx, "virDomainSnapshotGetXMLDesc", func() (string, error) {
			return d.rpc.DomainSnapshotGetXMLDesc(libvirt.DomainSnapshot{Name: of.Name, Dom: domain}, uint32(libvirt.DomainSnapshotXMLSecure))
		})
	case Checkpoint:
		text, err = d.text(ctx, "virDomainCheckpointGetXMLDesc", func() (string, error) {
			return d.rpc.DomainCheckpointGetXMLDesc(libvirt.DomainCheckpoint{Name: of.Name, Dom: domain}, uint32(libvirt.DomainCheckpointXMLSecure))
		})
	case SavedState:
		text, err = d.text(ctx, "virDomainManagedSaveGetXMLDesc", func() (string, error) {
			return d.rpc.DomainManagedSaveGetXMLDesc(domain, libvirt.DomainXMLFlags(libvirt.DomainSaveImageXMLSecure))
		})
		if hasCode(err, codeOperationInvalid) { // it was restored meanwhile
			err = fmt.Errorf("%w: %w", ErrNoStored, err)
		}
	default:
		return nil, fmt.Errorf("%w: unknown kind %q", ErrNoStored, of.Kind)
	}
	if hasCode(err, codeNoSnapshot, codeNoCheckpoint) {
		err = fmt.Errorf("%w: %w", ErrNoStored, err)
	}
	return text, err
}

// inspectStored reads a snapshot, checkpoint or saved state of a guest with a
// persistent definition again, with secrets, as the Definition of the returned
// Guest, in which ManagedSave is not set. The error wraps [ErrNoStored] if it
// no longer exists.
func (d *Daemon) inspectStored(ctx context.Context, uuid string, of Stored) (*Guest, error) {
	guest, err := d.Inspect(ctx, uuid)
	if err != nil {
		return nil, err
	}
	domain, err := d.lookupText(ctx, uuid)
	if err != nil {
		return nil, err
	}
	guest.ManagedSave = false
	if guest.Definition, err = d.readStored(ctx, domain, of); err != nil {
		return nil, err
	}
	return guest, nil
}

func (d *Daemon) lookupText(ctx context.Context, uuid string) (libvirt.Domain, error) {
	id, err := parseUUID(uuid)
	if err != nil {
		return libvirt.Domain{}, err
	}
	return d.lookup(ctx, id)
}

// defineStored replaces the XML of a snapshot, checkpoint or saved state.
// libvirt would create a snapshot or checkpoint that does not exist, so the
// caller must know that it does. Read the result back with inspectStored. See
// [Daemon.Define] for texts that are too long.
//
// The tree and the current snapshot stay the same. libvirt checks the guest's
// name and UUID, the disks' targets, the state and the creation time, but not
// whether the images exist (libvirt 9.0). It writes the XML of a saved state
// into the image, in place, if it fits into the padding after the old one.
func (d *Daemon) defineStored(ctx context.Context, uuid string, of Stored, text []byte) error {
	domain, err := d.lookupText(ctx, uuid)
	if err != nil {
		return err
	}
	var name string
	var call func() error
	switch of.Kind {
	case Snapshot:
		name, call = "virDomainSnapshotCreateXML", func() error {
			_, err := d.rpc.DomainSnapshotCreateXML(domain, string(text), uint32(libvirt.DomainSnapshotCreateRedefine))
			return err
		}
	case Checkpoint:
		name, call = "virDomainCheckpointCreateXML", func() error {
			_, err := d.rpc.DomainCheckpointCreateXML(domain, string(text), uint32(libvirt.DomainCheckpointCreateRedefine))
			return err
		}
	case SavedState:
		name, call = "virDomainManagedSaveDefineXML", func() error {
			return d.rpc.DomainManagedSaveDefineXML(domain, libvirt.OptString{string(text)}, 0)
		}
	default:
		return fmt.Errorf("%w: unknown kind %q", ErrNoStored, of.Kind)
	}
	if err := sendable(name, text); err != nil {
		return err
	}
	return d.call(ctx, name, call)
}
