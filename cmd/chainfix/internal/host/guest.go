package host

import (
	"context"
	"iter"
	"strconv"

	"github.com/chainfix/chainfix/chain/libvirt"
)

// Guest is a guest that libvirt has a persistent definition of.
//
// Its texts may hold secrets, such as the password of a VNC console: a program that
// prints or stores them has to keep these.
type Guest struct {
	Name string
	UUID string // in libvirt's spelling; "" where a file states none
	File string // the file that the definition is from; "" where a daemon gave it

	// Definition is what the guest will be started with: the text of "virsh
	// dumpxml --inactive --security-info", or of libvirt's own file, which
	// is the same text below a comment.
	Definition []byte

	// Active says that the guest is running. Live is the XML that it runs
	// with, nil if it does not: disks may have come and gone since its start.
	Active bool
	Live   []byte

	// ManagedSave says that the guest's next start restores a saved state,
	// with the XML that is stored in it and not with Definition.
	ManagedSave bool
	// BlockJob says that a block job runs on one of a running guest's disks.
	// Its end rewrites the definition.
	BlockJob bool

	// record is libvirt's own of a running guest, which has Live in it and more, such as what a
	// backup is written to; nil where a daemon gave Live.
	record []byte

	metadata func(context.Context) iter.Seq2[*Metadata, error]
	// remembered is what metadata has yielded before; nil if it is to be asked.
	remembered []*Metadata
}

// Metadata is what libvirt keeps of a snapshot, of a checkpoint or of a saved
// state: XML that holds a copy of the guest's definition at that time, so it names
// disks that the guest wrote to.
type Metadata struct {
	Kind MetadataKind
	Name string
	File string // "" where a daemon gave it
	XML  []byte // its root is a <domainsnapshot>, a <domaincheckpoint> or a <domain>; may hold secrets
}

// MetadataKind says what a [Metadata] is about.
type MetadataKind string

const (
	Snapshot   MetadataKind = "snapshot"
	Checkpoint MetadataKind = "checkpoint"
	// SavedState is the XML in a managed save image: a <domain>.
	SavedState MetadataKind = "saved state"
)

// savedName is what a saved state is called, which has no name of its own.
const savedName = "managed save"

// String returns the name, quoted: printed by accident, a guest shows no
// secrets.
func (g *Guest) String() string { return strconv.Quote(g.Name) }

// String returns the name, quoted. See [Guest.String].
func (m *Metadata) String() string { return strconv.Quote(m.Name) }

// Metadata reads the metadata of the guest's snapshots, then of its
// checkpoints, each sorted by name, and then of its saved state, one at a time. Those that disappear
// meanwhile are left out. The errors are as of [Inventory.Guests]: one that
// comes with a Metadata, which then has no XML, is about that one alone.
func (g *Guest) Metadata(ctx context.Context) iter.Seq2[*Metadata, error] {
	switch {
	case g.remembered != nil:
		return func(yield func(*Metadata, error) bool) {
			for _, m := range g.remembered {
				if !yield(m, nil) {
					return
				}
			}
		}
	case g.metadata == nil:
		return func(func(*Metadata, error) bool) {}
	}
	return g.metadata(ctx)
}

// Inventory is what there is on a host.
type Inventory interface {
	// Version is that of the host's libvirt, the zero Version if nobody told.
	Version() libvirt.Version
	// QEMU is the version of the QEMU that it runs, the zero Version if
	// nobody told.
	QEMU() libvirt.Version

	// Guests reads the guests that have a persistent definition, one at a
	// time: none is kept, so a host may have any number of them. It may be
	// called again, and other methods may be called meanwhile. They are
	// sorted by name; one that disappears meanwhile is left out.
	//
	// An error that comes with a Guest is about that guest alone, of which
	// nothing but its Name, UUID and File may be set; more guests may
	// follow. One that comes with none is the last thing that comes.
	Guests(ctx context.Context) iter.Seq2[*Guest, error]

	// Transient reads the guests that run without a persistent definition, as
	// Guests does. They have a Live XML and no Definition.
	Transient(ctx context.Context) iter.Seq2[*Guest, error]

	// Pools reads the definitions of the host's storage pools, active or
	// not, one at a time, sorted by name. An error that comes with a Pool is
	// about that pool alone.
	Pools(ctx context.Context) iter.Seq2[*Pool, error]
}

// Pool is a storage pool.
type Pool struct {
	Name string // of a file: without the suffix
	File string // "" where a daemon gave it
	XML  []byte // its root is a <pool>
}
