package host

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/digitalocean/go-libvirt"

	"github.com/chainfix/chainfix/xmlfix"
)

// Guests reads the guests. See [Inventory].
func (d *Daemon) Guests(ctx context.Context) iter.Seq2[*Guest, error] {
	return d.list(ctx, libvirt.ConnectListDomainsPersistent, d.inspect)
}

// Transient reads the guests that run without a persistent definition. See
// [Inventory].
func (d *Daemon) Transient(ctx context.Context) iter.Seq2[*Guest, error] {
	return d.list(ctx, libvirt.ConnectListDomainsTransient, d.inspectTransient)
}

// list reads the guests of a kind, sorted by name.
func (d *Daemon) list(ctx context.Context, kind libvirt.ConnectListAllDomainsFlags, inspect func(context.Context, libvirt.Domain, *havers) (*Guest, error)) iter.Seq2[*Guest, error] {
	return func(yield func(*Guest, error) bool) {
		listed, err := d.listDomains(ctx, kind)
		if err != nil {
			yield(nil, err)
			return
		}
		have, err := d.havers(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		slices.SortFunc(listed, func(a, b libvirt.Domain) int { return strings.Compare(a.Name, b.Name) })
		for _, domain := range listed {
			guest, err := inspect(ctx, domain, have)
			switch {
			case errors.Is(err, ErrNoGuest):
				continue
			case ends(ctx, err):
				yield(nil, err)
				return
			case err != nil:
				guest = &Guest{Name: domain.Name, UUID: formatUUID(domain.UUID)}
			}
			if !yield(guest, err) {
				return
			}
		}
	}
}

func (d *Daemon) listDomains(ctx context.Context, kind libvirt.ConnectListAllDomainsFlags) (listed []libvirt.Domain, err error) {
	err = d.call(ctx, "virConnectListAllDomains", func() (err error) {
		listed, _, err = d.rpc.ConnectListAllDomains(1, kind)
		return err
	})
	return listed, err
}

// havers are the guests with saved states, snapshots and checkpoints, which
// most guests do not have: one call lists them all. A nil map, or a nil
// *havers, means unknown.
type havers struct{ saved, snapshots, checkpoints map[libvirt.UUID]bool }

func (d *Daemon) havers(ctx context.Context) (*havers, error) {
	have := new(havers)
	for _, of := range []struct {
		flag libvirt.ConnectListAllDomainsFlags
		all  *map[libvirt.UUID]bool
	}{
		{libvirt.ConnectListDomainsManagedsave, &have.saved}, {libvirt.ConnectListDomainsHasSnapshot, &have.snapshots},
		{libvirt.ConnectListDomainsHasCheckpoint, &have.checkpoints},
	} {
		listed, err := d.listDomains(ctx, of.flag)
		switch {
		case isLibvirtError(err): // one that is too old for the flag
			continue
		case err != nil:
			return nil, err
		}
		*of.all = make(map[libvirt.UUID]bool)
		for _, domain := range listed {
			(*of.all)[domain.UUID] = true
		}
	}
	return have, nil
}

// lacks reports whether a guest is certainly not in a set.
func lacks(set map[libvirt.UUID]bool, domain libvirt.Domain) bool {
	return set != nil && !set[domain.UUID]
}

// ends reports whether no more can be read after this error.
func ends(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, ErrGone))
}

// Inspect reads one guest again. The error is [ErrNoGuest] if the guest no
// longer has a persistent definition.
func (d *Daemon) Inspect(ctx context.Context, uuid string) (*Guest, error) {
	id, err := parseUUID(uuid)
	if err != nil {
		return nil, err
	}
	domain, err := d.lookup(ctx, id)
	if err != nil {
		return nil, err
	}
	return d.inspect(ctx, domain, nil)
}

// inspect reads a guest, and again if it ends meanwhile.
func (d *Daemon) inspect(ctx context.Context, domain libvirt.Domain, have *havers) (*Guest, error) {
	guest, err := d.inspectOnce(ctx, domain, have)
	if !hasCode(err, codeOperationInvalid) {
		return guest, err
	}
	if domain, err = d.lookup(ctx, domain.UUID); err != nil {
		return nil, err
	}
	return d.inspectOnce(ctx, domain, have)
}

// inspectTransient reads a guest without a persistent definition; the error is
// [ErrNoGuest] if it has ended, or has one now.
func (d *Daemon) inspectTransient(ctx context.Context, domain libvirt.Domain, have *havers) (*Guest, error) {
	guest := d.guest(domain, have)
	err := d.readLive(ctx, domain, guest)
	if hasCode(err, codeOperationInvalid) {
		return nil, fmt.Errorf("%w: %q is no longer running", ErrNoGuest, guest.Name)
	}
	return guest, err
}

func (d *Daemon) lookup(ctx context.Context, id libvirt.UUID) (domain libvirt.Domain, err error) {
	err = d.call(ctx, "virDomainLookupByUUID", func() (err error) {
		domain, err = d.rpc.DomainLookupByUUID(id)
		return err
	})
	return domain, err
}

// guest returns a Guest with what its domain already shows.
func (d *Daemon) guest(domain libvirt.Domain, have *havers) *Guest {
	guest := &Guest{Name: domain.Name, UUID: formatUUID(domain.UUID), Active: domain.ID != -1}
	guest.metadata = func(ctx context.Context) iter.Seq2[*Metadata, error] {
		return d.metadata(ctx, domain, have, guest.ManagedSave)
	}
	return guest
}

// readLive reads the XML that a guest runs with, and whether it has a block job.
func (d *Daemon) readLive(ctx context.Context, domain libvirt.Domain, guest *Guest) (err error) {
	if guest.Live, err = d.dump(ctx, domain, 0); err != nil {
		return err
	}
	guest.BlockJob, err = d.hasBlockJob(ctx, domain, guest.Live)
	return err
}

func (d *Daemon) inspectOnce(ctx context.Context, domain libvirt.Domain, have *havers) (*Guest, error) {
	guest := d.guest(domain, have)
	var err error
	if guest.Active {
		// An undefined guest keeps running, and libvirt would return its live XML
		// instead.
		persistent := int32(0)
		err := d.call(ctx, "virDomainIsPersistent", func() (err error) {
			persistent, err = d.rpc.DomainIsPersistent(domain)
			return err
		})
		if err != nil {
			return nil, err
		}
		if persistent == 0 {
			return nil, fmt.Errorf("%w: %q has no persistent definition", ErrNoGuest, guest.Name)
		}
		if err = d.readLive(ctx, domain, guest); err != nil {
			return nil, err
		}
	}
	if guest.Definition, err = d.dump(ctx, domain, libvirt.DomainXMLInactive|libvirt.DomainXMLSecure); err != nil {
		return nil, err
	}
	if have != nil && have.saved != nil {
		guest.ManagedSave = have.saved[domain.UUID]
		return guest, nil
	}
	err = d.call(ctx, "virDomainHasManagedSaveImage", func() error {
		has, err := d.rpc.DomainHasManagedSaveImage(domain, 0)
		guest.ManagedSave = has != 0
		return err
	})
	if err != nil {
		return nil, err
	}
	return guest, nil
}

func (d *Daemon) dump(ctx context.Context, domain libvirt.Domain, flags libvirt.DomainXMLFlags) ([]byte, error) {
	return d.text(ctx, "virDomainGetXMLDesc", func() (string, error) { return d.rpc.DomainGetXMLDesc(domain, flags) })
}

// text makes a call that returns a text.
func (d *Daemon) text(ctx context.Context, name string, f func() (string, error)) ([]byte, error) {
	var text string
	err := d.call(ctx, name, func() (err error) {
		text, err = f()
		return err
	})
	if err != nil {
		return nil, err
	}
	return []byte(text), nil
}

// hasBlockJob asks libvirt for each disk of a running guest. The XML shows
// only jobs with a <mirror>.
func (d *Daemon) hasBlockJob(ctx context.Context, domain libvirt.Domain, live []byte) (bool, error) {
	document, err := xmlfix.Parse(domain.Name, live)
	if err != nil {
		return false, fmt.Errorf("the XML that %q runs with: %w", domain.Name, err)
	}
	for _, disk := range document.Disks() {
		// Target is valid even with an error.
		stated, _ := disk.Stated()
		found := int32(0)
		err := d.call(ctx, "virDomainGetBlockJobInfo", func() (err error) {
			found, _, _, _, _, err = d.rpc.DomainGetBlockJobInfo(domain, stated.Target, 0)
			return err
		})
		if err != nil {
			return false, err
		}
		if found != 0 || stated.Mirror {
			return true, nil
		}
	}
	return false, nil
}

func formatUUID(id libvirt.UUID) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

// parseUUID reads a UUID in libvirt's spelling.
func parseUUID(s string) (libvirt.UUID, error) {
	var id libvirt.UUID
	digits, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(digits) != len(id) {
		return id, fmt.Errorf("%w: %q is not a UUID", ErrNoGuest, s)
	}
	copy(id[:], digits)
	return id, nil
}

// Define makes a text the persistent definition of the guest with the name and
// UUID in it, or of a new guest. A running guest keeps running unchanged.
//
// The text is not validated against libvirt's schema
// (VIR_DOMAIN_DEFINE_VALIDATE), which rejects some definitions that libvirt
// itself has written and starts, and accepts some that it misreads. Read the
// result back with [Daemon.Inspect]. A text of more than 4 MiB does not fit
// into libvirt's protocol, and is [ErrTooLong].
func (d *Daemon) Define(ctx context.Context, definition []byte) error {
	if err := sendable("virDomainDefineXMLFlags", definition); err != nil {
		return err
	}
	return d.call(ctx, "virDomainDefineXMLFlags", func() error {
		_, err := d.rpc.DomainDefineXMLFlags(string(definition), 0)
		return err
	})
}

// sendable returns an error if a text cannot be an argument of a call.
func sendable(call string, text []byte) error {
	if len(text) > maxString {
		return fmt.Errorf("%s: %w: libvirt's limit is %d bytes, and the definition has %d", call, ErrTooLong, maxString, len(text))
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return fmt.Errorf("%s: %w: it contains a NUL, where libvirt would stop reading", call, ErrDefinition)
	}
	return nil
}
