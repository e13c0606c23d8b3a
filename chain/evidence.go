package chain

import (
	"strconv"

	"github.com/chainfix/chainfix/probe"
)

// Evidence is what the definitions of a whole host say about images: what no
// header tells, and no guest can have written.
type Evidence interface {
	// Of returns what is said of an image; the zero Testimony if nothing is.
	Of(id FileID) Testimony
}

// Testimony is what definitions, and the metadata of snapshots, say of one
// image.
type Testimony struct {
	// RawDisk names a guest that has the image, or had it when a snapshot
	// was taken, as a raw disk that it may write. That guest may have
	// written any header into it. "" means that there is none.
	RawDisk string
	// Stated are the formats other than raw that are stated for the image,
	// each once, with a guest whose definition or snapshot says so. (A raw
	// that is stated may mean that nobody said anything: libvirt writes it
	// into the definition of a disk without a <driver type>.)
	Stated []GuestStatement
}

// GuestStatement is the word of a guest's definition or snapshot on the format
// of an image.
type GuestStatement struct {
	Guest  string
	Format probe.Format
}

// testify settles the format of a backing image that nobody recorded, if the
// definitions of other guests do; it refuses one that they forbid to believe.
// The look is of the image as the format that is settled. It reports whether the
// walk may go on.
func (k *walk) testify(layer Layer, l *look) (Layer, *look, bool) {
	said := k.saidOf(layer, l)
	what := Describe(layer.Source)
	unrecorded := "the format of " + what + " is not recorded in " + Describe(k.chain.Layers[len(k.chain.Layers)-2].Source)
	switch {
	case said.RawDisk != "" && l.candidate() != probe.Raw:
		k.refuse(RawDiskElsewhere, unrecorded+"; its own header says "+list(l.distinct())+", but it is or was a raw disk of the guest "+
			strconv.Quote(said.RawDisk)+", which may have written that", trustHint(layer.at(), ""))
	case len(said.Stated) > 1:
		a, b := said.Stated[0], said.Stated[1]
		k.refuse(StatedConflict, unrecorded+"; the guest "+strconv.Quote(a.Guest)+" has it as "+string(a.Format)+
			", the guest "+strconv.Quote(b.Guest)+" as "+string(b.Format), trustHint(layer.at(), l.candidate()))
	case len(said.Stated) == 1 && said.RawDisk == "":
		s := said.Stated[0]
		again, err := k.look(k.ctx, layer.at(), s.Format)
		if err != nil {
			return layer, l, k.unopened(layer, err)
		}
		layer.Format, layer.From = s.Format, Libvirt
		k.find(StatedElsewhere, Info, unrecorded+"; the guest "+strconv.Quote(s.Guest)+" has it as "+string(s.Format), "")
		return layer, again, true
	}
	return layer, l, !k.refused()
}

// saidOf returns what other definitions say of an image. One that is a part of a
// file is written by whoever writes the file, but is not what that is stated to
// be.
func (k *walk) saidOf(layer Layer, l *look) Testimony {
	if k.Evidence == nil {
		return Testimony{}
	}
	said := k.Evidence.Of(l.id.file)
	if _, part := sliceOf(layer.Source); part {
		said.Stated = nil
	}
	return said
}

// noteRawDisk warns of an image that somebody states to be of a format, and
// that is also a guest's raw disk.
func (k *walk) noteRawDisk(layer Layer, l *look) {
	if layer.Format == probe.Raw {
		return
	}
	if said := k.saidOf(layer, l); said.RawDisk != "" {
		k.find(RawDiskElsewhere, Warn, Describe(layer.Source)+" is stated to be "+string(layer.Format)+", but it is or was a raw disk of the guest "+
			strconv.Quote(said.RawDisk)+", which may have written its header", "find out which is right before the guest is started again")
	}
}
