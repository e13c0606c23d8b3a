package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/chainfix/chainfix/probe"
)

const (
	// maxPacked bounds what a host's images are remembered by, in bytes.
	maxPacked = 64 << 20
	// maxPackedSight bounds what one of them may take: thousands of names
	// would soon make all others be forgotten.
	maxPackedSight = 100 << 10
)

// What a sight and a likeness take besides what they say, in bytes: their places
// in the maps, as empty as those may be, and what the allocator rounds up.
const (
	sightOverhead    = 64
	likenessOverhead = 256
)

// nameElsewhere stands in for a name, which never holds a NUL.
const nameElsewhere = "\x00"

// packedSights keeps what the images of a whole host showed. Which of them
// another guest's chain comes to is only known when it does, so all are kept;
// and as they are many, each takes few bytes: the images of a host look much
// alike, so what several have in common is kept once.
//
// The zero value is ready to use.
type packedSights struct {
	seed   maphash.Seed
	sights map[uint64]string // by a hash of their keys: what is each one's own
	size   int               // bytes of memory that all take, roughly

	likenesses []likeness
	numbers    map[[sha256.Size]byte]int // of likenesses, by their digests
}

// packedKey tells sights apart. The size of a slice and the way to an image on
// the network may decide what it shows.
type packedKey struct {
	id        imageID
	part      bool
	sliceSize uint64
	how       string
}

// packed returns the key under which the sight of a file is packed.
func (k sightKey) packed(file FileID) packedKey {
	return packedKey{imageID{file, k.slice.offset}, k.part, k.slice.size, k.how}
}

// likeness is a sight and its key, without what hardly any two images share: the
// inode, the size, the date, the reading as raw, which follows from that, and the name of
// the backing image.
type likeness struct {
	key packedKey
	sight
}

// add keeps a sight. One that did not show everything is not kept, nor is one
// in which reading failed, or that would take the room of a hundred others.
func (p *packedSights) add(key packedKey, s *sight) {
	if !s.foreseen || s.failed() || s.weight() > maxPackedSight {
		return
	}
	if p.sights == nil || p.size > maxPacked {
		*p = packedSights{seed: maphash.MakeSeed(), sights: make(map[uint64]string), numbers: make(map[[sha256.Size]byte]int)}
	}
	like, name := likenessOf(key, s)
	own := binary.AppendUvarint(nil, uint64(p.number(like)))
	own = binary.AppendUvarint(own, key.id.file.Inode)
	own = binary.AppendUvarint(own, uint64(s.size))
	own = binary.AppendUvarint(own, uint64(s.changed))
	own = append(own, name...)
	hash := maphash.Comparable(p.seed, key)
	if old, ok := p.sights[hash]; ok {
		p.size -= len(old) + sightOverhead
	}
	p.size += len(own) + sightOverhead
	p.sights[hash] = string(own)
}

// likenessOf takes a sight apart.
func likenessOf(key packedKey, s *sight) (like likeness, name string) {
	like = likeness{key, *s}
	like.key.id.file.Inode, like.id, like.size, like.changed, like.readings = 0, imageID{}, 0, 0, nil
	named := false
	for _, r := range s.readings {
		if r.claim == probe.Raw && r.err == nil {
			continue
		}
		if r.header != nil && r.header.Backing != nil && (!named || r.header.Backing.Name == name) {
			name, named = r.header.Backing.Name, true
			r.header = withBackingName(r.header, nameElsewhere)
		}
		like.readings = append(like.readings, r)
	}
	return like, name
}

func withBackingName(h *probe.Header, name string) *probe.Header {
	header, backing := *h, *h.Backing
	backing.Name = name
	header.Backing = &backing
	return &header
}

// number returns the number of a likeness.
func (p *packedSights) number(like likeness) int {
	text := like.text()
	digest := sha256.Sum256(text)
	n, ok := p.numbers[digest]
	if !ok {
		n = len(p.likenesses)
		p.likenesses = append(p.likenesses, like)
		p.numbers[digest] = n
		p.size += len(text) + likenessOverhead
	}
	return n
}

// text says all that there is of a likeness, and not where in memory.
func (l *likeness) text() []byte {
	text := fmt.Appendf(nil, "%#v %#v %#v %t %t", l.key, l.signatures, l.contents, l.sampled, l.foreseen)
	for _, r := range l.readings {
		text = fmt.Appendf(text, "\n%#v %t %#v", r.claim, r.short, r.sees)
		if r.err != nil {
			text = fmt.Appendf(text, " %#v", r.err)
		}
		if r.header == nil {
			continue
		}
		header := *r.header
		header.Backing, header.DataFile, header.Parent = nil, nil, nil
		text = fmt.Appendf(text, " %#v", header)
		for _, reference := range []*probe.Reference{r.header.Backing, r.header.DataFile, r.header.Parent} {
			text = fmt.Appendf(text, " %#v", reference)
		}
	}
	return text
}

// get returns the sight of a key; nil if there is none.
func (p *packedSights) get(key packedKey) *sight {
	if len(p.sights) == 0 {
		return nil
	}
	own, ok := p.sights[maphash.Comparable(p.seed, key)]
	if !ok {
		return nil
	}
	name := []byte(own)
	var numbers [4]uint64
	for i := range numbers {
		n, width := binary.Uvarint(name)
		numbers[i], name = n, name[width:]
	}
	like := p.likenesses[numbers[0]]
	if like.key.id.file.Inode = numbers[1]; like.key != key {
		return nil
	}
	s := like.sight
	s.id, s.size, s.changed = key.id, int64(numbers[2]), int64(numbers[3])
	s.readings = slices.Clone(s.readings)
	for i, r := range s.readings {
		if r.header != nil && r.header.Backing != nil && r.header.Backing.Name == nameElsewhere {
			s.readings[i].header = withBackingName(r.header, string(name))
		}
	}
	if s.read(probe.Raw) == nil {
		raw := reading{claim: probe.Raw}
		raw.header, raw.err = probe.Read(zeros{}, s.size, probe.Raw)
		s.readings = append(s.readings, raw)
	}
	return &s
}

// zeros is what an image read as raw may hold: all that raw says of it is its
// size.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}
