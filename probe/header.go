package probe

import (
	"io"
	"sync"
)

// Read parses the header of the image in r, which is size bytes long, as
// format f, and checks it as QEMU does when it opens the image for reading. It
// does not check whether the image should be trusted to be an f, and opens
// none of the files in the header.
//
// It supports every [Format]; for any other the error wraps [ErrUnread].
// Encryption, a dirty or corrupt flag, a data file without a name and a parent
// that QEMU does not support are not errors: the Header shows them. At most 2
// MiB are read, nearly always 4 KiB in one read.
//
// An error is an [*Error] that wraps one of the Err... variables, or it wraps
// the error of r.
func Read(r io.ReaderAt, size int64, f Format) (*Header, error) {
	read := f.row().read
	if read == nil {
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

// heads are reused buffers for the first bytes of images: a run over a host
// reads thousands of headers.
var heads = sync.Pool{New: func() any { return new([headSize]byte) }}

// Header is the header of an image, checked as QEMU checks it, and more
// strictly where a comment says so. Do not trust it before a rule has accepted
// the image's format.
type Header struct {
	Format  Format
	Version uint32 // as the header counts it; 0 where the format has none
	// Subformat is the kind of image within a format that has several, in
	// the format's own words: vmdk's createType ("monolithicSparse"),
	// "fixed", "dynamic" or "differencing" of vpc, vhdx and vdi. "" elsewhere.
	Subformat string

	// VirtualSize is the size of the guest's disk in bytes. For a vmdk descriptor
	// it is the sum of the extent lines: QEMU takes the size of a sparse extent
	// from the header of that file.
	VirtualSize uint64
	ClusterSize uint64 // unit of allocation in bytes, or 0

	Backing  *Reference // the backing image, or nil
	DataFile *Reference // qcow2's external data file, or nil
	// Extents are the files with the data of a vmdk descriptor, in the order of
	// the disk, at most 4096. A sparse extent may name further files.
	Extents []Reference
	// Parent is the parent of a differencing vpc, vhdx or vdi image, which has
	// the rest of its data. QEMU does not support parents: it refuses the image
	// or shows zeros. Name is "" and Offset -1 if the image has no readable name.
	Parent *Reference

	// DataFileRaw is qcow2's autoclear bit 1: the data file alone is a
	// valid raw image of the same content.
	DataFileRaw bool

	// Snapshots says that a qcow2 image has internal snapshots. A snapshot may
	// need a backing image that the header no longer names.
	Snapshots bool

	Encryption Encryption
	// Dirty: the last writer did not close the image. It is qcow2's incompatible
	// bit 0, qed's feature bit 1 and parallels' in-use flag: the refcounts or
	// tables need a repair. For vhdx it means that the log is in use: if it has
	// entries, QEMU cannot open the image read-only.
	Dirty   bool
	Corrupt bool // qcow2 incompatible bit 1: QEMU opens the image read-only

	// Bitmaps says that a qcow2 header has the bitmaps extension, whether its
	// autoclear bit is set or not: a program that rewrites the header also moves
	// the bitmaps.
	Bitmaps bool
	// Unknown says that a qcow2 header has compatible or autoclear feature bits,
	// or extensions, that QEMU 10.0 does not know. It opens the image anyway, and
	// clears such autoclear bits when it writes to it.
	Unknown bool
	// Zstd is qcow2's compression type 1, which some builds of QEMU lack.
	Zstd bool
}

// References returns every reference of h to another file, the backing image
// first. Empty means that the image needs no other file.
func (h *Header) References() []Reference {
	var all []Reference
	if h.Backing != nil {
		all = append(all, *h.Backing)
	}
	if h.DataFile != nil {
		all = append(all, *h.DataFile)
	}
	if h.Parent != nil {
		all = append(all, *h.Parent)
	}
	return append(all, h.Extents...)
}

// Encryption says how the content of an image is encrypted.
type Encryption string

// Encryptions of qcow and qcow2 (crypt_method 0, 1 and 2); luks has only the
// last.
const (
	Plain   Encryption = ""
	AES     Encryption = "aes"
	LUKSEnc Encryption = "luks"
)

// Reference is the name of another file in an image's header: hostile bytes,
// at most 4095. It may contain anything, including newlines and invalid UTF-8,
// but no NUL: QEMU and libvirt both stop at the first.
type Reference struct {
	Name string
	// Offset is the offset of the name in the image, in bytes. It is -1 if the
	// header only has a flag and no name, and for a UTF-16 name, which Name has
	// in UTF-8.
	Offset int64
	// CutAtNUL reports that the name in the header continues after a NUL byte.
	CutAtNUL bool

	// FormatRecorded reports that the header records the format of the named
	// file; Format is the content of that field, up to a NUL: any bytes, or "".
	// For qed's no-probe feature, vmdk's parent and vhdx's, whose meaning is
	// fixed, Format is "raw", "vmdk" and "vhdx".
	FormatRecorded bool
	Format         string
	// FormatCutAtNUL reports that the recorded format continues after a NUL byte.
	FormatCutAtNUL bool
}
