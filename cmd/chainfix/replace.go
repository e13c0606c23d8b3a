package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// replaceFile puts data in the place of a regular file: readers see the old
// content or the new one, and after a crash one of the two is there. The new file
// has the owner, the group, the mode, the access control list and the label of
// the old one; lost says which of them it could not be given. Once ctx has ended the
// old one stays.
func replaceFile(ctx context.Context, path string, data []byte) (lost string, err error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("cannot rewrite %q: %w", path, unwrapPath(err))
	}
	var was unix.Stat_t
	if err := unix.Lstat(path, &was); err != nil {
		return fail(err)
	}
	switch {
	case was.Mode&unix.S_IFMT != unix.S_IFREG:
		return fail(errors.New("it is no regular file, and replacing it would not change what it names"))
	case was.Nlink > 1:
		return fail(fmt.Errorf("the file has %d names (hard links), and the others would keep the old content; write to a new file and move that: chainfix FILE > NEW", was.Nlink))
	}
	file, err := renameio.NewPendingFile(path) // which only the owner can read
	if err != nil {
		return fail(err)
	}
	defer file.Cleanup()
	// It goes at once with ctx, whatever is waited for here then.
	defer context.AfterFunc(ctx, func() { os.Remove(file.Name()) })()
	if _, err := file.Write(data); err != nil {
		return fail(err)
	}
	lost, err = keepAccess(file.File, path, &was)
	if err != nil {
		return fail(err)
	}
	if ctx.Err() != nil {
		return fail(context.Cause(ctx))
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return fail(err)
	}
	return lost, nil
}

// keepAccess gives a new file what the one at path says of who may use it. Where
// the group or the access control list cannot be kept, the new file's group may do
// no more than anybody: it is another one.
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
		// Without it the file has the folder's, as any new one.
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

// keepOwner reports which of owner and group a new file could be given. Only
// root gives files away.
func keepOwner(file *os.File, was *unix.Stat_t) (owned, grouped bool) {
	uid, gid := int(was.Uid), int(was.Gid)
	if file.Chown(uid, gid) == nil {
		return true, true
	}
	grouped = file.Chown(-1, gid) == nil
	return uid == os.Geteuid(), grouped
}

const aclAttribute = "system.posix_acl_access"

// keepACL gives a new file the access control list of the one at path, or takes
// away the one that the folder has given it. It reports false if there is one that
// it could not be given.
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
