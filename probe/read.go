package probe

import (
	"io"
	"sync"
)

// Read parses the header of the image in r, which is size bytes long, as
// format f, and checks it as QEMU does when it opens the image for reading.
// It neither asks whether the image may be trusted to be an f nor opens
// anything that the header names.
//
// Every [Format] is read; of anything else the error wraps [ErrUnread].
// Encryption, a dirty or a corrupt mark, a data file without a name and a
// parent that QEMU knows nothing of are no errors: the Header says so. At most
// 2 MiB are read, nearly always 4 KiB in one read.
//
// An error is an [*Error] that wraps one of the Err... variables, or it wraps
// the error of r.
func Read(r io.ReaderAt, size int64, f Format) (*Header, error) {
	read, ok := readers[f]
	if !ok {
		return nil, &Error{Format: f, Offset: -1, Err: ErrUnread}
	}
	head := heads.Get().(*[headSize]byte)
	defer heads.Put(head)
	m, err := newImage(r, size, f, head[:])
	if err != nil {
		return nil, err
	}
	return read(m)
}

// heads are the first bytes of images, to be used again: a run over a host
// reads thousands of headers.
var heads = sync.Pool{New: func() any { return new([headSize]byte) }}

var readers = map[Format]func(*image) (*Header, error){
	Raw:   readRaw,
	Qcow:  readQcow,
	Qcow2: readQcow2,
	QED:   readQED,

	VHDX:      readVHDX,
	Parallels: readParallels,
	LUKS:      readLUKS,
	Bochs:     readBochs,
	Cloop:     readCloop,
	DMG:       readDMG,
	ISO:       readISO,
	COW:       readCOW,
	VMDK:      readVMDK,
	VDI:       readVDI,
	VPC:       readVPC,
}
