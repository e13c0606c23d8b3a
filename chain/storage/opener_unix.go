//go:build unix

package storage

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
	"libvirt.org/go/libvirtxml"
)

// FileOpener opens local files and block devices, each by one open and one
// fstat. It never blocks on a FIFO, never acquires a terminal, and asks a
// device only for its length.
type FileOpener struct{}

// Open opens a file or block source. See [Opener].
func (FileOpener) Open(ctx context.Context, src *libvirtxml.DomainDiskSource) (Image, error) {
	path, ok := LocalPath(src)
	if !ok {
		return nil, fmt.Errorf("open %s: %w", Describe(src), ErrNotReadable)
	}
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	if err == unix.ENXIO {
		// A socket, or a device node without a device.
		err = ErrNotImage
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	image, err := newFileImage(fd)
	if err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return image, nil
}

// Identify stats a file or block source. See [Opener].
func (f FileOpener) Identify(ctx context.Context, src *libvirtxml.DomainDiskSource) (FileID, error) {
	id, _, err := f.ChangeTime(ctx, src)
	return id, err
}

// ChangeTime stats a file or block source. Writing to a device does not change
// the times of its node. See [ChangeTimer].
func (FileOpener) ChangeTime(ctx context.Context, src *libvirtxml.DomainDiskSource) (id FileID, changed int64, err error) {
	path, ok := LocalPath(src)
	if !ok {
		return FileID{}, 0, fmt.Errorf("stat %s: %w", Describe(src), ErrNotReadable)
	}
	var st unix.Stat_t
	if _, err = retry(func() (int, error) { return 0, unix.Stat(path, &st) }); err == nil {
		id, err = identity(&st)
	}
	if err != nil {
		return FileID{}, 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if !id.Block {
		changed = st.Ctim.Nano()
	}
	return id, changed, nil
}

// Resolve resolves the symlinks in path. See [Resolver].
func (FileOpener) Resolve(ctx context.Context, path string) (string, error) {
	// Not filepath.Abs first: it cleans the path, but "link/.." depends on link's
	// target.
	if !filepath.IsAbs(path) {
		return "", &fs.PathError{Op: "resolve", Path: path, Err: fs.ErrInvalid}
	}
	return filepath.EvalSymlinks(path)
}

func identity(st *unix.Stat_t) (FileID, error) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return FileID{Device: uint64(st.Dev), Inode: uint64(st.Ino)}, nil
	case unix.S_IFBLK:
		return FileID{Device: uint64(st.Rdev), Block: true}, nil
	case unix.S_IFDIR:
		return FileID{}, ErrDirectory
	case unix.S_IFSOCK:
		return FileID{}, ErrSocket
	case unix.S_IFCHR:
		return FileID{}, ErrCharacterDevice
	}
	return FileID{}, ErrNotImage
}

type fileImage struct {
	fd              int
	size, allocated int64
	id              FileID
}

func newFileImage(fd int) (*fileImage, error) {
	var st unix.Stat_t
	if _, err := retry(func() (int, error) { return 0, unix.Fstat(fd, &st) }); err != nil {
		return nil, err
	}
	id, err := identity(&st)
	if err != nil {
		return nil, err
	}
	image := &fileImage{fd: fd, size: st.Size, allocated: int64(st.Blocks) * 512, id: id}
	if id.Block {
		// A seek, not an ioctl: a device must not get a request that it could
		// misinterpret.
		if image.size, err = unix.Seek(fd, 0, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	return image, nil
}

func (f *fileImage) Size() int64      { return f.size }
func (f *fileImage) Allocated() int64 { return f.allocated }
func (f *fileImage) ID() FileID       { return f.id }
func (f *fileImage) Close() error     { return unix.Close(f.fd) }

func (f *fileImage) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := retry(func() (int, error) { return unix.Pread(f.fd, p[done:], off+int64(done)) })
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
