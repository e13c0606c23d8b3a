package xmlfix

import (
	"context"
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
)

// Fix returns a domain XML with every backing chain explicit: data itself if
// nothing needs changing, and nil with an error. It never changes only some of
// the disks. The name is for messages. The Examination has the findings about
// each disk, including a refused one; it is nil only if the context has ended.
//
// The error comes from [Parse], wraps [ErrRefused] if the chain of a disk
// cannot be made explicit, [ErrDisk], [ErrLimit] or [ErrChain] if a disk
// cannot be read or written, or is [ErrProof] or the cause of the context.
func Fix(ctx context.Context, w *chain.Walker, name string, data []byte) ([]byte, *Examination, error) {
	e, err := Examine(ctx, w, name, data)
	switch {
	case err != nil:
		return nil, nil, err
	case e.Err != nil:
		return nil, e, e.Err
	}
	for _, d := range e.Disks {
		if err := d.refusal(); err != nil {
			return nil, e, err
		}
	}
	fixed, err := e.Document.Bytes()
	return fixed, e, err
}

// FixDomain makes all backing chains of a domain explicit, as [Fix] does, or
// none. [StatedBy] lists what libvirtxml loses. It returns the disks in the
// domain's order, without [DiskExamination.Disk]; they are nil only if the
// context has ended.
func FixDomain(ctx context.Context, w *chain.Walker, domain *libvirtxml.Domain) ([]DiskExamination, error) {
	if domain.Devices == nil {
		return nil, nil
	}
	all := make([]DiskExamination, len(domain.Devices.Disks))
	for i := range domain.Devices.Disks {
		e := &all[i]
		e.Stated, e.Err = StatedBy(&domain.Devices.Disks[i])
		e.Target, e.Stated.Guest = e.Stated.Target, domain.Name
		e.Stated.Live = e.Stated.Live || domain.ID != nil
	}
	if err := walkAll(ctx, w, all); err != nil {
		return nil, err
	}
	plans := make([]plan, len(all))
	for i, d := range all {
		err := d.refusal()
		if err == nil {
			plans[i], err = planFor(d.Stated, d.Chain)
		}
		if err != nil {
			return all, err
		}
	}
	for i, p := range plans {
		p.apply(&domain.Devices.Disks[i])
	}
	return all, nil
}

// refusal returns why a disk cannot be made explicit, or nil.
func (d DiskExamination) refusal() error {
	if d.Err != nil {
		return d.Err
	}
	for _, f := range d.Chain.Findings {
		if f.Severity == finding.Refuse {
			return fmt.Errorf("%w: disk %q: [%s] %s", ErrRefused, d.Target, f.Code, f.Text)
		}
	}
	return nil
}
