package probe

import (
	"io"
	"math"
	"slices"
	"sync"
)

// Signature is the signature of one format in an image.
type Signature struct {
	Format Format

	// QEMU and Libvirt say which program's probing recognises Format by this
	// signature. Both are false for a signature that neither looks for.
	//
	// If an image has several signatures, each program chooses differently: QEMU
	// uses the best score, which is the same for all but cloop (and a file name
	// that ends in ".dmg" counts like cloop); for libvirt see [LibvirtsChoice].
	QEMU, Libvirt bool
}

const (
	isoOffset = 32769 // of the standard identifier in the first volume descriptor
	isoMark   = "CD001"
	tailSize  = 512
)

// sample is the part of an image that probing reads. It is in a buffer of
// samples, and is not valid any more after that was put back.
type sample struct {
	qemu    []byte // the first 512 bytes, padded with zeros as in QEMU
	libvirt []byte // up to 4 KiB, unpadded, as in libvirt
	iso     []byte // the bytes at isoOffset
	tail    []byte // the last 512 bytes
}

// Signatures returns every format signature in the image r of size bytes:
// those that QEMU or libvirt probe for, those of LUKS version 2 and of dmg,
// and the footer of a fixed VHD. Each is listed once, in the order of
// [Formats]. None means raw.
//
// At most three reads are made: 4 KiB at the start, 5 bytes at 32769, 512
// bytes at the end. An error is r's, wrapped.
func Signatures(r io.ReaderAt, size int64) ([]Signature, error) {
	b := samples.Get().(*sampleBuffer)
	defer samples.Put(b)
	s, err := takeSample(r, size, b)
	if err != nil {
		return nil, err
	}
	var found []Signature
	for i := range formats {
		f := formats[i].format
		for _, mark := range formats[i].marks {
			sig := Signature{
				Format:  f,
				QEMU:    mark.qemu.in(s.qemu),
				Libvirt: mark.libvirt.in(s.libvirt) || mark.iso.in(s.iso),
			}
			if sig.QEMU || sig.Libvirt || mark.head.in(s.qemu) || mark.tail.in(s.tail) && !hasMark(found, f) {
				found = append(found, sig)
			}
		}
	}
	return found, nil
}

// LibvirtsChoice returns the format that libvirt would probe for an image with
// these signatures: the first that it tries (iso, then vpc, vdi, parallels,
// cow, qcow, qcow2, qed, vmdk; libvirt 9.0 and 11.3), or raw if it looks for
// none of them.
func LibvirtsChoice(found []Signature) Format {
	choice, first := Raw, math.MaxInt
	for _, sig := range found {
		if n := sig.Format.row().number; sig.Libvirt && n < first {
			choice, first = sig.Format, n
		}
	}
	return choice
}

// hasMark reports whether f was found already: the footer of a dynamic VHD
// adds nothing to its copy at the start.
func hasMark(found []Signature, f Format) bool {
	return slices.ContainsFunc(found, func(s Signature) bool { return s.Format == f })
}

// sampleBuffer has room for a sample.
type sampleBuffer struct {
	head [headSize]byte
	qemu [512]byte
	iso  [len(isoMark)]byte
	tail [tailSize]byte
}

var samples = sync.Pool{New: func() any { return new(sampleBuffer) }}

func takeSample(r io.ReaderAt, size int64, b *sampleBuffer) (s sample, err error) {
	m, err := newImage(r, size, "", b.head[:])
	if err != nil {
		return s, err
	}
	s.libvirt, s.qemu = m.head, b.qemu[:]
	clear(s.qemu[copy(s.qemu, m.head):])
	if size >= isoOffset+int64(len(isoMark)) {
		s.iso = b.iso[:]
		if err := readAt(r, s.iso, isoOffset); err != nil {
			return s, err
		}
	}
	switch {
	case size < tailSize:
	case size <= int64(len(m.head)):
		s.tail = m.head[size-tailSize:]
	default:
		s.tail = b.tail[:]
		if err := readAt(r, s.tail, size-tailSize); err != nil {
			return s, err
		}
	}
	return s, nil
}
