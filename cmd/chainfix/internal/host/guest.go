package host

import (
	"context"
	"iter"
	"strconv"

	"github.com/chainfix/chainfix/chain/libvirt"
)

// Guest is a guest of a host.
//
// Its texts may contain secrets, such as the password of a VNC console:
// protect them when you print or store the texts.
type Guest struct {
	Name string
	UUID string // in libvirt's spelling; "" where a file states none
	File string // the file that the definition is from; "" where a daemon gave it

	// Definition is what the guest will start with: the text of "virsh dumpxml
	// --inactive --security-info", or of libvirt's file, which is the same text
	// after a comment.
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
	// remembered is the result of an earlier call of metadata, or nil.
	remembered []*Metadata
}

// Metadata is libvirt's XML of a snapshot, a checkpoint or a saved state. It
// contains a copy of the guest's definition from that time, and so names disks
// that the guest wrote to.
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

// savedName is the name for saved states, which have none.
const savedName = "managed save"

// String returns the name, quoted: printed by accident, a guest shows no
// secrets.
func (g *Guest) String() string { return strconv.Quote(g.Name) }

// String returns the name, quoted. See [Guest.String].
func (m *Metadata) String() string { return strconv.Quote(m.Name) }

// Metadata reads the metadata of the guest's snapshots, then of its
// checkpoints, each sorted by name, and then of its saved state, one at a
// time. Those that disappear meanwhile are left out. Errors are as for
// [Inventory.Guests]: one with a Metadata, which then has no XML, is about
// that one alone.
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

// Inventory lists the guests and pools of a host.
type Inventory interface {
	// Version is the version of the host's libvirt; the zero Version if unknown.
	Version() libvirt.Version
	// QEMU is the version of its QEMU; the zero Version if unknown.
	QEMU() libvirt.Version

	// Guests reads the guests that have a persistent definition, one at a time,
	// so a host may have any number of them. It may be called again, and other
	// methods may be called during the iteration. They are sorted by name; one
	// that disappears meanwhile is left out.
	//
	// An error with a Guest is about that guest alone, with only Name, UUID and
	// File possibly set; more guests may follow. An error without a Guest is the
	// last element.
	Guests(ctx context.Context) iter.Seq2[*Guest, error]

	// Transient reads the guests that run without a persistent definition, as
	// Guests does. They have a Live XML and no Definition.
	Transient(ctx context.Context) iter.Seq2[*Guest, error]

	// Pools reads the definitions of the host's storage pools, active or not, one
	// at a time, sorted by name. An error with a Pool is about that pool alone.
	Pools(ctx context.Context) iter.Seq2[*Pool, error]
}

// Pool is a storage pool.
type Pool struct {
	Name string // of a file: without the suffix
	File string // "" where a daemon gave it
	XML  []byte // its root is a <pool>
}
