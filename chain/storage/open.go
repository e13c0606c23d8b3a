package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"libvirt.org/go/libvirtxml"
)

// ErrNotImage: a source exists but is neither a regular file nor a block
// device: a directory, a FIFO, a socket, a character device.
var ErrNotImage = errors.New("neither a regular file nor a block device")

// Kinds of [ErrNotImage]. If libvirt 9.0 reads a header, it fails for the
// first two, reads a character device like an image, and hangs on a FIFO.
var (
	ErrDirectory       = fmt.Errorf("%w: a directory", ErrNotImage)
	ErrSocket          = fmt.Errorf("%w: a socket", ErrNotImage)
	ErrCharacterDevice = fmt.Errorf("%w: a character device", ErrNotImage)
)

// ErrNotReadable: an opener does not read sources of this kind.
var ErrNotReadable = errors.New("unsupported kind of source")

// ErrChanged: an image was replaced since it was opened.
var ErrChanged = errors.New("image was replaced while it was examined")

// FileID identifies an image: a file by its device and inode (the same for all
// symlinks and hard links), a block device by its number, anything else by its
// name.
type FileID struct {
	Device, Inode uint64
	Block         bool   // Device is the number of the block device itself; Inode is 0
	Remote        string // the [Name] of an image that is not a local file; the rest is zero
}

// Image is an open image. ReadAt reads within the Size bytes that the image
// had when it was opened.
type Image interface {
	io.ReaderAt
	io.Closer
	// Size is the length in bytes.
	Size() int64
	// ID identifies the open file, device or image on the network.
	ID() FileID
}

// Allocated is an [Image] that knows its allocated size: smaller than its size
// if it has holes.
type Allocated interface {
	// Allocated is the number of bytes; 0 for a block device, as the system
	// reports it.
	Allocated() int64
}

// Opener opens storage sources. Errors wrap fs.ErrNotExist, fs.ErrPermission,
// [ErrNotImage] or [ErrNotReadable] where applicable, errors of an Image's
// ReadAt [ErrChanged].
type Opener interface {
	// Open opens the image of src, only for reading.
	Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (Image, error)
	// Identify identifies the image of src without opening it.
	Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (FileID, error)
}

// ChangeTimer is an [Opener] that knows when an image was last changed. A file
// system may reuse the inode of a deleted file, and so its ID; with the time
// of the last change a cache can distinguish the new file from the old one,
// and a changed image from its earlier state. An Opener that wraps another
// should pass it on.
type ChangeTimer interface {
	// ChangeTime is Identify that also returns a time, in any unit, that differs
	// after every change of the image; 0 if unknown.
	ChangeTime(ctx context.Context, src *libvirtxml.DomainDiskSource) (id FileID, changed int64, err error)
}

// Resolver is an [Opener] that resolves symlinks without opening their target.
// Without it no headers are trusted, and the rules of folders only use names
// (chain.Folder). An Opener that wraps another should pass it on.
type Resolver interface {
	// Resolve returns the absolute path of the file at path without symlinks and
	// "..". Errors wrap fs.ErrNotExist or fs.ErrPermission where applicable.
	Resolve(ctx context.Context, path string) (string, error)
}

// ErrNoResolver: an [Opener] is not a [Resolver].
var ErrNoResolver = errors.New("symlinks cannot be resolved")

// Reason returns the system's message in the error of an Opener, without the
// unquoted path that the system adds.
func Reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
