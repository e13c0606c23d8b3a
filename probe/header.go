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

// heads are the first bytes of images, to be used again: a run over a host
// reads thousands of headers.
var heads = sync.Pool{New: func() any { return new([headSize]byte) }}

// Header is what an image says of itself, checked as QEMU checks it, and more
// strictly where a comment says so. Nothing in it is to be believed before a
// rule says that the image may be.
type Header struct {
	Format  Format
	Version uint32 // as the header counts it; 0 where the format has none
	// Subformat is the kind of image within a format that has several, in
	// the format's own words: vmdk's createType ("monolithicSparse"),
	// "fixed", "dynamic" or "differencing" of vpc, vhdx and vdi. "" elsewhere.
	Subformat string

	// VirtualSize is how many bytes the guest sees. Of a vmdk descriptor it
	// is what the extent lines say: QEMU takes the size of a sparse extent
	// from the header of that file.
	VirtualSize uint64
	ClusterSize uint64 // bytes of the unit of allocation; 0 where there is none

	Backing  *Reference // the backing image; nil if there is none
	DataFile *Reference // qcow2's external data file; nil if there is none
	// Extents are the files that hold the data of an image that holds none
	// itself, in the order of the disk: those of a vmdk descriptor, at most
	// 4096 of them, each of which may name further files if it is sparse.
	Extents []Reference
	// Parent is what a differencing vpc, vhdx or vdi image stands on: the
	// data that it lacks is there. QEMU knows of no such thing: it refuses
	// the image or shows zeros. Name is "" and Offset -1 where the image
	// gives no name that could be read.
	Parent *Reference

	// DataFileRaw is qcow2's autoclear bit 1: the data file alone is a
	// valid raw image of the same content.
	DataFileRaw bool

	// Snapshots says that a qcow2 image has internal snapshots. What the disk was then
	// may need a backing image that the header does not name any more.
	Snapshots bool

	Encryption Encryption
	// Dirty: whoever wrote to the image last did not close it. It is qcow2's
	// incompatible bit 0, qed's feature bit 1 and parallels' in-use mark: the
	// refcounts or tables want a repair. Of vhdx it means that the log is in
	// use: if there are entries in it, QEMU opens the image for writing only.
	Dirty   bool
	Corrupt bool // qcow2 incompatible bit 1: QEMU opens the image read-only

	// Bitmaps says that a qcow2 header has the bitmaps extension, whether its
	// autoclear bit is set or not: whoever rewrites the header also writes the
	// bitmaps anew, elsewhere in the image.
	Bitmaps bool
	// Unknown says that a qcow2 header has compatible or autoclear feature bits,
	// or extensions, that QEMU 10.0 does not know. It opens the image all the
	// same, and clears such autoclear bits when it writes to it.
	Unknown bool
	// Zstd is qcow2's compression type 1, which some builds of QEMU lack.
	Zstd bool
}

// References returns every reference of h to another file, the backing image
// first. Empty means that the image stands alone.
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

// The ways that qcow and qcow2 know (crypt_method 0, 1 and 2); luks has but the
// last.
const (
	Plain   Encryption = ""
	AES     Encryption = "aes"
	LUKSEnc Encryption = "luks"
)

// Reference is a name of another file as it stands in an image's header:
// hostile bytes, at most 4095 of them. It may hold anything, a newline or
// invalid UTF-8 included, except NUL: QEMU and libvirt both stop at the first.
type Reference struct {
	Name string
	// Offset is where the name stands, in bytes from the image's start. It is
	// -1 for a name that the header flags but does not give, and for one
	// that it gives in UTF-16, which Name holds in UTF-8.
	Offset int64
	// CutAtNUL reports that the header's name goes on after a NUL byte.
	CutAtNUL bool

	// FormatRecorded reports that the header has a place for the format of
	// the file named and that this place is filled; Format is what it
	// holds, up to a NUL: any bytes, "" included. For qed's no-probe
	// feature, vmdk's parent and vhdx's, whose meaning is fixed, Format is
	// "raw", "vmdk" and "vhdx".
	FormatRecorded bool
	Format         string
	// FormatCutAtNUL reports that the recorded format goes on after a NUL
	// byte.
	FormatCutAtNUL bool
}
