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

// Usage is who uses an image, as far as that can be known.
type Usage struct {
	// Names are all names by which the image is looked for; the one that was asked for
	// comes first.
	Names []string
	// Exists says whether the image is there: nil if that cannot be told.
	Exists *bool
	// Guests is how many guests there are, those that run without a definition too.
	Guests int
	Uses   []Use
	// Doubts are why nobody can say that no other guest uses the image.
	Doubts []Doubt
}

// Use is one way in which a guest uses an image.
type Use struct {
	Guest, UUID string
	Disk        string   // the target of the disk; "" where it is none
	As          string   // how, for people: "its own image", "below it"
	Writes      bool     // the guest writes to the image
	In          []string // where that is stated, for people: "definition", `snapshot "s"`
}

// Doubt is one reason for which it cannot be known whether a guest uses an image.
type Doubt struct {
	Guest string // "" where it is about the host
	Disk  string // "" where it is about all of the guest
	In    []string
	Why   string
	Hint  string // what to do about it; "" where that is not known
}

// Who finds out who uses an image, which is named as [chain.ParseImageName] returns it:
// every guest that stands on it, writes to it or names it otherwise, in its definition, in
// the XML that it runs with, or in what libvirt keeps of it. Images are told apart as in
// [chain.Evidence]; one that is not there has but its names.
//
// Whatever could hide a use is a doubt: a text or an image that cannot be read, a chain that
// is refused, a volume that no pool has. Only where there is neither a use nor a doubt does
// nobody use the image. The error is as of [Scan.Reports]; Names, Targets, Met and OnRead
// of the Scan but the last do not count.
func (s *Scan) Who(ctx context.Context, image string) (*Usage, error) {
	w, err := s.walker(ctx)
	if err != nil {
		return nil, err
	}
	target := newWhoTarget(ctx, w, image)
	search := &usageSearch{walker: w, target: target, usage: &Usage{Names: target.names, Exists: target.exists},
		heard: make(map[string]bool), files: make(map[string]bool), uses: make(map[[4]string]int), doubts: make(map[[4]string]int)}
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

// leftInventory is an [Inventory] that knows what it may not have shown.
type leftInventory interface {
	// Left is what libvirt keeps of guests that it has neither a definition nor a
	// running guest of.
	Left(ctx context.Context, known func(guest string) bool) ([]*Guest, error)
	// GuestNames are the names of all guests at this moment, or of their files.
	GuestNames(ctx context.Context) ([]string, error)
	// Unseen says what cannot be known of the host.
	Unseen(ctx context.Context) []error
}

// collectLeft goes through what the inventory has besides its guests, and notices guests
// that have come since they were listed: one that ran without a definition and got one
// meanwhile is in neither list.
func (c *collector) collectLeft(ctx context.Context, inventory Inventory) error {
	left, ok := inventory.(leftInventory)
	if !ok {
		return nil
	}
	guests, err := left.Left(ctx, func(guest string) bool { return c.search.heard[guest] })
	if err != nil {
		return err
	}
	for _, g := range guests {
		h := c.hearTransient(ctx, foundGuest{Guest: g})
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
		if !c.search.heard[name] && !c.search.files[name] {
			c.search.doubt(name, "", "", "it was not there when the guests were read: ask again")
		}
	}
	return ctx.Err()
}

// usageSearch looks for the uses of one image, while a [collector] goes through the guests.
type usageSearch struct {
	walker *chain.Walker // without evidence
	target *whoTarget
	usage  *Usage
	heard  map[string]bool // guests, by name
	files  map[string]bool // the files of their definitions, without a suffix
	again  []refusedDisk

	uses, doubts map[[4]string]int // where they are in usage
}

// refusedDisk is a disk of which the chain was refused as long as it was not known what other
// disks state.
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

// add adds what was found of a guest.
func (s *usageSearch) add(h heard) {
	if !s.heard[h.Name] {
		s.heard[h.Name] = true
		s.usage.Guests++
	}
	s.files[strings.TrimSuffix(filepath.Base(h.File), ".xml")] = true
	if h.err != nil {
		s.doubt(h.Name, "", inDefinition, Reason(h.err))
	}
	if h.UUID != "" && strings.Contains(strings.Join(s.target.names, "\n"), "/"+h.UUID+"/") {
		// As that of the state of its TPM, which no XML has.
		s.doubt(h.Name, "", "", "the path of the image has the UUID of the guest in it")
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

// merge adds uses and doubts. What several texts of a guest state is one.
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

// walkAgain walks the chains that were refused again, now that it is known what all disks
// state. What is still refused is a doubt.
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

// Reason is what an error says, without the place in a document that nobody has open.
func Reason(err error) string {
	var e *xmlfix.Error
	if errors.As(err, &e) {
		return e.Text()
	}
	return err.Error()
}
