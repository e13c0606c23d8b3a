package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"libvirt.org/go/libvirtxml"
)

// ErrNotImage: a source is there but is neither a regular file nor a block
// device: a directory, a FIFO, a socket, a character device.
var ErrNotImage = errors.New("neither a regular file nor a block device")

// Kinds of [ErrNotImage]. Where libvirt 9.0 reads a header it stops at the first
// two; a character device it reads like an image, and at a FIFO it waits.
var (
	ErrDirectory       = fmt.Errorf("%w: a directory", ErrNotImage)
	ErrSocket          = fmt.Errorf("%w: a socket", ErrNotImage)
	ErrCharacterDevice = fmt.Errorf("%w: a character device", ErrNotImage)
)

// ErrNotReadable: an opener does not read sources of this kind.
var ErrNotReadable = errors.New("source of a kind that is not read")

// ErrChanged: an image has become another one since it was opened.
var ErrChanged = errors.New("image was replaced while it was looked at")

// FileID tells whether two names are one image: a file by its device and
// inode, so through symlinks and hard links alike, a block device by its
// number, anything else by its name.
type FileID struct {
	Device, Inode uint64
	Block         bool   // Device is the number of the block device itself; Inode is 0
	Remote        string // the [Name] of an image that is no local file; the rest is zero
}

// Image is an open image. ReadAt reads within the Size bytes that the image
// had when it was opened.
type Image interface {
	io.ReaderAt
	io.Closer
	// Size is the length in bytes.
	Size() int64
	// ID tells which file, device or image on the network is open.
	ID() FileID
}

// Allocated is an [Image] that tells how many bytes it takes where it is stored: fewer
// than its size where there are holes.
type Allocated interface {
	// Allocated is the number of bytes; 0 of a block device, as the system says it.
	Allocated() int64
}

// Opener opens storage sources. Errors wrap fs.ErrNotExist, fs.ErrPermission,
// [ErrNotImage] or [ErrNotReadable] where that is what is wrong, those of an
// Image's ReadAt [ErrChanged].
type Opener interface {
	// Open opens what src names, for reading only.
	Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (Image, error)
	// Identify tells what src names without opening it.
	Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (FileID, error)
}

// ChangeTimer is an [Opener] that tells when an image was changed last. A file
// system may give a new file the inode of one that is gone, and so its ID: by the
// time of the last change a cache tells the new one from the old, and an image
// from what it was before. An Opener that wraps another should pass it on.
type ChangeTimer interface {
	// ChangeTime is Identify, with a time that no change of the image leaves as it
	// is, in any unit; 0 where there is none.
	ChangeTime(ctx context.Context, src *libvirtxml.DomainDiskSource) (id FileID, changed int64, err error)
}

// Resolver is an [Opener] that follows symlinks without opening what they lead
// to. Without it no folder's headers are trusted, and the rules of folders go by
// names alone (chain.Folder). An Opener that wraps another should pass it on.
type Resolver interface {
	// Resolve returns the absolute path of what is at path, with every
	// symlink in it followed, and so free of "..". Errors wrap
	// fs.ErrNotExist or fs.ErrPermission where that is what is wrong.
	Resolve(ctx context.Context, path string) (string, error)
}

// ErrNoResolver: an [Opener] is no [Resolver].
var ErrNoResolver = errors.New("symlinks are not followed here")

// Reason returns what the system says is wrong in the error of an Opener, without
// the path, which the system repeats unquoted.
func Reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
