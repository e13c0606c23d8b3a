package host

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/xmlfix"
)

// Usage says who uses an image, as far as known.
type Usage struct {
	// Names are all names of the image that are searched for; the requested one
	// comes first.
	Names []string
	// Exists says whether the image exists; nil if unknown.
	Exists *bool
	// Guests is the number of guests, including those that run without a
	// definition.
	Guests int
	Uses   []Use
	// Doubts are reasons why another guest may use the image.
	Doubts []Doubt
}

// Use is one way in which a guest uses an image.
type Use struct {
	Guest, UUID string
	Disk        string   // the target of the disk; "" for other uses
	As          string   // how, for messages: "its own image", "in its backing chain"
	Writes      bool     // the guest writes to the image
	In          []string // where that is stated, for messages: "definition", `snapshot "s"`
}

// Doubt is one reason why it is unknown whether a guest uses an image.
type Doubt struct {
	Guest string // "" if it is about the host
	Disk  string // "" if it is about the whole guest
	In    []string
	Why   string
	Hint  string // what to do about it; "" if unknown
	Cause string // the same for disks that one image keeps from being followed; "" for other doubts
}

// Who finds out who uses an image, named as by [chain.ParseImageName]: every
// guest that reads it, writes to it or names it otherwise, in its definition,
// its live XML, a snapshot, a checkpoint or a saved state. Images are compared
// as in [chain.Evidence]; a missing one only by its names.
//
// Everything that could hide a use is a doubt: an unreadable text or image, a
// refused chain, a volume without a known pool. The image is unused only if
// there is neither a use nor a doubt. The error is as for [Scan.Reports];
// Names, Targets and Met of the Scan are ignored.
func (s *Scan) Who(ctx context.Context, image string) (*Usage, error) {
	w, err := s.walker(ctx)
	if err != nil {
		return nil, err
	}
	target := newWhoTarget(ctx, w, image)
	search := &usageSearch{walker: w, target: target, usage: &Usage{Names: target.names, Exists: target.exists},
		read: make(map[string]bool), files: make(map[string]bool), uses: make(map[[4]string]int), doubts: make(map[[4]string]int)}
	search.doubt("", "", "", target.doubts...)
	all := &collector{jobs: s.Requests.Jobs(), walker: w, evidence: chain.NewEvidence(w.Images, w.Volumes), warn: func(string, error) {}, search: search}
	err = all.collect(ctx, s.Inventory, func(guest string, _ error) {
		if s.OnRead != nil {
			s.OnRead(guest)
		}
	})
	if err == nil {
		err = all.collectLeft(ctx, s.Inventory)
	}
	if err == nil {
		err = search.walkAgain(ctx, w.WithEvidence(all.evidence))
	}
	if err != nil {
		return nil, err
	}
	return search.usage, nil
}

// leftInventory is an [Inventory] that can list leftovers and gaps.
type leftInventory interface {
	// Left returns guests that only have snapshots, checkpoints or a saved state,
	// and are neither defined nor running.
	Left(ctx context.Context, known func(guest string) bool) ([]*Guest, error)
	// GuestNames returns the current names of all guests, or of their files.
	GuestNames(ctx context.Context) ([]string, error)
	// Unseen returns what is unknown about the host.
	Unseen(ctx context.Context) []error
}

// collectLeft reads what the inventory has besides its guests, and detects
// guests that are new since they were listed: a transient guest that was
// defined meanwhile is in neither list.
func (c *collector) collectLeft(ctx context.Context, inventory Inventory) error {
	left, ok := inventory.(leftInventory)
	if !ok {
		return nil
	}
	guests, err := left.Left(ctx, func(guest string) bool { return c.search.read[guest] })
	if err != nil {
		return err
	}
	for _, g := range guests {
		h := c.readTransient(ctx, foundGuest{Guest: g})
		if h.ended != nil {
			return h.ended
		}
		c.add(h)
	}
	for _, err := range left.Unseen(ctx) {
		c.search.doubt("", "", "", err.Error())
	}
	names, err := left.GuestNames(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !c.search.read[name] && !c.search.files[name] {
			c.search.doubt(name, "", "", "it was created while the guests were read: run the command again")
		}
	}
	return ctx.Err()
}

// usageSearch searches for the uses of one image, while a [collector] reads
// the guests.
type usageSearch struct {
	walker *chain.Walker // without evidence
	target *whoTarget
	usage  *Usage
	read   map[string]bool // guests, by name
	files  map[string]bool // the files of their definitions, without a suffix
	again  []refusedDisk

	uses, doubts map[[4]string]int // where they are in usage
}

// refusedDisk is a disk with a chain that was refused without evidence.
type refusedDisk struct {
	*Guest
	in     string
	stated chain.Stated
}

// foundUses are those of one guest.
type foundUses struct {
	uses   []Use
	doubts []Doubt
	again  []refusedDisk
}

func (f *foundUses) doubt(guest, disk, in string, why ...string) {
	for _, w := range why {
		d := Doubt{Guest: guest, Disk: disk, Why: w}
		if in != "" {
			d.In = []string{in}
		}
		f.doubts = append(f.doubts, d)
	}
}

// add adds what was found in a guest.
func (s *usageSearch) add(h guestFacts) {
	if !s.read[h.Name] {
		s.read[h.Name] = true
		s.usage.Guests++
	}
	s.files[strings.TrimSuffix(filepath.Base(h.File), ".xml")] = true
	if h.err != nil {
		s.doubt(h.Name, "", inDefinition, Reason(h.err))
	}
	if h.UUID != "" && strings.Contains(strings.Join(s.target.names, "\n"), "/"+h.UUID+"/") {
		// Such as the state of its TPM, which the XML does not name.
		s.doubt(h.Name, "", "", "the path of the image contains the UUID of the guest")
	}
	for _, err := range h.warnings {
		s.doubt(h.Name, "", "", Reason(err))
	}
	s.merge(h.found)
	s.again = append(s.again, h.found.again...)
}

func (s *usageSearch) doubt(guest, disk, in string, why ...string) {
	found := foundUses{}
	found.doubt(guest, disk, in, why...)
	s.merge(found)
}

// merge adds uses and doubts. The same use in several texts of a guest is one.
func (s *usageSearch) merge(found foundUses) {
	for _, use := range found.uses {
		key := [4]string{use.Guest, use.UUID, use.Disk, use.As}
		i, known := s.uses[key]
		if !known {
			s.uses[key] = len(s.usage.Uses)
			s.usage.Uses = append(s.usage.Uses, use)
			continue
		}
		u := &s.usage.Uses[i]
		u.In, u.Writes = union(u.In, use.In), u.Writes || use.Writes
	}
	for _, doubt := range found.doubts {
		key := [4]string{doubt.Guest, doubt.Disk, doubt.Why}
		i, known := s.doubts[key]
		if !known {
			s.doubts[key] = len(s.usage.Doubts)
			s.usage.Doubts = append(s.usage.Doubts, doubt)
			continue
		}
		s.usage.Doubts[i].In = union(s.usage.Doubts[i].In, doubt.In)
	}
}

func union(a, b []string) []string {
	for _, x := range b {
		if !slices.Contains(a, x) {
			a = append(a, x)
		}
	}
	return a
}

// walkAgain walks the refused chains again, with the evidence of all disks. A
// chain that is still refused is a doubt.
func (s *usageSearch) walkAgain(ctx context.Context, w *chain.Walker) error {
	for _, disk := range s.again {
		r := &usageReader{ctx: ctx, walker: w, target: s.target, guest: disk.Guest, in: disk.in}
		found, err := w.Walk(ctx, disk.stated)
		if err != nil {
			return err
		}
		r.chain(disk.stated, found)
		s.merge(r.found)
	}
	return ctx.Err()
}

// inDefinition and inLive are where a use is stated.
const (
	inDefinition = "definition"
	inLive       = "running XML"
)

// Reason returns the text of an error, without the position in the document.
func Reason(err error) string {
	var e *xmlfix.Error
	if errors.As(err, &e) {
		return e.Text()
	}
	return err.Error()
}
