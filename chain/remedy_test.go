package chain

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/chainfix/chainfix/chain/finding"
	"github.com/chainfix/chainfix/chain/storage"
	"github.com/chainfix/chainfix/probe"
)

// What a header holds may be a password, unless it is a file's name.
func TestHintsShowNoPassword(t *testing.T) {
	for name, shown := range map[string]bool{
		"base.img": true,
		`json:{"driver":"https","url":"https://h/f","cookie":"a=base.img"}`: false,
		"https://h/base.img": false,
	} {
		overlay := Layer{Source: storage.LocalSource("/x/top", false), Format: probe.Qcow2, Header: &probe.Header{Backing: &probe.Reference{Name: name}}}
		if hint := recordFormat(overlay, probe.Raw).String(); strings.Contains(hint, "base.img") != shown || !strings.HasSuffix(hint, " /x/top") {
			t.Errorf("of %q: %s", name, hint)
		}
	}
}

// The hint depends on the system's error; another user helps only if
// permission was denied.
func TestHintsFollowTheSystemsError(t *testing.T) {
	rename := finding.Say("RENAME")
	hints := make(map[string]syscall.Errno)
	for errno, words := range map[syscall.Errno]string{
		syscall.EACCES: "as a user", syscall.ESTALE: "mount it again", syscall.ETIMEDOUT: "server of its file system", syscall.EIO: "no other user can",
		syscall.ELOOP: "symlinks", syscall.ENAMETOOLONG: "longer than a file name", syscall.ENOTDIR: "is not a folder", syscall.ENXIO: "attach the device",
		syscall.EMFILE: "has free resources", syscall.EINVAL: "find out why",
	} {
		hint := errnoRemedy(&fs.PathError{Op: "open", Path: "/x", Err: errno}, rename).String()
		if !strings.Contains(hint, words) || strings.Contains(hint, "run chainfix as a user") != (errno == syscall.EACCES) {
			t.Errorf("%v: %s", errno, hint)
		}
		if other, ok := hints[hint]; ok {
			t.Errorf("%v and %v have one hint", errno, other)
		}
		hints[hint] = errno
		named := errno == syscall.ELOOP || errno == syscall.ENAMETOOLONG || errno == syscall.ENOTDIR || errno == syscall.ENXIO
		if strings.Contains(hint, rename.String()) != named {
			t.Errorf("%v: %s", errno, hint)
		}
	}
	if a, b := errnoRemedy(syscall.EPERM, rename).String(), errnoRemedy(syscall.EACCES, rename).String(); a != b {
		t.Errorf("%q and %q", a, b)
	}
}
