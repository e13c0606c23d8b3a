package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// replaceFile atomically replaces a regular file: readers, and the disk after a
// crash, have the old content or the new one. The new file keeps the owner, the
// group, the mode, the access control list and the label of the old one; lost names
// those that could not be kept. If ctx ends first, the old file stays.
func replaceFile(ctx context.Context, path string, data []byte) (lost string, err error) {
	r, err := beginReplacement(ctx, path)
	if err != nil {
		return "", err
	}
	defer r.abandon()
	if r.was == nil { // it was removed meanwhile
		return "", r.failed(fs.ErrNotExist)
	}
	r.Write(data)
	return r.commit(ctx)
}

// replacement is a new file that replaces another one, if it exists, once it is complete.
// Until then only the owner can read the new file.
type replacement struct {
	file *renameio.PendingFile
	path string
	was  *unix.Stat_t // the file that it replaces; nil for none
	err  error        // the error of the first failed write
	stop func() bool
}

// beginReplacement creates the new file, which is removed as soon as ctx ends.
func beginReplacement(ctx context.Context, path string) (*replacement, error) {
	r := &replacement{path: path, was: new(unix.Stat_t)}
	switch err := unix.Lstat(path, r.was); {
	case errors.Is(err, fs.ErrNotExist):
		r.was = nil
	case err != nil:
		return nil, r.failed(err)
	case r.was.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, r.failed(errors.New("it is not a regular file, and replacing it would not change what it names"))
	case r.was.Nlink > 1:
		return nil, r.failed(fmt.Errorf("the file has %d names (hard links), and the others would keep the old content; write to a new file and move that", r.was.Nlink))
	}
	var options []renameio.Option
	if r.was == nil {
		options = append(options, renameio.WithPermissions(0o666)) // less the umask
	}
	var err error
	if r.file, err = renameio.NewPendingFile(path, options...); err != nil {
		return nil, r.failed(err)
	}
	r.stop = context.AfterFunc(ctx, func() { os.Remove(r.file.Name()) })
	return r, nil
}

func (r *replacement) failed(err error) error {
	what := "rewrite"
	if r.was == nil {
		what = "write"
	}
	return fmt.Errorf("cannot %s %q: %w", what, r.path, unwrapPath(err))
}

// Write implements [io.Writer]. Callers may ignore its error: commit returns it.
func (r *replacement) Write(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.file.Write(p)
	if err != nil {
		r.err = r.failed(err)
	}
	return n, r.err
}

// abandon removes the new file, unless it has replaced the old one.
func (r *replacement) abandon() {
	r.stop()
	r.file.Cleanup()
}

// commit replaces the old file with the new one, if all of it was written.
func (r *replacement) commit(ctx context.Context) (lost string, err error) {
	if r.err != nil {
		return "", r.err
	}
	if r.was != nil {
		lost, err = keepAccess(r.file.File, r.path, r.was)
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = r.file.CloseAtomicallyReplace()
	}
	if err != nil {
		return "", r.failed(err)
	}
	return lost, nil
}

// keepAccess gives a new file the access rights of the one at path. If the group
// or the access control list cannot be kept, the new file's group, which is
// another one, gets no more rights than others.
func keepAccess(file *os.File, path string, was *unix.Stat_t) (lost string, err error) {
	owned, grouped := keepOwner(file, was)
	listed := keepACL(file, path)
	mode := was.Mode & 0o777
	if !grouped || !listed {
		mode &^= 0o070 &^ (mode & 0o007 << 3)
	}
	if err := unix.Fchmod(int(file.Fd()), mode); err != nil {
		return "", err
	}
	if label, ok := attribute(path, "security.selinux"); ok {
		// Without it the file has the folder's default label, like any new file.
		unix.Fsetxattr(int(file.Fd()), "security.selinux", label, 0)
	}
	switch {
	case !grouped:
		return "owner and group", nil
	case !owned:
		return "owner", nil
	case !listed:
		return "access control list", nil
	}
	return "", nil
}

// keepOwner reports whether the owner and the group could be kept. Only root
// can give files away.
func keepOwner(file *os.File, was *unix.Stat_t) (owned, grouped bool) {
	uid, gid := int(was.Uid), int(was.Gid)
	if file.Chown(uid, gid) == nil {
		return true, true
	}
	grouped = file.Chown(-1, gid) == nil
	return uid == os.Geteuid(), grouped
}

const aclAttribute = "system.posix_acl_access"

// keepACL gives a new file the access control list of the one at path, or removes
// the one inherited from the folder. It reports false if the list could not be
// kept.
func keepACL(file *os.File, path string) bool {
	list, ok := attribute(path, aclAttribute)
	if !ok {
		unix.Fremovexattr(int(file.Fd()), aclAttribute)
		return true
	}
	return unix.Fsetxattr(int(file.Fd()), aclAttribute, list, 0) == nil
}

// attribute returns an extended attribute of a file.
func attribute(path, name string) ([]byte, bool) {
	value := make([]byte, 1<<16)
	n, err := unix.Lgetxattr(path, name, value)
	if err != nil {
		return nil, false
	}
	return value[:n], true
}
